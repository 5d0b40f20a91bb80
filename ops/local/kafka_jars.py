"""Kafka's jars, fetched from Maven Central into the runtime by the small pom beside this file."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from carbonstream.ops.local.errors import LocalError, need_command
from carbonstream.ops.local.runtime import exclusively

POM = Path(__file__).with_name("kafka-pom.xml")


def jars_folder(runtime: Path) -> Path:
    """Where the jars lie, fetched or not."""
    return runtime / "kafka"


def fetch(runtime: Path, report: Callable[[str], None]) -> Path:
    """Brings the jars unless they stand already; a copy by an older pom, or half a copy, is replaced."""
    folder = jars_folder(runtime)
    with exclusively(runtime, "kafka-jars"):
        made_by = folder / POM.name
        if made_by.exists() and made_by.read_bytes() == POM.read_bytes():
            return folder
        maven = need_command("mvn", "maven")
        report("fetching Kafka from Maven Central")
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        # Maven writes beside the pom it is given, and the installed one may be read-only: it gets a copy.
        shutil.copy(POM, partial)
        command = [maven, "--batch-mode", "--no-transfer-progress", "--quiet", "--strict-checksums"]
        command += [
            "--file",
            str(partial / POM.name),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={partial}",
        ]
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired as error:
            raise LocalError(
                "Maven did not bring Kafka within 10 minutes: is Maven Central reachable?"
            ) from error
        if done.returncode != 0:
            raise LocalError(
                f"Maven could not bring Kafka: is Maven Central reachable?\n{done.stdout[-2000:]}"
            )
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        return folder
