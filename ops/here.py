"""The settings of what `make demo` or `carbonstream local up` has started in this folder."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from carbonstream.ops.local import LocalError, addresses
from carbonstream.ops.local.runtime import runtime_folder
from carbonstream.schemas.settings import Settings, as_environment

PROFILE: Final = "demo"
HERE: Final = {"kafka", "database", "state_dir", "api_token", "push_tokens"}


def settings_here(runtime: Path) -> Settings:
    """Addresses, state and tokens of the demo's profile; tokens are made once and kept there.

    Raises LocalError where it was never started.
    """
    kafka, database = addresses(PROFILE)
    folder = runtime / PROFILE
    kept = _secrets(folder / "secrets.json")
    return Settings(
        kafka=kafka,
        database=database,
        state_dir=folder / "sources",
        api_token=kept["api"],
        push_tokens={kept["push"]: "http/demo"},
    )


def _secrets(file: Path) -> dict[str, str]:
    """The file's content; whole and only its owner's to read from the first moment, also when two make it at once."""
    if not file.exists():
        made = {"api": secrets.token_urlsafe(32), "push": secrets.token_urlsafe(32)}
        partial = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(made))
        with suppress(FileExistsError):
            os.link(partial, file)
        partial.unlink()
    content: dict[str, str] = json.loads(file.read_text())
    return content


def speak_to_what_is_here() -> None:
    """Where neither the environment nor `.env` names servers, this process and those it starts use the demo's."""
    runtime = runtime_folder()
    given = Settings().model_fields_set
    if {"kafka", "database", "read_database"} & given or not (runtime / PROFILE / "state.json").exists():
        return
    with suppress(LocalError):  # one of its servers was never started
        os.environ.update(as_environment(settings_here(runtime), HERE - given))
