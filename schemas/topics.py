"""The topic catalogue: created by `carbonstream topics`, never automatically.

Delete topics are stamped by the broker (LogAppendTime): an import of old event times would otherwise expire at
once. Retention follows how long a consumer may be away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DAY_MS: Final = 86_400_000

READINGS: Final = "meter.readings"
STATE: Final = "meter.state"
EMISSIONS: Final = "carbon.emissions"
SIGNALS: Final = "carbon.signals"
TOTALS: Final = "carbon.totals"
COMMANDS: Final = "warn.commands"
WARNINGS: Final = "carbon.warnings"
REJECTS: Final = "meter.rejects"
REF_SITES: Final = "ref.sites"
REF_METERS: Final = "ref.meters"
REF_COEFFICIENTS: Final = "ref.coefficients"
REF_TARGETS: Final = "ref.targets"
REF_ACTIVITY: Final = "ref.activity"
REF_RULES: Final = "ref.rules"
# a command names warnings of many entities, and all commands are applied in one order
COMMANDS_PARTITION: Final = 0
REFERENCE: Final = (REF_SITES, REF_METERS, REF_COEFFICIENTS, REF_TARGETS, REF_ACTIVITY, REF_RULES)


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `partitions` None means: as many as the layout has."""

    name: str
    about: str
    partitions: int | None = None
    compact: bool = False
    retention_ms: int | None = None  # None: kept for ever (compacted)

    def config(self, replicas: int = 1) -> dict[str, str]:
        """Broker configuration of this topic, of which there are so many copies."""
        config = {
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(MAX_RECORD_BYTES),
            "min.insync.replicas": str(max(replicas - 1, 1)),
        }
        if not self.compact:
            return config | {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}
        # recovery must find the same reference changes it saw the first time
        config |= {"cleanup.policy": "compact", "min.compaction.lag.ms": str(DAY_MS)}
        if self.name == STATE:
            # rewritten every 10-30 s: compact early, so that recovery reads little
            config |= {"min.compaction.lag.ms": "0", "segment.ms": "600000", "segment.bytes": str(64 << 20)}
        if self.retention_ms is not None:
            config |= {"cleanup.policy": "compact,delete", "retention.ms": str(self.retention_ms)}
        return config


MAX_RECORD_BYTES: Final = 4 << 20  # 500 readings of 100-byte ids are 80 kB; a state block of 512 meters 64 kB

CATALOGUE: Final[tuple[Topic, ...]] = (
    Topic(READINGS, "frames of readings and ticks, by shard", retention_ms=7 * DAY_MS),
    Topic(STATE, "convert's checkpoints, by partition", compact=True),
    Topic(EMISSIONS, "what became of every reading", retention_ms=7 * DAY_MS),
    Topic(SIGNALS, "conditions and forwarded ticks, by entity", retention_ms=7 * DAY_MS),
    Topic(TOTALS, "absolute totals by entity, grain, bucket", compact=True, retention_ms=40 * DAY_MS),
    Topic(COMMANDS, "acknowledge, shelve ..., all in partition 0", retention_ms=400 * DAY_MS),
    Topic(WARNINGS, "every change of every warning, and what operators did", retention_ms=400 * DAY_MS),
    Topic(REJECTS, "readings not taken, with their code, by shard", retention_ms=30 * DAY_MS),
    Topic(REF_SITES, "sites", partitions=1, compact=True),
    Topic(REF_METERS, "meters and their dense numbers", partitions=1, compact=True),
    Topic(REF_COEFFICIENTS, "coefficients by carrier, scope, month", partitions=1, compact=True),
    Topic(REF_TARGETS, "targets by entity and period", partitions=1, compact=True),
    Topic(REF_ACTIVITY, "value added and output by entity and month", partitions=1, compact=True),
    Topic(REF_RULES, "check and warning rules, parameters of checks", partitions=1, compact=True),
)
BY_NAME: Final = {topic.name: topic for topic in CATALOGUE}
