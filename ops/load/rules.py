"""rules.csv: checks that a user adds, by carrier, kind or meter (ZJ 6.4.1.3a)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from carbonstream.ops.load import fields, outbox
from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.outbox import Rows
from carbonstream.ops.load.rows import Refusals, Row, read_rows, unique
from carbonstream.processors.plain_text import decimal
from carbonstream.schemas.carriers import CARRIER_BY_ID
from carbonstream.schemas.codes import MeterKind, RuleTest

COLUMNS: Final = (
    "rule", "carrier", "kind", "meter", "test", "field", "low", "high", "decision", "owner", "note",
)  # fmt: skip
FIELDS: Final[dict[str, tuple[str, ...]]] = {
    RuleTest.NOT_NULL: ("start", "unit"),
    RuleTest.RANGE: ("quantity", "rate"),
    RuleTest.COMPARISON: ("rate",),
    RuleTest.LENGTH: ("interval",),
}
DECISIONS: Final = ("question", "reject", "off")

Values = tuple[Any, ...]


def load_rules(cursor: Rows, path: Path, refusals: Refusals, now: datetime) -> Counts:
    """Set rules; a later file replaces a rule as a new version, decision `off` switches it off."""
    rules: dict[str, Values] = {}
    seen: dict[str, Row] = {}
    for row in read_rows(path, COLUMNS, refusals):
        rule = row.take("rule", fields.identifier)
        carrier = row.take_optional("carrier", fields.one_of(CARRIER_BY_ID))
        kind = row.take_optional("kind", fields.one_of([k.value for k in MeterKind]))
        meter = row.take_optional("meter", fields.identifier)
        test = row.take("test", fields.one_of([t.value for t in RuleTest]))
        words = FIELDS.get(row.values["test"], ())
        field = row.take("field", fields.one_of(words) if words else fields.name)
        low, high = row.take_optional("low", decimal), row.take_optional("high", decimal)
        decision = row.take("decision", fields.one_of(DECISIONS))
        owner, note = row.take("owner", fields.name), row.take("note", fields.name)
        if not row.sound or not unique(seen, row, "rule", rule):
            continue
        if remedy := _remedy(test, kind, decision, low, high):
            row.refuse(*remedy)
            continue
        rules[rule] = (
            carrier, kind, meter, test, field, low, high, None if decision == "off" else decision, owner, note,
        )  # fmt: skip
    cursor.execute(
        "select rule, carrier, kind, meter, test, field, low, high, decision, owner, note from check_rule "
        "where rule = any(%s)",
        [sorted(rules)],
    )
    standing = {rule: tuple(values) for rule, *values in cursor}
    added = [rule for rule in rules if rule not in standing]
    changed = [rule for rule in rules if rule in standing and standing[rule] != rules[rule]]
    cursor.executemany(
        """
        insert into check_rule (rule, carrier, kind, meter, test, field, low, high, decision, owner, note, loaded_at)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (rule) do update set (version, carrier, kind, meter, test, field, low, high, decision, owner,
          note, loaded_at) = (check_rule.version + 1, excluded.carrier, excluded.kind, excluded.meter, excluded.test,
          excluded.field, excluded.low, excluded.high, excluded.decision, excluded.owner, excluded.note,
          excluded.loaded_at)
        """,
        [(rule, *rules[rule], now) for rule in (*added, *changed)],
    )
    cursor.execute(
        "insert into check_rule_history select * from check_rule where rule = any(%s)", [[*added, *changed]]
    )
    outbox.note(cursor, outbox.CHECK, [*added, *changed])
    return Counts(len(rules), len(added), len(changed))


def _remedy(
    test: str, kind: str | None, decision: str, low: Decimal | None, high: Decimal | None
) -> tuple[str, str] | None:
    """(field, what to do) of a rule whose parts do not fit together."""
    if test == RuleTest.NOT_NULL:
        if low is not None or high is not None:
            return "low", "leave low and high empty: not_null has no bounds"
    elif low is None and high is None:
        return "low", "give low, high or both"
    elif low is not None and high is not None and low > high:
        return "low", "must not be above high"
    if decision == "reject" and kind != MeterKind.INTERVAL:
        return (
            "decision",
            "only readings of kind interval can be rejected: a register's energy would be lost; use question",
        )
    return None
