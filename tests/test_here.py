"""Which servers a command speaks to where it is not told: those of the demo in its folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = """
from carbonstream.ops.here import speak_to_what_is_here
from carbonstream.schemas.settings import Settings
speak_to_what_is_here()
print(Settings().model_dump_json(include={"kafka", "database", "state_dir", "api_token", "push_tokens"}))
"""
STATE = {"kafka_port": 20_160, "controller_port": 20_161, "postgres_port": 20_150, "password": "of-a-test"}


def demo_in(folder: Path, **state: Any) -> None:
    (folder / ".runtime" / "demo").mkdir(parents=True)
    (folder / ".runtime" / "demo" / "state.json").write_text(json.dumps(state))


def chosen(folder: Path, **given: str) -> dict[str, Any]:
    """What a process in the folder speaks to."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARBONSTREAM_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder, env=environment | given, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_command_speaks_to_the_demo_in_its_folder(tmp_path: Path) -> None:
    demo_in(tmp_path, **STATE)
    first = chosen(tmp_path)
    assert first["kafka"] == "127.0.0.1:20160"
    assert "of-a-test@127.0.0.1:20150" in first["database"]
    assert first["state_dir"] == str(tmp_path / ".runtime" / "demo" / "sources")
    assert first["api_token"]
    assert chosen(tmp_path) == first
    assert (tmp_path / ".runtime" / "demo" / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_what_is_given_stands(tmp_path: Path) -> None:
    demo_in(tmp_path, **STATE)
    assert chosen(tmp_path, CARBONSTREAM_API_TOKEN="mine")["api_token"] == "mine"
    for given in ({"CARBONSTREAM_KAFKA": "k:1"}, {"CARBONSTREAM_DATABASE": "postgresql://d"}):
        assert "20160" not in chosen(tmp_path, **given)["kafka"]
        assert "20150" not in chosen(tmp_path, **given)["database"]
    (tmp_path / ".env").write_text("CARBONSTREAM_KAFKA=k:2\n")
    assert chosen(tmp_path)["kafka"] == "k:2"
    assert "20150" not in chosen(tmp_path)["database"]


def test_without_a_whole_demo_nothing_is_chosen(tmp_path: Path) -> None:
    nothing = chosen(tmp_path)
    demo_in(tmp_path, kafka_port=20_160)
    assert chosen(tmp_path) == nothing
