"""check_parameters.csv: what the checks are set to, by carrier, kind and interval of a meter."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from psycopg.types.json import Jsonb

from carbonstream.ops.load import fields, outbox
from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.outbox import Rows
from carbonstream.ops.load.rows import Refusals, Row, read_rows, unique
from carbonstream.processors.vee.parameter_sets import PACKAGED
from carbonstream.processors.vee.parameters import DEFAULTS, values_of
from carbonstream.schemas.carriers import CARRIER_BY_ID
from carbonstream.schemas.codes import MeterKind

COLUMNS: Final = ("name", "carrier", "kind", "interval_s", "parameters", "state", "owner", "note")
NEWEST: Final = """
select distinct on (name) name, version, carrier, kind, interval_s, parameters, state, owner, note
from check_parameters where name <> %s order by name, version desc
"""
INSERT: Final = """
insert into check_parameters (name, version, carrier, kind, interval_s, parameters, state, owner, note, loaded_at)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


class Given(NamedTuple):
    """What a row says of a set."""

    carrier: str | None
    kind: str | None
    interval_s: int | None
    parameters: dict[str, str]
    state: str
    owner: str
    note: str

    @property
    def scope(self) -> tuple[Any, ...]:
        """Which meters it is about."""
        return self[:3]


def load_check_parameters(cursor: Rows, path: Path, refusals: Refusals, now: datetime) -> Counts:
    """Set parameters; a later file replaces a set as a new version, state `off` switches it off."""
    found: dict[str, Given] = {}
    seen: dict[str, Row] = {}
    for row in read_rows(path, COLUMNS, refusals):
        name = row.take("name", _name)
        given = Given(
            row.take_optional("carrier", fields.one_of(CARRIER_BY_ID)),
            row.take_optional("kind", fields.one_of([k.value for k in MeterKind])),
            row.take_optional("interval_s", fields.seconds),
            row.take_optional("parameters", values_of) or dict(DEFAULTS),
            row.take("state", fields.one_of(("on", "off"))),
            row.take("owner", fields.name),
            row.take("note", fields.name),
        )
        if row.sound and unique(seen, row, "name", name):
            found[name] = given
    cursor.execute(NEWEST, [PACKAGED.name])
    versions, standing = {}, {}
    for name, version, *values in cursor:
        versions[name], standing[name] = version, Given(*values)
    _refuse_ambiguous(standing | found, {name: seen[name] for name in found})
    moved = [name for name in found if found[name] != standing.get(name)]
    rows = [(name, versions.get(name, 0) + 1, found[name]) for name in moved]
    cursor.executemany(
        INSERT,
        [
            (name, version, *g.scope, Jsonb(g.parameters), g.state, g.owner, g.note, now)
            for name, version, g in rows
        ],
    )
    outbox.note(cursor, outbox.CHECK_PARAMETERS, [f"{name}@{version}" for name, version, _ in rows])
    added = sum(name not in standing for name in moved)
    return Counts(len(found), added, len(moved) - added)


def _name(text: str) -> str:
    if text == PACKAGED.name:
        raise ValueError("is what the release brings: give the set another name")
    return fields.identifier(text)


def _refuse_ambiguous(sets: dict[str, Given], rows: dict[str, Row]) -> None:
    """No two sets that are on are about the same meters."""
    by_scope: dict[tuple[Any, ...], str] = {}
    for name in sorted((n for n, g in sets.items() if g.state == "on"), key=lambda n: n in rows):
        other = by_scope.setdefault(sets[name].scope, name)
        if other != name:
            rows[name].refuse("name", f"{other} is about the same meters: change that one, or switch it off")
