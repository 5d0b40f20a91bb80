"""The settings of what `make demo` or `carbonstream local up` has started in this folder."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Final

from carbonstream.ops.local import addresses
from carbonstream.ops.local.runtime import runtime_folder
from carbonstream.schemas.settings import Settings

PROFILE: Final = "demo"
HERE: Final = {"kafka", "database", "state_dir", "api_token", "push_tokens"}


def settings_here(runtime: Path) -> Settings:
    """Addresses, state and tokens of the demo's profile; tokens are made once and kept there.

    Raises LocalError where it was never started.
    """
    kafka, database = addresses(PROFILE)
    folder = runtime / PROFILE
    secret_file = folder / "secrets.json"
    if not secret_file.exists():
        made = {"api": secrets.token_urlsafe(32), "push": secrets.token_urlsafe(32)}
        secret_file.write_text(json.dumps(made))
        secret_file.chmod(0o600)
    kept = json.loads(secret_file.read_text())
    return Settings(
        kafka=kafka,
        database=database,
        state_dir=folder / "sources",
        api_token=kept["api"],
        push_tokens={kept["push"]: "http/demo"},
    )


def as_environment(settings: Settings, names: set[str] = HERE) -> dict[str, str]:
    """What `settings_here` gives, as variables for other processes."""
    given = settings.model_dump(mode="json", include=names)
    return {
        f"CARBONSTREAM_{name.upper()}": json.dumps(value) if isinstance(value, dict) else value
        for name, value in given.items()
    }


def speak_to_what_is_here() -> None:
    """Where neither the environment nor `.env` names servers, this process and those it starts use the demo's."""
    runtime = runtime_folder()
    given = Settings().model_fields_set
    if {"kafka", "database"} & given or not (runtime / PROFILE / "state.json").exists():
        return
    os.environ.update(as_environment(settings_here(runtime), HERE - given))
