"""`carbonstream held list|release`: readings of meters that were not registered when they came."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Annotated, Any, Final, NamedTuple

import typer

from carbonstream.connectors.database import connect, one_row
from carbonstream.connectors.sources.resend import Again, Resending, wait_until_stored
from carbonstream.ops.load.in_force import wait_until_in_force
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.frames import MAX_READINGS
from carbonstream.schemas.settings import Settings, settings
from carbonstream.schemas.shards import shard_of, site_of

SOURCE: Final = "release/held"
PAGE: Final = 50_000
LIST: Final = """
select h.meter_id, h.source, m.meter_id is not null, count(*), min(h.end_ms), max(h.end_ms)
from held h left join meter m using (meter_id)
where h.released_at is null group by 1, 2, 3 order by 1, 2
"""
DUE: Final = """
select h.source, h.meter_id, h.start_ms, h.end_ms, h.value, h.unit, h.source_topic, h.partition, h.source_offset, h.row
from held h join meter m using (meter_id)
where h.released_at is null and h.value is not null and (%(meter)s = '' or h.meter_id = %(meter)s)
order by h.meter_id, h.end_ms, h.source_topic, h.partition, h.source_offset, h.row
"""
WAITING: Final = "select count(*) from held where released_at is null"
BECAME: Final = """
select h.outcome, count(*) from held h
join unnest(%s::text[], %s::smallint[], %s::bigint[], %s::int[]) as t (topic, partition, source_offset, row)
  on h.source_topic = t.topic and h.partition = t.partition and h.source_offset = t.source_offset and h.row = t.row
where h.released_at is not null group by 1
"""
app = typer.Typer(no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]


class Waiting(NamedTuple):
    """A held reading whose meter is registered now."""

    source: str
    meter: str
    start: int | None
    end: int
    value: float
    unit: str | None
    topic: str
    partition: int
    offset: int
    row: int

    @property
    def origin(self) -> dict[str, Any]:
        """Its entry in `release_of`."""
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset, "row": self.row}


def held(settings: Settings) -> dict[str, Any]:
    """What waits, by meter and source."""
    with connect(settings, application="held") as connection:
        lines = connection.execute(LIST).fetchall()
    names = ("meter", "source", "registered", "readings", "first_end_ms", "last_end_ms")
    return {
        "readings": sum(line[3] for line in lines),
        "releasable": sum(line[3] for line in lines if line[2]),
        "meters": [dict(zip(names, line, strict=True)) for line in lines],
    }


def release(settings: Settings, *, meter: str = "", wait_s: float = 60.0) -> dict[str, Any]:
    """Send every held reading whose meter is registered again, and wait until the sink has stored what became of it.

    The sink counts the first copy only, so a release may be repeated, or run twice at once. Raises NotReady where the
    meters are not yet in force, or Kafka does not take the frames.
    """
    with connect(settings, application="held") as connection:
        is_due = connection.execute(DUE + " limit 1", {"meter": meter}).fetchone() is not None
    if not is_due:
        return {"sent": 0, "released": 0, "outcomes": {}, "waiting": _waiting(settings), "complete": True}
    wait_until_in_force(settings, wait_s)
    sent = 0
    outcomes: dict[str, int] = {}
    complete = True
    with (
        connect(settings, application="held") as connection,
        Resending(settings, SOURCE) as resending,
        connection.cursor(name="due") as cursor,
    ):
        cursor.execute(DUE, {"meter": meter})
        while complete and (page := [Waiting(*row) for row in cursor.fetchmany(PAGE)]):
            for shard, frame in frames_of(page):
                again = [Again(w.meter, w.start, w.end, w.value, w.unit) for w in frame]
                more = {"release_source": frame[0].source, "release_of": [w.origin for w in frame]}
                resending.send(shard, again, more)
            resending.flush()
            sent += len(page)
            complete = wait_until_stored(settings, resending.reached, wait_s)
            _add(outcomes, _became(settings, page))
    return {
        "sent": sent,
        "released": sum(outcomes.values()),
        "outcomes": outcomes,
        "waiting": _waiting(settings),
        "complete": complete,
    }


def frames_of(page: Iterable[Waiting]) -> Iterator[tuple[int, list[Waiting]]]:
    """(shard, readings of one frame): of one shard and source, a meter's readings in the order of their ends."""
    ordered = sorted(((shard_of(site_of(w.meter)), w) for w in page), key=lambda pair: pair[0])  # stable
    for (shard, _), run in groupby(ordered, key=lambda pair: (pair[0], pair[1].source)):
        readings = [w for _, w in run]
        for low in range(0, len(readings), MAX_READINGS):
            yield shard, readings[low : low + MAX_READINGS]


def _waiting(settings: Settings) -> int:
    with connect(settings, application="held") as connection:
        return int(one_row(connection, WAITING)[0])


def _became(settings: Settings, page: list[Waiting]) -> dict[str, int]:
    with connect(settings, application="held") as connection:
        columns: list[list[Any]] = [list(c) for c in zip(*(w.origin.values() for w in page), strict=True)]
        rows: list[tuple[int, int]] = connection.execute(BECAME, columns).fetchall()
    return {Outcome(code).name.lower(): readings for code, readings in rows}


def _add(into: dict[str, int], counts: dict[str, int]) -> None:
    for name, n in counts.items():
        into[name] = into.get(name, 0) + n


@app.command("list")
def list_held(as_json: AsJson = False) -> None:
    """Readings that wait for their meter, by meter and source."""
    found = held(settings())
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for line in found["meters"]:
        state = "registered: release it" if line["registered"] else "not registered: load it in meters.csv"
        print(f"{line['meter']}  {line['readings']:,} readings from {line['source']}  {state}")
    print(f"{found['readings']:,} readings wait, {found['releasable']:,} of them can be released")


@app.command("release")
def release_held(
    meter: Annotated[str, typer.Option(help="only this meter")] = "",
    wait: Annotated[float, typer.Option(help="seconds to wait until they are stored")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Send held readings of meters that are registered now; each is taken once, however often this runs."""
    result = release(settings(), meter=meter, wait_s=wait)
    if as_json:
        print(json.dumps(result))
    else:
        print(f"{result['released']:,} released: {result['outcomes']}; {result['waiting']:,} wait")
    raise typer.Exit(0 if result["complete"] else 1)
