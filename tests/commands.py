"""The command line, in the test's own process."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any, NamedTuple

import pytest

from carbonstream.ops.cli import main
from carbonstream.schemas.settings import Settings, as_environment
from carbonstream.schemas.settings import settings as of_this_process


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    def told(self) -> Any:
        """The JSON it printed."""
        return json.loads(self.out)


def carbonstream(settings: Settings, *words: object) -> Done:
    """Run a command with what was given of these settings. A process of its own runs `main` too, and takes a second to
    start."""
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in as_environment(settings, settings.model_fields_set).items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["carbonstream", *map(str, words)])
        of_this_process.cache_clear()
        try:
            main()
        except SystemExit as ended:
            return Done(int(ended.code or 0), out.getvalue(), err.getvalue())
        finally:
            of_this_process.cache_clear()
    raise AssertionError("a command ends with its exit code")


def told(settings: Settings, *words: object) -> Any:
    """What a command prints with --json; it must end well."""
    done = carbonstream(settings, *words, "--json")
    assert done.code == 0, done.err or done.out
    return done.told()
