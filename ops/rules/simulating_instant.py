"""Instant rules on stored readings: what all but silence would have told, had the rules been on.

Silence cannot be tried: what came live, when, and through which source is not stored with a reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import psycopg

from carbonstream.connectors.warning_rules import load_rule_book
from carbonstream.ops.load.rows import Refusals
from carbonstream.ops.load.warning_rules import read_warning_rules
from carbonstream.processors.instant.judge import InstantRules
from carbonstream.processors.instant.readings import Fleet, Frame
from carbonstream.processors.instant.told import Told
from carbonstream.processors.rule_simulation import Change
from carbonstream.processors.warning_rules import RuleBook, Scopes
from carbonstream.schemas.codes import ESTIMATED_QUALITIES, Mode, Outcome
from carbonstream.schemas.periods import DAY_MS, to_datetime
from carbonstream.schemas.warning_rules import RuleKind
from carbonstream.streams.instant_book import load_fleet

Connection = psycopg.Connection[Any]
KINDS: Final = (RuleKind.INTERVAL_LIMIT, RuleKind.MAXIMUM_DEMAND, RuleKind.DATA_QUALITY, RuleKind.HABIT)
ALWAYS: Final = 0  # a rule that is tried is in force from the beginning
READINGS: Final = """
select meter, (extract(epoch from start) * 1000)::bigint, (extract(epoch from time) * 1000)::bigint, quantity, quality
from reading where time > %s and time <= %s and meter = any (%s) order by time, meter
"""


def tried_rules(connection: Connection, file: Path | None) -> RuleBook:
    """The newest version of each rule, a file's before what is loaded, as if always in force. Raises LoadRefused."""
    book = load_rule_book(connection)
    newest = {d.rule: d for d in sorted(book, key=lambda d: d.version)}
    if file is not None:
        refusals = Refusals()
        newest |= read_warning_rules(file, RuleBook(), refusals, datetime.now(UTC))
        refusals.raise_if_any()
    return RuleBook([replace(d, valid_from=ALWAYS) for d in newest.values()])


def instant_changes(connection: Connection, book: RuleBook, start: int, end: int) -> list[Change]:
    """Changes that the book's instant rules tell of the readings stored for [start, end), UTC ms."""
    rules = [d for kind in KINDS for d in book.in_force(kind, end) if d.is_on]
    scopes = Scopes(rules)
    fleet = load_fleet(connection) if rules else Fleet()
    watched = {
        number: meter
        for number, meter in fleet.by_number.items()
        if scopes.of(meter.subject) or scopes.of(meter.site)
    }
    if not watched:
        return []
    judge = InstantRules()
    judge.begin(Fleet(watched.values()), RuleBook(rules))
    told: list[Told] = []
    for day in range(start, end, DAY_MS):
        for frame in _frames(connection, sorted(watched), day, min(day + DAY_MS, end)):
            told += judge.frame(frame)
    return [
        Change(t.entity, t.definition.kind.value, t.transition.state, t.transition.bucket + 1) for t in told
    ]


def _frames(connection: Connection, meters: list[int], start: int, end: int) -> Iterator[Frame]:
    rows = connection.execute(READINGS, (to_datetime(start), to_datetime(end), meters)).fetchall()
    if not rows:
        return
    number, begin, finish, quantity, quality = np.array(rows, np.int64).T
    estimated = np.isin(quality, [int(q) for q in ESTIMATED_QUALITIES])
    for mode, chosen in ((Mode.BACKFILL, ~estimated), (Mode.ESTIMATE, estimated)):
        stored = np.full(len(number), int(Outcome.STORED), np.int64)
        columns = (number, begin, finish, quantity, quality, stored)
        yield Frame("stored", mode, end, *(column[chosen] for column in columns))
