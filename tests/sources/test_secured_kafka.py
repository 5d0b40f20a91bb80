"""Kafka that asks for TLS, a client's certificate and a password: every client of ours gets in, and none without."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.replay import Options, replay
from carbonstream.ops.balance import ledger
from carbonstream.ops.local import kafka as broker
from carbonstream.ops.local import kafka_jars
from carbonstream.ops.local.runtime import runtime_folder
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.settings import Settings
from tests.running import eventually, running
from tests.sources.pushing import free_port

PASSWORD = "a password for tests"
SERVICES = ("relay", "timescale", "convert", "watch", "ledger", "ticker")
SECURED = """
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
listener.security.protocol.map=BROKER:SASL_SSL,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.broker.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required username="carbonstream" password="{password}";
listener.name.broker.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
"""
READINGS = """meter,time,value
330502-steel/E01,2024-03-01T00:15:00+08:00,1.5
330502-steel/E01,2024-03-01T00:30:00+08:00,2.25
"""


def run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True, timeout=60)


def certificate(folder: Path, name: str) -> None:
    """A key and a certificate that it has signed itself, for 127.0.0.1, in one file."""
    parts = folder / f"{name}.key", folder / f"{name}.crt"
    run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", parts[0], "-out", parts[1],
    )  # fmt: skip
    (folder / f"{name}.pem").write_text("".join(part.read_text() for part in parts))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The settings of a broker that lets nobody in without certificate and password."""
    folder = tmp_path_factory.mktemp("secured")
    for name in ("broker", "client"):
        certificate(folder, name)
    trusted = [(folder / f"{name}.crt").read_text() for name in ("broker", "client")]
    (folder / "ca.pem").write_text("".join(trusted))
    ports = {"port": free_port(), "controller_port": free_port()}
    properties = folder / "server.properties"
    text = broker.PROPERTIES.format(folder=folder / "data", **ports)
    properties.write_text(text + SECURED.format(folder=folder, password=PASSWORD, **ports))
    java = ["java", "-cp", f"{kafka_jars.jars_folder(runtime_folder())}/*"]
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    scram = f"SCRAM-SHA-512=[name=carbonstream,password={PASSWORD}]"
    run(
        *java,
        "kafka.tools.StorageTool",
        "format",
        f"--cluster-id={cluster}",
        f"--config={properties}",
        "--add-scram",
        scram,
    )
    with (folder / "broker.log").open("w") as log:
        server = subprocess.Popen([*java, "-Xmx512m", "kafka.Kafka", str(properties)], stdout=log, stderr=log)
    try:
        yield {
            "kafka": f"127.0.0.1:{ports['port']}",
            "kafka_security": "sasl_ssl",
            "kafka_ca": str(folder / "broker.crt"),
            "kafka_certificate": str(folder / "client.pem"),
            "kafka_user": "carbonstream",
            "kafka_password": PASSWORD,
        }
    finally:
        server.kill()
        server.wait()


def answers(config: dict[str, Any]) -> bool:
    try:
        return bool(AdminClient(kafka.client(Settings(**config))).list_topics(timeout=1).brokers)
    except kafka.KafkaException:
        return False


@pytest.mark.timeout(300)
def test_readings_go_all_the_way_through_a_secured_kafka(secured: dict[str, Any], tmp_path: Path) -> None:
    eventually(lambda: answers(secured), "the broker answers")
    path = tmp_path / "readings.csv"
    path.write_text(READINGS)
    with running(tmp_path / "state", services=SERVICES, **secured) as run:
        report = replay(run.settings, path, Options("replay/secured", mode=Mode.BACKFILL))
        eventually(lambda: run.stored("replay/secured") == report.readings == 2, "both are stored")
        account = ledger(run.settings, 60)
        assert account["balanced"], account["differences"]
        assert account["stored"]["kwh"] == "3.75"


@pytest.mark.parametrize(
    "wrong",
    [{"kafka_password": "another"}, {"kafka_certificate": ""}, {"kafka_ca": ""}],
    ids=["password", "no certificate", "broker of an unknown signer"],
)
def test_nobody_gets_in_or_is_taken_for_the_broker_without(
    secured: dict[str, Any], wrong: dict[str, Any]
) -> None:
    eventually(lambda: answers(secured), "the broker answers")
    assert not answers(secured | wrong)


def test_settings_that_cannot_be_used_name_what_is_missing() -> None:
    with pytest.raises(ValueError, match="kafka_security sasl_ssl needs kafka_user and kafka_password"):
        Settings(kafka_security="sasl_ssl")
