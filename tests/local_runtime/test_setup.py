"""What happens around the servers: ports, names, existing servers, missing tools, half-finished downloads."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from carbonstream.ops import local
from carbonstream.ops.local import LocalError, clean, kafka_jars, postgres_root, process, runtime
from carbonstream.ops.local.process import Process
from carbonstream.ops.local.runtime import Profile, choose_port

BOOKWORM = 'ID=debian\nVERSION_ID="12"\n'
DEB822 = """\
Types: deb
URIs: https://mirror.example/debian-security
Suites: bookworm-security

Types: deb
# a comment
URIs: https://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_port_somebody_listens_on_is_passed_over(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert choose_port(Profile(tmp_path, "one"), recorded=None, preferred=taken) > taken


def test_a_port_another_profile_remembers_is_passed_over_though_it_is_down(tmp_path: Path) -> None:
    port = free_port()
    Profile(tmp_path, "other").remember(postgres_port=port)
    assert choose_port(Profile(tmp_path, "one"), recorded=None, preferred=port) > port


def test_a_profile_keeps_the_port_it_had(tmp_path: Path) -> None:
    had, preferred = free_port(), free_port()
    assert choose_port(Profile(tmp_path, "one"), recorded=had, preferred=preferred) == had


@pytest.mark.parametrize(
    "name", ["kafka", "postgres-root", "locks", "state", "", "Demo", "../demo", "a/b", "1"]
)
def test_a_name_that_is_no_folder_of_its_own_is_refused(name: str) -> None:
    with pytest.raises(LocalError, match="profile"):
        runtime.profile(name)


def test_the_addresses_of_a_profile_that_never_ran_are_an_error_that_says_how_to_start_it() -> None:
    with pytest.raises(LocalError, match="carbonstream local up --profile never-started"):
        local.addresses("never-started")


def test_cleaning_a_runtime_leaves_what_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARBONSTREAM_RUNTIME", str(tmp_path))
    for ours in ("kafka", "postgres-root", "postgres-root.partial", "one/kafka", "not-ours"):
        (tmp_path / ours).mkdir(parents=True)
    runtime.profile("one").remember(kafka_port=1)
    clean.clean()
    assert [path.name for path in tmp_path.iterdir()] == ["not-ours"]


def test_a_process_that_took_over_a_recorded_pid_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARBONSTREAM_RUNTIME", str(tmp_path))
    with subprocess.Popen(["sleep", "60"]) as bystander:
        Profile(tmp_path, "one").remember(kafka=Process(bystander.pid, "an earlier boot/1"))
        local.stop("one")
        local.kill("one", "kafka")
        assert process.identify(bystander.pid) is not None
        bystander.kill()


def test_named_existing_servers_are_used_and_nothing_is_started(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "CARBONSTREAM_RUNTIME": str(tmp_path),
        "CARBONSTREAM_KAFKA": "broker:9092",
        "CARBONSTREAM_DATABASE": "postgresql://somewhere/carbonstream",
    }
    command = [sys.executable, "-m", "carbonstream.ops.local"]
    up = subprocess.run(
        [*command, "up", "--profile", "one"],
        check=False, capture_output=True, text=True, env=environment, timeout=30,
    )  # fmt: skip
    assert up.returncode == 0
    assert "CARBONSTREAM_KAFKA names an existing one, nothing is started" in up.stderr
    assert "CARBONSTREAM_DATABASE names an existing one, nothing is started" in up.stderr
    assert not (tmp_path / "one").exists()
    status = subprocess.run(
        [*command, "status", "--json"],
        check=False, capture_output=True, text=True, env=environment, timeout=30,
    )  # fmt: skip
    assert json.loads(status.stdout)["kafka"]["address"] == "broker:9092"


def test_a_missing_command_is_told_with_the_package_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalError, match="mvn is not installed: apt-get install maven"):
        kafka_jars.fetch(tmp_path, lambda _step: None)


def test_the_servers_programs_are_fetched_by_pythons_standard_library_alone(tmp_path: Path) -> None:
    (tmp_path / "carbonstream").symlink_to(Path(__file__).parents[2])
    # -S: no site-packages, as beside a pip that has not finished.
    command = [sys.executable, "-S", "-c", "import carbonstream.ops.local.binaries"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=30)
    assert done.returncode == 0, done.stderr


def test_half_fetched_jars_are_fetched_again_and_then_kept(tmp_path: Path) -> None:
    steps: list[str] = []
    (tmp_path / "kafka.partial").mkdir()
    (tmp_path / "kafka.partial" / "half.jar").write_text("half")
    folder = kafka_jars.fetch(tmp_path, steps.append)
    assert list(folder.glob("kafka_2.13-*.jar"))
    assert not (folder / "half.jar").exists()
    fetched = len(steps)
    kafka_jars.fetch(tmp_path, steps.append)
    assert len(steps) == fetched


def test_a_mirror_that_does_not_answer_leaves_no_half_root_to_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARBONSTREAM_DEBIAN_MIRROR", f"http://127.0.0.1:{free_port()}/debian")
    with pytest.raises(LocalError, match="CARBONSTREAM_DEBIAN_MIRROR"):
        postgres_root.install(tmp_path, lambda _step: None)
    assert not postgres_root.root_folder(tmp_path).exists()


@pytest.mark.parametrize(
    ("file", "content", "mirror"),
    [
        ("sources.list.d/debian.sources", DEB822, "https://mirror.example/debian"),
        (
            "sources.list",
            "deb http://security.example/debian-security bookworm-security main\n"
            "deb [arch=amd64 signed-by=/k] http://mirror.example/debian/ bookworm main\n",
            "http://mirror.example/debian/",
        ),
        ("sources.list", "deb cdrom:[Debian]/ bookworm main\n", None),
        ("sources.list.d/debian.sources", f"Enabled: no\n{DEB822.split(chr(10) * 2)[1]}", None),
    ],
)
def test_debians_own_mirror_is_found_in_both_formats_of_apt(
    tmp_path: Path, file: str, content: str, mirror: str | None
) -> None:
    (tmp_path / "os-release").write_text(BOOKWORM)
    (tmp_path / "apt" / file).parent.mkdir(parents=True)
    (tmp_path / "apt" / file).write_text(content)
    assert postgres_root.apt_mirror(tmp_path) == mirror


def test_ubuntus_mirror_is_not_asked_for_debian(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text('NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n')
    assert postgres_root.apt_mirror(tmp_path) is None
