"""One Kafka broker in KRaft mode: broker and controller in one JVM, on loopback."""

import base64
import logging
import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from carbonstream.ops.local import kafka_jars
from carbonstream.ops.local.errors import LocalError, need_command, tail
from carbonstream.ops.local.process import Process, alive, end, spawn, working_in
from carbonstream.ops.local.runtime import Profile, State, choose_port, exclusively

JAVA_PACKAGE = "openjdk-17-jre-headless (or a later one)"
OLDEST_JAVA = 17  # Kafka 4 brokers are compiled for it
READY_TIMEOUT_S = 60
STOP_GRACE_S = 30

JVM = ("-Xms256m", "-Xmx1g", "-XX:+UseParallelGC", "-XX:+ExitOnOutOfMemoryError")
STARTED = "Kafka Server started"  # in its log
LOGGING = ("showDateTime=true", "dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "defaultLogLevel=info")

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
log.dirs={folder}

# Topics come from the catalogue alone.
auto.create.topics.enable=false
# The default, 1 MiB, is below a frame of 500 readings with long meter ids.
message.max.bytes=4194304
replica.fetch.max.bytes=4194304

# One broker: nothing can be replicated.
default.replication.factor=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# 50 each by default: 100 more folders to open at every start, for a handful of groups.
offsets.topic.num.partitions=8
transaction.state.log.num.partitions=8

# A group of one machine is complete when its first member comes.
group.initial.rebalance.delay.ms=0

# A broker killed by -9 may register again only when its old session has ended: 9 s by default.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500

# Two cores are shared with the database and with us.
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=2
# 128 MiB by default, an eighth of our heap.
log.cleaner.dedupe.buffer.size=33554432
"""


def bootstrap(profile: Profile) -> str:
    """bootstrap.servers of the profile's broker, running or not."""
    return f"127.0.0.1:{profile.state().kafka_port}"


def is_prepared(profile: Profile) -> bool:
    """Whether the broker has an address, running or not."""
    return profile.state().kafka_port is not None


def prepare(profile: Profile) -> None:
    """Gives the broker its ports, unless it runs; ends what an interrupted start has left."""
    state = profile.state()
    if alive(state.kafka):
        return
    end(processes(profile), signal.SIGKILL, grace_s=10)
    preferred, preferred_controller, _ = profile.preferred_ports()
    port = choose_port(profile, state.kafka_port, preferred)
    controller_port = choose_port(profile, state.controller_port, preferred_controller, besides=port)
    profile.remember(kafka_port=port, controller_port=controller_port)


def start(profile: Profile, report: Callable[[str], None]) -> None:
    """Leaves a broker running that answers metadata requests: one that runs already is only asked.

    It is prepared, and the profile's lock is held by the caller.
    """
    state = profile.state()
    if alive(state.kafka):
        _wait_ready(profile)
        return
    archive = _archive(kafka_jars.fetch(profile.runtime, report))
    archived = [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []
    if not _data(profile).exists():
        report("formatting Kafka's storage")
        _format(profile, archived)
    _launch(profile, report, archived)
    _wait_ready(profile)


def archive_classes(runtime: Path, report: Callable[[str], None]) -> None:
    """Writes beside the jars what a broker's classes look like in memory, so that each start takes half of the time.

    They are those that a broker of its own has loaded when it ends. Where that fails, brokers start as they do without.
    """
    archive = _archive(kafka_jars.fetch(runtime, report))
    with exclusively(runtime, "kafka-classes"):
        if archive.exists():
            return
        profile, written = Profile(runtime, "archiving"), archive.with_suffix(".partial")
        try:
            prepare(profile)
            _format(profile, [])
            _launch(profile, report, [f"-XX:ArchiveClassesAtExit={written}"])
            deadline = time.monotonic() + READY_TIMEOUT_S
            while STARTED not in tail(_log(profile)) and time.monotonic() < deadline:
                if not alive(profile.state().kafka):
                    return
                time.sleep(0.1)
            report("archiving the broker's classes")
            stop(profile)
            if written.exists():
                written.rename(archive)
        except (LocalError, subprocess.TimeoutExpired) as error:
            report(f"no archive of the broker's classes: {error}")
        finally:
            stop(profile, signal.SIGKILL)
            shutil.rmtree(profile.folder, ignore_errors=True)


def _archive(jars: Path) -> Path:
    """Where the classes are archived: one of another Java is of no use."""
    return jars / f"classes-{_java_version(_java())}.jsa"


def _launch(profile: Profile, report: Callable[[str], None], flags: list[str]) -> None:
    """Leaves a broker that starts."""
    folder = _data(profile)
    properties = profile.folder / "server.properties"
    properties.write_text(_properties(profile.state(), folder))
    report("starting Kafka")
    logging_flags = [f"-Dorg.slf4j.simpleLogger.{setting}" for setting in LOGGING]
    # The JVM stays in its data folder, by which `processes` knows it; java has no flag for that.
    enter = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(folder)]
    server = _java_command(profile, [*JVM, *flags, *logging_flags], "kafka.Kafka", str(properties))
    profile.remember(kafka=spawn([*enter, *server], _log(profile)))


def stop(profile: Profile, sig: signal.Signals = signal.SIGTERM) -> None:
    """Ends the broker; SIGTERM lets it close its logs, so that the next start need not check them."""
    end(processes(profile), sig, STOP_GRACE_S)
    if profile.state_file.exists():
        profile.remember(kafka=None)


def processes(profile: Profile) -> list[Process]:
    """Every process of this broker, recorded or not."""
    recorded = profile.state().kafka
    found = working_in(_data(profile), "java")
    return [*found, recorded] if recorded and alive(recorded) and recorded not in found else found


def is_ready(profile: Profile, timeout_s: float = 1.0) -> bool:
    """Asks the broker for its metadata."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    silent = logging.getLogger("carbonstream.local.kafka")
    silent.disabled = True  # librdkafka reports each refused connection while the broker starts
    settings: dict[str, str | int | float | bool] = {
        "bootstrap.servers": bootstrap(profile),
        "reconnect.backoff.max.ms": 100,
    }
    try:
        client = AdminClient(settings, logger=silent)
        return bool(client.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return False


def _wait_ready(profile: Profile) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not is_ready(profile):
        if not alive(profile.state().kafka):
            raise LocalError(f"Kafka ended while it started; its log says:\n{tail(_log(profile))}")
        if time.monotonic() > deadline:
            raise LocalError(
                f"Kafka did not answer within {READY_TIMEOUT_S} s; its log says:\n{tail(_log(profile))}"
            )


def _format(profile: Profile, flags: list[str]) -> None:
    """Formats a folder beside the real one and renames it, so that half a formatting is never started."""
    partial = profile.folder / "kafka.partial"
    shutil.rmtree(partial, ignore_errors=True)
    properties = profile.folder / "format.properties"
    properties.write_text(_properties(profile.state(), partial))
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    words = "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", f"--config={properties}"
    tool = _java_command(profile, flags, *words)
    done = subprocess.run(
        tool, check=False, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    properties.unlink()
    if done.returncode != 0:
        raise LocalError(
            f"Kafka's storage could not be formatted:\n{done.stdout[-1000:]}{done.stderr[-1000:]}"
        )
    partial.rename(_data(profile))


def _properties(state: State, folder: Path) -> str:
    return PROPERTIES.format(port=state.kafka_port, controller_port=state.controller_port, folder=folder)


def _java_command(profile: Profile, flags: list[str], *words: str) -> list[str]:
    return [_java(), *flags, "-cp", f"{kafka_jars.jars_folder(profile.runtime)}/*", *words]


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = (
        f"{home}/bin/java" if home and Path(home, "bin/java").exists() else need_command("java", JAVA_PACKAGE)
    )
    version = _java_version(java)
    if int(version.partition(".")[0]) < OLDEST_JAVA:
        raise LocalError(
            f"Kafka needs Java {OLDEST_JAVA}, {java} is {version}: apt-get install {JAVA_PACKAGE}"
        )
    return java


def _java_version(java: str) -> str:
    # `openjdk version "17.0.15" 2025-04-15`
    banner = subprocess.run(
        [java, "-version"], check=False, capture_output=True, text=True, timeout=30
    ).stderr
    version = re.search(r'version "([0-9][^"]*)', banner)
    return version[1] if version else "0"


def _data(profile: Profile) -> Path:
    return profile.folder / "kafka"


def _log(profile: Profile) -> Path:
    return profile.folder / "kafka.log"
