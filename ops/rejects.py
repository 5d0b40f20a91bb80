"""`carbonstream rejects list|replay`: readings that were not taken, kept as they came."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple

import typer

from carbonstream.connectors.database import connect
from carbonstream.connectors.sources.reading import check_meter, check_unit
from carbonstream.connectors.sources.resend import Again, Resending, wait_until_stored
from carbonstream.ops.load.in_force import wait_until_in_force
from carbonstream.processors.frames import Frame, parse_record
from carbonstream.schemas.codes import REJECTED_OUTCOMES, Outcome
from carbonstream.schemas.errors import InvalidReading
from carbonstream.schemas.frames import MAX_READINGS, TYPE_READINGS
from carbonstream.schemas.periods import local_iso, to_ms
from carbonstream.schemas.settings import Settings, settings
from carbonstream.schemas.shards import shard_of, site_of

SOURCE: Final = "replay/rejects"
PAGE: Final = 20_000
CODES: Final = tuple(o.name.lower() for o in REJECTED_OUTCOMES)
WHERE: Final = """
from reject r
where (%(code)s::int is null or r.code = %(code)s) and (%(source)s = '' or r.source = %(source)s)
  and (%(since)s::timestamptz is null or r.rejected_at >= %(since)s)
  and (%(until)s::timestamptz is null or r.rejected_at < %(until)s)
"""
COUNT: Final = f"select r.code, count(*), count(r.replayed_at) {WHERE} group by 1 order by 1"
LIST: Final = (
    "select r.number, r.code, r.source, r.meter_id, r.start_ms, r.end_ms, r.value, r.unit, r.detail, r.partition, "
    f"r.source_offset, r.row, r.rejected_at, r.replayed_at {WHERE} order by r.number desc limit %(limit)s"
)
DUE: Final = (
    "select r.number, r.code, r.meter_id, r.start_ms, r.end_ms, r.value, r.unit, r.payload "
    f"{WHERE} and r.replayed_at is null and r.number > %(after)s and r.code <> {int(Outcome.DUPLICATE)} "
    "order by r.number limit %(limit)s"
)
NAMES: Final = (
    "number", "code", "source", "meter", "start_ms", "end_ms", "value", "unit", "detail", "partition", "offset", "row",
    "rejected_at", "replayed_at",
)  # fmt: skip
app = typer.Typer(no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]
CodeName = Annotated[str, typer.Option(help="only this code: " + ", ".join(CODES))]
Source = Annotated[str, typer.Option(help="only what this source sent")]
Since = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%dT%H:%M:%S%z"], help="rejected from this time on")
]
Until = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%dT%H:%M:%S%z"], help="rejected before this time")
]


class Which(NamedTuple):
    """Rejects by code, source and the time of their rejection; None and "": any."""

    code: Outcome | None = None
    source: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def values(self, **more: Any) -> dict[str, Any]:
        """Parameters of a query."""
        return self._asdict() | {"code": None if self.code is None else int(self.code)} | more


class Rejected(NamedTuple):
    """A row of table reject."""

    number: int
    code: int
    meter: str | None
    start: int | None
    end: int | None
    value: str | None
    unit: str | None
    payload: bytes | None


def rejects(settings: Settings, which: Which, limit: int = 100) -> dict[str, Any]:
    """Counts by code, and the newest rejects."""
    with connect(settings, application="rejects") as connection:
        counts = connection.execute(COUNT, which.values()).fetchall()
        rows = connection.execute(LIST, which.values(limit=limit)).fetchall()
    listed = [dict(zip(NAMES, row, strict=True)) for row in rows]
    for entry in listed:
        entry["code"] = Outcome(entry["code"]).name.lower()
        for name in ("rejected_at", "replayed_at"):
            entry[name] = None if entry[name] is None else local_iso(to_ms(entry[name]))
    return {
        "readings": sum(n for _, n, _ in counts),
        "by_code": {Outcome(c).name.lower(): {"readings": n, "replayed": again} for c, n, again in counts},
        "rejects": listed,
    }


def replay(settings: Settings, which: Which, *, wait_s: float = 60.0) -> dict[str, Any]:
    """Send rejected readings again, as new readings of source replay/rejects in mode backfill, each reject once.

    Duplicates are left out. A reject that holds no reading (no time, no number, no meter) cannot be sent; it is
    counted by code. A run that is cut off may send some twice: the second is rejected as a duplicate. Raises NotReady
    where what was loaded is not in force in time: sent before, they would be rejected again.
    """
    wait_until_in_force(settings, wait_s)
    sent, after = 0, -1
    cannot: Counter[str] = Counter()
    complete = True
    with connect(settings, application="rejects") as connection, Resending(settings, SOURCE) as resending:
        while True:
            with connection.transaction():
                rows = connection.execute(DUE, which.values(after=after, limit=PAGE)).fetchall()
            if not rows:
                break
            page = [Rejected(*row) for row in rows]
            after = page[-1].number
            due: list[Again] = []
            numbers: list[int] = []
            for reject in page:
                readings = list(readings_of(reject))
                due += readings
                if readings:
                    numbers.append(reject.number)
                else:
                    cannot[Outcome(reject.code).name.lower()] += 1
            for shard, frame in frames_of(due):
                resending.send(shard, frame)
            resending.flush()
            with connection.transaction():
                connection.execute("update reject set replayed_at = now() where number = any(%s)", (numbers,))
            sent += len(due)
        complete = wait_until_stored(settings, resending.reached, wait_s)
    return {"sent": sent, "cannot_be_sent": dict(sorted(cannot.items())), "complete": complete}


def readings_of(reject: Rejected) -> Iterator[Again]:
    """The readings a reject holds: its own, or those of a record whose answer was gone."""
    if reject.payload is not None:
        frame = parse_record(reject.payload, TYPE_READINGS)
        if isinstance(frame, Frame):
            starts, units = frame.document.get("start"), frame.document.get("unit")
            for i, m in enumerate(frame.meter.tolist()):
                yield from _reading(
                    frame.meters[m],
                    starts[i] if isinstance(starts, list) else None,
                    frame.document["end"][i],
                    frame.document["value"][i],
                    units[i] if isinstance(units, list) else units,
                )
        return
    yield from _reading(reject.meter, reject.start, reject.end, reject.value, reject.unit)


def _reading(meter: Any, start: Any, end: Any, value: Any, unit: Any) -> Iterator[Again]:
    try:
        number = float(value)
        check_meter("meter", meter)
        if unit is not None:
            check_unit("unit", unit)
    except (TypeError, ValueError, OverflowError, InvalidReading):
        return
    if type(end) is int and (start is None or type(start) is int) and math.isfinite(number):
        yield Again(meter, start, end, number, unit)


def frames_of(readings: list[Again]) -> Iterator[tuple[int, list[Again]]]:
    """(shard, readings of one frame), a meter's readings in the order of their ends."""
    by_shard: dict[int, list[Again]] = {}
    for reading in sorted(readings, key=lambda r: (r.meter, r.end)):
        by_shard.setdefault(shard_of(site_of(reading.meter)), []).append(reading)
    for shard, its in by_shard.items():
        for low in range(0, len(its), MAX_READINGS):
            yield shard, its[low : low + MAX_READINGS]


def _which(code: str, source: str, since: datetime | None, until: datetime | None) -> Which:
    if code and code.lower() not in CODES:
        raise typer.BadParameter(f"{code!r} is none of {', '.join(CODES)}", param_hint="--code")
    return Which(Outcome[code.upper()] if code else None, source, since, until)


@app.command("list")
def list_rejects(
    code: CodeName = "",
    source: Source = "",
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(help="how many are listed, newest first", min=0)] = 100,
    as_json: AsJson = False,
) -> None:
    """Rejected readings, counted by code, the newest one by one."""
    found = rejects(settings(), _which(code, source, since, until), limit)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for name, n in found["by_code"].items():
        print(f"{name}: {n['readings']:,}, {n['replayed']:,} of them sent again")
    for r in found["rejects"]:
        print(
            f"{r['rejected_at']}  {r['source']}  {r['meter'] or '-'}  {r['value'] or '-'}  {r['detail'] or r['code']}"
        )


@app.command("replay")
def replay_rejects(
    code: CodeName = "",
    source: Source = "",
    since: Since = None,
    until: Until = None,
    wait: Annotated[float, typer.Option(help="seconds to wait until they are stored")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Send rejected readings again after reference data were corrected: new readings of source replay/rejects."""
    result = replay(settings(), _which(code, source, since, until), wait_s=wait)
    if as_json:
        print(json.dumps(result))
    else:
        print(f"{result['sent']:,} readings sent again; cannot be sent: {result['cannot_be_sent'] or 'none'}")
    raise typer.Exit(0 if result["complete"] else 1)
