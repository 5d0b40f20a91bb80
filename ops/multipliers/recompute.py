"""The intervals of an approved correction, sent once more through meter.readings in mode edit.

convert computes them by the multipliers in force, so the sink's transaction, its ledger and its corrections are those
of any reading, and a replay meets them where they stood. What is read here cannot change under us: once the correction
is in force in convert, only edits touch an interval that was computed by the wrong multiplier.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from carbonstream.connectors import kafka
from carbonstream.connectors.database import connect
from carbonstream.connectors.locks import SPACE, Only
from carbonstream.connectors.sources.resend import Again, Resending, wait_until_stored
from carbonstream.ops.load.in_force import wait_until_in_force
from carbonstream.ops.multipliers.corrections import asked_of, listed
from carbonstream.ops.multipliers.registers import Connection, Register, register, stored_rows
from carbonstream.processors.recomputing import Recomputed, differing, intervals_of
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.frames import MAX_READINGS, SOURCE_RECOMPUTE
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of

GO_ON: Final = "the correction is approved: `carbonstream multipliers resume` goes on"


def resume(settings: Settings, wait_s: float) -> list[dict[str, Any]]:
    """Recompute what approved corrections leave to be done; the corrections, each with its `intervals` sent now.

    May be killed and repeated, and run twice at once: what is stored already is not sent again. Raises NotReady where
    services do not take it up in time.
    """
    done = []
    with connect(settings, application="recompute", autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s, %s)", (SPACE, int(Only.RECOMPUTE)))
        due = [line for line in listed(connection) if line["state"] == "approved"]
        if due:
            wait_until_in_force(settings, wait_s)
        for line in due:
            sent = _recompute(settings, connection, line, wait_s)
            now = datetime.now(UTC)
            connection.execute(
                "insert into multiplier_correction_done values (%s, %s, %s)", [line["id"], sent, now]
            )
            done.append(line | {"state": "done", "intervals": sent})
    return done


def _recompute(settings: Settings, connection: Connection, line: dict[str, Any], wait_s: float) -> int:
    asked = asked_of(line)
    meter = register(connection, asked.meter_id)
    settle(settings, meter, {}, wait_s, GO_ON)
    wrong = _wrong(connection, meter, asked.since, asked.until)
    with Resending(settings, SOURCE_RECOMPUTE, Mode.EDIT) as resending:
        for low in range(0, len(wrong), MAX_READINGS):
            resending.send(meter.shard, *frame_of(meter, wrong[low : low + MAX_READINGS]))
        resending.flush()
        settle(settings, meter, resending.reached, wait_s, GO_ON)
    if left := _wrong(connection, meter, asked.since, asked.until):
        raise NotReady(f"{len(left)} intervals of {meter.meter_id} are not as they should be; {GO_ON}")
    return len(wrong)


def frame_of(meter: Register, wrong: list[Recomputed]) -> tuple[list[Again], dict[str, Any]]:
    """Readings and further members of a frame of mode edit: each interval with its indexes and what it replaces."""
    unit = meter.unit
    intervals = [w.interval for w in wrong]
    # thousandths of a base unit as a double and back are exact below 2^53
    readings = [Again(meter.meter_id, i.start, i.end, i.last / 1_000, unit) for i in intervals]
    return readings, {
        "quality": [i.quality for i in intervals],
        "first_index": [(i.first or 0) / 1_000 for i in intervals],
        "replaces": [i.quantity for i in intervals],
    }


def _wrong(connection: Connection, meter: Register, since: int, until: int | None) -> list[Recomputed]:
    rows = stored_rows(connection, meter.number, since, until)
    return differing(intervals_of(rows), meter.history, meter.milli_of)[0]


def settle(
    settings: Settings, meter: Register, reached: Mapping[int, int], wait_s: float, go_on: str
) -> None:
    """Wait until what is sent so far of the meter's partition, and up to `reached`, is stored. Raises NotReady, which
    says how it goes on."""
    topic, consumer = settings.topic(topics.READINGS), kafka.reader(settings)
    try:
        n = partition_of(meter.shard, settings.partitions_of(topics.READINGS))
        end = kafka.end_offsets_of(consumer, topic, n)[1]
    finally:
        consumer.close()
    if not wait_until_stored(settings, {n: end - 1, **reached}, wait_s):
        raise NotReady(
            f"readings before it are not stored in {wait_s} s: are convert and timescale running? {go_on}"
        )
