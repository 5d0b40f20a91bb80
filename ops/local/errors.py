"""The exception of the local servers, and the checks that raise it before anything is started."""

import os
import shutil
from pathlib import Path

from carbonstream.schemas.errors import CarbonstreamError


class LocalError(CarbonstreamError):
    """A local server cannot be set up, started or stopped; the message says what to do next."""


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    if not log.exists():
        return f"(no log at {log})"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def need_command(command: str, package: str) -> str:
    """The path of a command, or an error that names the Debian package that brings it."""
    # Debian keeps debootstrap and chroot in /usr/sbin, which is not on every PATH.
    found = shutil.which(command, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        raise LocalError(f"{command} is not installed: apt-get install {package}")
    return found


def need_root(purpose: str) -> None:
    """Mount namespaces and chroot want root; the error names the two other roads."""
    if os.geteuid() != 0:
        raise LocalError(
            f"{purpose} needs root: run it with sudo, or name existing servers in CARBONSTREAM_KAFKA and "
            "CARBONSTREAM_DATABASE, or use `docker compose up`"
        )
