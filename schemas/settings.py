"""Settings: environment variables with the prefix CARBONSTREAM_, or a `.env` file; documented in docs/settings.md."""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from carbonstream.schemas import topics


class Settings(BaseSettings):
    """All settings of all processes. Every field is CARBONSTREAM_<NAME IN CAPITALS>."""

    model_config = SettingsConfigDict(
        env_prefix="CARBONSTREAM_", env_file=".env", extra="ignore", frozen=True
    )

    kafka: str = Field("127.0.0.1:19092", description="Kafka bootstrap servers")
    kafka_security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        "plaintext", description="how Kafka is spoken to: plaintext, ssl, sasl_plaintext, sasl_ssl"
    )
    kafka_ca: str = Field(
        "", description="file of certificates (PEM) of who may have signed the brokers'; empty: the system's"
    )
    kafka_certificate: str = Field(
        "", description="file of a client certificate with its key (PEM) where the brokers ask for one"
    )
    kafka_sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"
    )
    kafka_user: str = Field("", description="SASL user; needs rights to read and write every topic and group")
    kafka_password: str = Field("", description="SASL password")
    database: str = Field(
        "postgresql://carbonstream@127.0.0.1:15432/carbonstream", description="database URL of the owner role"
    )
    read_database: str = Field(
        "",
        description="database URL of a login that is only a member of carbonstream_read; the API then has no rights "
        "to write. Empty: the owner's login with its rights put down",
    )
    topic_prefix: str = Field(
        "", description="put before every topic name and consumer group, to share a cluster"
    )
    instance: str = Field(
        "",
        description="name of this machine among those that run the same service; with it a process that was killed "
        "takes its partitions up again at once instead of after 10 s (`up` gives the host's name)",
    )
    partitions: int = Field(
        8, ge=1, le=64, description="partitions of each partitioned topic; fixed once created"
    )
    replicas: int = Field(
        1,
        ge=1,
        description="copies of each topic that `carbonstream topics` creates; with several, a reading is acknowledged "
        "when all but one of them have it (min.insync.replicas)",
    )
    state_dir: Path = Field(
        Path(".runtime/state"), description="where sources keep their sequence numbers and known files"
    )
    virtual_time: bool = Field(
        False, description="ticks come from a test or replay instead of the wall clock"
    )

    live_max_age_s: int = Field(
        31 * 86_400, description="a live reading older than this is refused (code ANCIENT)"
    )
    live_max_ahead_s: int = Field(
        300,
        description="a live reading further ahead of the tick is refused (FUTURE), and a tick further ahead of Kafka",
    )
    backfill_max_ahead_s: int = Field(
        86_400, description="no reading of any mode may end later than tick + this"
    )

    estimate_grace_s: int = Field(
        300, ge=1, description="an interval is estimated when its reading is missing so long after its end"
    )
    estimate_silent_s: int = Field(
        2 * 86_400,
        ge=7_200,
        description="a meter without a reading for so long is silent: its intervals stay missing",
    )

    checkpoint_s: float = Field(15.0, description="how often convert writes its state to meter.state")
    sink_batch_rows: int = Field(60_000, description="a sink transaction holds at most about this many rows")
    sink_linger_ms: int = Field(40, description="how long a sink waits to fill a batch")
    relay_period_ms: int = Field(250, description="a busy total is published at most this often")
    consistency_s: float = Field(
        60.0, description="the consistency indicators are computed at most this often"
    )
    watchdog_s: float = Field(
        60.0,
        description="convert ends itself, and watch begins anew, after lag without progress for this long",
    )

    refusals_days: int = Field(30, ge=1, description="what the edge refused is told this long")
    held_days: int = Field(
        400,
        ge=8,
        description="released held readings are kept this long; those that wait are kept until released",
    )
    rejects_days: int = Field(
        400, ge=1, description="rejected readings, and gaps in the sources' numbers, are kept this long"
    )
    corrections_days: int = Field(
        0,
        ge=0,
        description="corrections are kept this long; 0: for ever, as figures `as_of` a time need them",
    )
    canary_meters: list[str] = Field(
        default_factory=list,
        description='JSON list of registered meters outside the boundary, e.g. ["330502-c/CANARY"], one a partition; '
        "the canary reports as these through every source it has a token for, and measures the way",
    )
    canary_s: float = Field(15.0, ge=1, description="how often the canary reports")

    operator_positions: int = Field(
        1,
        ge=1,
        le=1_000,
        description="operator positions that share the warnings; alarm health is told per position",
    )

    notify_workers: int = Field(4, ge=1, le=32, description="channels that notices are sent to at once")
    notify_networks: list[str] = Field(
        default_factory=list,
        description='JSON list of networks (CIDR), e.g. ["10.2.0.0/16"], that webhooks may reach though they are not '
        "public, and without TLS",
    )
    notices_days: int = Field(
        400,
        ge=2,
        description="sent notices and their receipts are kept this long; dead ones until they are sent",
    )
    smtp: str = Field(
        "",
        description="mail server of notices: smtp://user:password@host:587 (STARTTLS where offered; without it no "
        "password is sent) or smtps://; empty: no mail is sent",
    )
    smtp_from: str = Field("carbonstream@localhost.localdomain", description="sender of notices by mail")

    host: str = Field("127.0.0.1", description="address the servers listen on; loopback unless set")
    http_port: int = Field(8710, description="HTTP push source")
    api_port: int = Field(8711, description="API and board")
    metrics_port: int = Field(
        8720, description="first of the /metrics ports: one a service, in catalogue order; 0 off"
    )
    push_tokens: dict[str, str] = Field(
        default_factory=dict, description='JSON object token -> source name, e.g. {"s3cret":"http/gw-7"}'
    )
    api_token: str = Field("", description="bearer token of the API; made at first start where empty")
    log_level: str = Field("info", description="debug, info, warning, error")

    @field_validator("notify_networks")
    @classmethod
    def _are_networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            ip_network(network)  # its ValueError names the value
        return networks

    @model_validator(mode="after")
    def _can_speak_to_kafka(self) -> Self:
        if self.kafka_security.startswith("sasl") and not (self.kafka_user and self.kafka_password):
            raise ValueError(f"kafka_security {self.kafka_security} needs kafka_user and kafka_password")
        return self

    def topic(self, name: str) -> str:
        """Full name of a catalogue topic."""
        return self.topic_prefix + name

    def latest_tick(self, appended_ms: int) -> int | None:
        """How late (UTC ms) a tick may be that Kafka appended at `appended_ms`; None: in virtual time any is taken."""
        return None if self.virtual_time else appended_ms + self.live_max_ahead_s * 1_000

    def partitions_of(self, name: str) -> int:
        """Partition count of a catalogue topic under this layout."""
        return topics.BY_NAME[name].partitions or self.partitions


def as_environment(settings: Settings, names: Collection[str]) -> dict[str, str]:
    """These settings as variables, for other processes; what is None is left out."""
    given = settings.model_dump(mode="json", include=set(names))
    return {
        f"CARBONSTREAM_{name.upper()}": json.dumps(value) if isinstance(value, dict | list) else str(value)
        for name, value in given.items()
        if value is not None
    }


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Settings of this process, read once."""
    return Settings()
