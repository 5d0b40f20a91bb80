"""warning_rules.csv: who has to know of what, how soon, and what to do then."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from psycopg.types.json import Jsonb

from carbonstream.connectors.warning_rules import load_rule_book
from carbonstream.ops.load import fields, outbox
from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.outbox import Rows
from carbonstream.ops.load.rows import Refusals, Row, read_rows, unique
from carbonstream.processors.total_records import text
from carbonstream.processors.warning_rules import Definition, RuleBook, parameters_of, scope_of
from carbonstream.schemas.periods import local_iso, to_datetime, to_ms
from carbonstream.schemas.warning_rules import Priority, RuleKind, WarningClass

COLUMNS: Final = (
    "rule", "kind", "scope", "parameters", "class", "priority", "owner", "cause", "consequence", "action",
    "respond_s", "state", "valid_from",
)  # fmt: skip
INSERT: Final = """
insert into warning_rule (rule, version, kind, scope, parameters, class, priority, owner, cause, consequence,
  action, respond_s, state, valid_from, loaded_at)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def load_warning_rules(cursor: Rows, path: Path, refusals: Refusals, now: datetime) -> Counts:
    """Add a version of each rule that differs from its newest one, in force from valid_from (empty: from now) on."""
    book = load_rule_book(cursor.connection)
    rules = read_warning_rules(path, book, refusals, now)
    newest = {d.rule: d for d in sorted(book, key=lambda d: d.version)}
    added = [d for d in rules.values() if d.rule not in newest]
    changed = [d for d in rules.values() if d.rule in newest and _changes(d, newest[d.rule], now)]
    cursor.executemany(
        INSERT,
        [
            (
                d.rule, d.version, d.kind.value, d.scope,
                Jsonb({name: text(value) for name, value in sorted(d.parameters.items())}), d.class_.value,
                d.priority.value, d.owner, d.cause, d.consequence, d.action, d.respond_s,
                "on" if d.is_on else "off", to_datetime(d.valid_from), now,
            )
            for d in (*added, *changed)
        ],
    )  # fmt: skip
    outbox.note(cursor, outbox.WARNING_RULE, [d.rule for d in (*added, *changed)])
    return Counts(len(rules), len(added), len(changed))


def read_warning_rules(
    path: Path, book: RuleBook, refusals: Refusals, now: datetime
) -> dict[str, Definition]:
    """The rules of a file, each as the version after its newest one in `book`."""
    found: dict[str, Definition] = {}
    seen: dict[str, Row] = {}
    newest = {d.rule: d for d in sorted(book, key=lambda d: d.version)}
    for row in read_rows(path, COLUMNS, refusals):
        rule = row.take("rule", fields.identifier)
        kind = RuleKind(row.take("kind", fields.one_of([k.value for k in RuleKind])) or RuleKind.CONSISTENCY)
        scope, parameters = row.values["scope"], dict[str, Decimal]()
        if row.sound:
            scope = row.take("scope", lambda words, kind=kind: scope_of(kind, words))  # type: ignore[misc]
            parameters = _parameters(row, kind)
        definition = Definition(
            rule=rule,
            version=1,
            kind=kind,
            scope=scope,
            parameters=parameters,
            class_=WarningClass(row.take("class", fields.one_of([c.value for c in WarningClass])) or "alert"),
            priority=Priority(row.take("priority", fields.one_of([p.value for p in Priority])) or "low"),
            owner=row.take("owner", fields.name),
            cause=row.take("cause", fields.name),
            consequence=row.take("consequence", fields.name),
            action=row.take("action", fields.name),
            respond_s=row.take("respond_s", fields.seconds),
            is_on=row.take("state", fields.one_of(("on", "off"))) == "on",
            valid_from=to_ms(row.take_optional("valid_from", fields.instant) or now),
        )
        if row.sound and unique(seen, row, "rule", rule):
            before = newest.get(rule)
            if before is not None:
                _follow(row, before, definition, book, now)
                definition = replace(definition, version=before.version + 1)
            found[rule] = definition
    return found


def _parameters(row: Row, kind: RuleKind) -> dict[str, Decimal]:
    try:
        return parameters_of(kind, row.values["parameters"])
    except ValueError as error:
        row.refuse("parameters", str(error))
        return {}


def _follow(row: Row, before: Definition, after: Definition, book: RuleBook, now: datetime) -> None:
    """Refuse what cannot come after the newest version; one that is not yet in force can be replaced."""
    if after.kind is not before.kind:
        row.refuse(
            "kind", f"{before.rule} is of kind {before.kind}: give a rule of another kind another name"
        )
        return
    in_force = next((d for d in book.in_force(before.kind, to_ms(now)) if d.rule == before.rule), None)
    if _changes(after, before, now) and in_force is not None and after.valid_from <= in_force.valid_from:
        row.refuse(
            "valid_from",
            f"version {in_force.version} is in force from {local_iso(in_force.valid_from)}: date it later",
        )


def _changes(after: Definition, before: Definition, now: datetime) -> bool:
    """Whether it says something else; from when on matters only of what is not yet in force."""
    if replace(after, version=0, valid_from=0) != replace(before, version=0, valid_from=0):
        return True
    return before.valid_from > to_ms(now) and after.valid_from != before.valid_from
