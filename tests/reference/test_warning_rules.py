"""warning_rules.csv: versions are added and never changed, what is wrong is named, and what is loaded is in force."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest

from carbonstream.connectors.warning_rules import load_rule_book, packaged_definitions
from carbonstream.ops.load import load_files
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.periods import to_ms
from carbonstream.schemas.reference_records import CheckRuleRecord
from carbonstream.schemas.warning_rules import RuleKind, WarningRuleRecord

from .conftest import NOW, Connection, Write

HEADER = "rule,kind,scope,parameters,class,priority,owner,cause,consequence,action,respond_s,state,valid_from"
WHY = "shift lead,too much,fines,shed load"
TIGHT = f"tight-plan,plan-to-date,enterprise:E*,active_above=95;clear_below=90,alarm,high,{WHY},900,on,"
LATER = datetime(2026, 5, 1, tzinfo=UTC)


def load(connection: Connection, write: Write, *rows: str, now: datetime = NOW) -> tuple[int, int]:
    counts = load_files(connection, {"warning_rules": write("warning_rules", HEADER, *rows)}, now)
    return counts["warning_rules"].added, counts["warning_rules"].changed


def test_a_rule_judges_its_scope_from_its_load_on_and_the_packaged_ones_the_rest(
    connection: Connection, write: Write
) -> None:
    assert load(connection, write, TIGHT) == (1, 0)
    book = load_rule_book(connection)
    found = book.find(RuleKind.PLAN_TO_DATE, "enterprise:E1", to_ms(NOW))
    assert found is not None
    assert (found.reference, found.class_, found.priority) == ("tight-plan@1", "alarm", "high")
    assert found.parameters == {"active_above": Decimal(95), "clear_below": Decimal(90)}
    for subject, at in (("enterprise:F", to_ms(NOW)), ("enterprise:E1", to_ms(NOW) - 1)):
        other = book.find(RuleKind.PLAN_TO_DATE, subject, at)
        assert other is not None
        assert other.reference == "plan-to-date@1"


def test_a_change_is_a_new_version_and_the_same_file_twice_is_none(
    connection: Connection, write: Write
) -> None:
    load(connection, write, TIGHT)
    assert load(connection, write, TIGHT, now=LATER) == (0, 0)
    assert load(connection, write, TIGHT.replace("alarm,high", "alert,low"), now=LATER) == (0, 1)
    book = load_rule_book(connection)
    versions = [(d.version, d.class_) for d in book if d.rule == "tight-plan"]
    assert versions == [(1, "alarm"), (2, "alert")]
    told = [
        found.reference
        for at in (to_ms(NOW), to_ms(LATER))
        if (found := book.find(RuleKind.PLAN_TO_DATE, "enterprise:E1", at))
    ]
    assert told == ["tight-plan@1", "tight-plan@2"]


def in_force(connection: Connection, at: datetime) -> tuple[str, str] | None:
    """(version, class) of what judges an enterprise's plan."""
    found = load_rule_book(connection).find(RuleKind.PLAN_TO_DATE, "enterprise:E1", to_ms(at))
    return None if found is None else (found.reference, found.class_.value)


FAR = datetime(2063, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("correction", ["2026-06-01T00:00:00Z", ""])
def test_a_version_dated_far_ahead_by_mistake_is_replaced_by_the_same_one_dated_rightly(
    connection: Connection, write: Write, correction: str
) -> None:
    load(connection, write, TIGHT)
    wrong = TIGHT.replace("alarm,high", "alert,low")
    assert load(connection, write, wrong + "2062-06-01T00:00:00Z", now=LATER) == (0, 1)
    assert in_force(connection, LATER) == ("tight-plan@1", "alarm")
    assert load(connection, write, wrong + correction, now=LATER) == (0, 1)
    june = datetime(2026, 6, 1, tzinfo=UTC)
    assert in_force(connection, june) == ("tight-plan@3", "alert")
    assert load(connection, write, wrong, now=june) == (0, 0)


def test_a_version_that_was_replaced_before_it_came_into_force_never_does(
    connection: Connection, write: Write
) -> None:
    load(connection, write, TIGHT)
    load(connection, write, TIGHT.replace("alarm", "alert") + "2062-06-01T00:00:00Z", now=LATER)
    load(connection, write, TIGHT.replace("alarm", "notice") + "2026-06-01T00:00:00Z", now=LATER)
    assert in_force(connection, FAR) == ("tight-plan@3", "notice")
    assert len([d for d in load_rule_book(connection) if d.rule == "tight-plan"]) == 3


def test_a_version_cannot_be_dated_before_the_one_in_force(connection: Connection, write: Write) -> None:
    load(connection, write, TIGHT)
    load(connection, write, TIGHT.replace("alarm", "alert") + "2062-06-01T00:00:00Z", now=LATER)
    with pytest.raises(LoadRefused, match=r"version 1 is in force") as refused:
        load(connection, write, TIGHT.replace("alarm", "notice") + "2025-01-01T00:00:00Z", now=LATER)
    assert len(refused.value.errors) == 1


def test_a_packaged_rule_is_replaced_by_its_next_version_and_switched_off_by_state(
    connection: Connection, write: Write
) -> None:
    off = f"plan-to-date,plan-to-date,*,,alert,low,{WHY},900,off,"
    assert load(connection, write, off) == (0, 1)
    book = load_rule_book(connection)
    assert book.find(RuleKind.PLAN_TO_DATE, "site:S", to_ms(NOW)) is None
    before = book.find(RuleKind.PLAN_TO_DATE, "site:S", to_ms(NOW) - 1)
    assert before is not None
    assert before.is_on


def test_what_is_loaded_is_published_in_its_shape_beside_the_check_rules(
    connection: Connection, write: Write
) -> None:
    load(connection, write, TIGHT)
    rows = connection.execute("select key, value from outbox where topic = 'ref.rules'").fetchall()
    ((key, value),) = rows
    assert key == "warning:tight-plan"
    assert WarningRuleRecord.model_validate(value).priority == "high"
    with pytest.raises(ValueError, match="record"):
        CheckRuleRecord.model_validate(value)


def test_a_stored_version_cannot_be_changed(connection: Connection, write: Write) -> None:
    load(connection, write, TIGHT)
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"), connection.transaction():
        connection.execute("update warning_rule set class = 'notice'")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("plan-to-date", "plan", "kind: 'plan': take one of target-level,"),
        ("enterprise:E*", "E*", "scope: 'E*': a rule of kind plan-to-date is about region:*"),
        (
            "enterprise:E*",
            "enterprise:E**",
            "scope: 'enterprise:E**': a rule of kind plan-to-date is about region:*",
        ),
        (
            "enterprise:E*",
            "enterprise:*E",
            "scope: 'enterprise:*E': a rule of kind plan-to-date is about region:*",
        ),
        (
            "active_above=95",
            "above=95",
            "'above' is no parameter of plan-to-date: take active_above, clear_below",
        ),
        ("active_above=95", "active_above=much", "active_above: 'much' write a plain decimal number"),
        ("active_above=95", "active_above=0", "active_above: 0 is outside 1 to 1000"),
        ("active_above=95", "active_above=95;active_above=96", "'active_above' is given twice"),
        ("clear_below=90", "clear_below=99", "clear_below is above active_above"),
        ("alarm", "siren", "class: 'siren': take one of alarm, alert, notice"),
        ("high", "urgent", "priority: 'urgent': take one of high, medium, low"),
        ("shed load", "", "action: '': is empty"),
        (",900,", ",soon,", "respond_s: 'soon': write whole seconds"),
        (",on,", ",maybe,", "state: 'maybe': take one of on, off"),
        (",on,", ",on,2026-01-01", "valid_from: '2026-01-01': write ISO 8601 with an offset"),
        ("tight-plan", "pace", "kind: 'plan-to-date': pace is of kind pace"),
        ("tight-plan", "plan-to-date", "valid_from"),
    ],
)
def test_a_faulty_rule_is_refused_by_its_field(
    connection: Connection, write: Write, old: str, new: str, named: str
) -> None:
    row = TIGHT.replace(old, new, 1)
    if named == "valid_from":
        row += "1999-12-31T00:00:00+08:00"
    with pytest.raises(LoadRefused) as refused:
        load(connection, write, row)
    assert any(named in error for error in refused.value.errors), refused.value.errors
    assert connection.execute("select count(*) from warning_rule").fetchone() == (0,)


def test_every_packaged_rule_says_what_to_do() -> None:
    for rule in packaged_definitions():
        assert rule.is_on
        assert rule.owner
        assert rule.action
        assert rule.respond_s >= 300
    assert {rule.kind for rule in packaged_definitions()} >= {
        RuleKind.TARGET_LEVEL,
        RuleKind.PLAN_TO_DATE,
        RuleKind.PACE,
        RuleKind.CONSISTENCY,
    }
