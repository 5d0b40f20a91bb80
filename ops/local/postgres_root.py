"""PostgreSQL and TimescaleDB from Debian trixie in a folder of their own, on any Debian or Ubuntu."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from carbonstream.ops.local.errors import LocalError, need_command, need_root
from carbonstream.ops.local.runtime import exclusively

SUITE = "trixie"
PACKAGES = "postgresql-17,postgresql-17-timescaledb"
BIN = "/usr/lib/postgresql/17/bin"
# debootstrap prints about this many lines: 120 packages, each retrieved, validated, unpacked, configured.
EXPECTED_LINES = 600
# Not needed to run the server: 280 of 700 MB.
SUPERFLUOUS = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/locale",
    "var/lib/postgresql/17",
)
KEYRINGS = ("debian-archive-keyring.pgp", "debian-archive-keyring.gpg")


def root_folder(runtime: Path) -> Path:
    """The root of the Debian that holds PostgreSQL, installed or not."""
    return runtime / "postgres-root"


def install(runtime: Path, report: Callable[[str], None]) -> Path:
    """Brings the packages unless they stand already; half an installation is thrown away and done again."""
    root = root_folder(runtime)
    with exclusively(runtime, "postgres-root"):
        if root.exists():
            return root
        need_root("Installing PostgreSQL")
        report("installing PostgreSQL and TimescaleDB from Debian")
        partial = root.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.parent.mkdir(parents=True, exist_ok=True)
        _debootstrap(partial, report)
        for folder in SUPERFLUOUS:
            shutil.rmtree(partial / folder, ignore_errors=True)
        partial.rename(root)
        return root


def _debootstrap(target: Path, report: Callable[[str], None]) -> None:
    debootstrap = need_command("debootstrap", "debootstrap")
    # debootstrap mounts /proc into the target. In namespaces of its own that mount and everything it started
    # end with it, and it is killed when we are: the half-filled folder can always be removed.
    dies_with_us = [need_command("setpriv", "util-linux"), "--pdeathsig", "KILL"]
    own_namespaces = [need_command("unshare", "util-linux"), "--mount", "--pid", "--fork", "--kill-child"]
    command = [*dies_with_us, *own_namespaces, debootstrap, "--variant=minbase", f"--include={PACKAGES}"]
    command += ["--force-check-gpg", f"--keyring={_keyring()}", SUITE, str(target)]
    mirror = os.environ.get("CARBONSTREAM_DEBIAN_MIRROR") or apt_mirror(Path("/etc"))
    if mirror:
        command.append(mirror)
    log = target.with_name("postgres-root.log")
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
        ) as running,
        log.open("w") as copy,
    ):
        for number, line in enumerate(running.stdout or (), start=1):
            copy.write(line)
            if number % 20 == 0:
                report(f"installing PostgreSQL and TimescaleDB, {min(99, 100 * number // EXPECTED_LINES)} %")
    if running.returncode != 0:
        last = "".join(log.read_text().splitlines(keepends=True)[-10:])
        raise LocalError(
            f"debootstrap could not install PostgreSQL ({log}):\n{last}"
            "If the mirror is at fault, name another one in CARBONSTREAM_DEBIAN_MIRROR."
        )


def _keyring() -> Path:
    for name in KEYRINGS:
        keyring = Path("/usr/share/keyrings", name)
        if keyring.exists():
            return keyring
    raise LocalError("Debian's signatures cannot be checked: apt-get install debian-archive-keyring")


def apt_mirror(etc: Path) -> str | None:
    """The mirror a machine's apt takes Debian itself from, by its /etc; None where it is no Debian."""
    if not re.search(r"^ID=\"?debian\"?$", (etc / "os-release").read_text(), re.MULTILINE):
        return None
    for uri, suites in _apt_sources(etc / "apt"):
        if re.fullmatch(r"https?://.*/debian/?", uri) and "security" not in suites:
            return uri
    return None


def _apt_sources(etc: Path) -> Iterator[tuple[str, str]]:
    """(uri, suites) of each archive, from the one-line and the deb822 format (sources.list(5))."""
    for file in [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))]:
        if file.exists():
            for line in re.finditer(r"^deb\s+(?:\[.*?\]\s+)?(\S+)\s+(\S+)", file.read_text(), re.MULTILINE):
                yield line[1], line[2]
    for file in sorted(etc.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", file.read_text()):
            entry = dict(re.findall(r"^(\w[\w-]*):[ \t]*(.*)$", stanza, re.MULTILINE))
            if "deb" in entry.get("Types", "").split() and entry.get("Enabled", "yes") != "no":
                for uri in entry.get("URIs", "").split():
                    yield uri, entry.get("Suites", "")
