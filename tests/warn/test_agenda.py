"""What is due: targets of what changed, targets of days the clock closed, and imports gone quiet."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from carbonstream.processors.targets import Target, Targets
from carbonstream.processors.warnings_agenda import Agenda, Due
from carbonstream.processors.warnings_closing import ALLOWANCE_MS, QUIET_MS
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import DAY_MS, HOUR_MS

JANUARY = Target("enterprise:E", 7, "co2", Grain.MONTH, date(2024, 1, 1), Decimal(1), (Decimal(80),))
QUARTER = replace(JANUARY, grain=Grain.QUARTER)
YEAR = replace(JANUARY, grain=Grain.YEAR)
MARCH = replace(JANUARY, period=date(2024, 3, 1))
NOON = MARCH.start + 12 * HOUR_MS


def begun(now: int = NOON) -> Agenda:
    """An agenda that has judged everything up to `now`."""
    agenda = Agenda()
    agenda.begin([JANUARY, QUARTER, YEAR, MARCH])
    agenda.advance(now)
    agenda.take(100)
    return agenda


def names(taken: list[Due]) -> list[str]:
    return sorted(due.target.period_name for due in taken)


def test_periods_that_begin_on_one_day_have_names_of_their_own() -> None:
    assert [t.period_name for t in (JANUARY, QUARTER, YEAR)] == ["2024-01", "2024-Q1", "2024"]


def test_a_leap_february_and_a_quarter_have_their_days() -> None:
    assert replace(JANUARY, period=date(2024, 2, 1)).days == 29
    assert QUARTER.days == 91
    assert YEAR.days == 366


def test_a_change_is_due_for_every_target_whose_period_holds_the_hour() -> None:
    agenda = begun()
    agenda.change("enterprise:E", NOON)
    assert names(agenda.take(100)) == ["2024", "2024-03", "2024-Q1"]


def test_the_hour_before_midnight_of_a_month_is_the_months_own() -> None:
    targets = Targets([JANUARY, MARCH])
    assert targets.holding("enterprise:E", JANUARY.end - 1) == [JANUARY]
    assert targets.holding("enterprise:E", JANUARY.end) == []


def test_entities_without_a_target_are_never_due() -> None:
    agenda = begun()
    assert not agenda.targets.has("enterprise:F")
    agenda.change("enterprise:F", NOON)
    assert len(agenda) == 0


def test_the_earliest_change_is_remembered() -> None:
    agenda = begun()
    for hour in (NOON, MARCH.start, NOON + HOUR_MS):
        agenda.change("enterprise:E", hour)
    assert {due.changed_from for due in agenda.take(100)} == {MARCH.start}


def test_a_day_is_due_a_quarter_of_an_hour_after_its_end_once() -> None:
    agenda = begun()
    midnight = MARCH.start + DAY_MS
    agenda.advance(midnight + ALLOWANCE_MS - 1)
    assert len(agenda) == 0
    agenda.advance(midnight + ALLOWANCE_MS)
    taken = agenda.take(100)
    assert names(taken) == ["2024", "2024-03", "2024-Q1"]
    assert {due.changed_from for due in taken} == {MARCH.start}
    agenda.advance(midnight + ALLOWANCE_MS + 1)
    assert len(agenda) == 0


def test_what_waits_is_due_when_it_has_been_quiet() -> None:
    agenda = begun()
    agenda.wait(Due(JANUARY, JANUARY.start, quiet=False))
    agenda.advance(NOON + QUIET_MS - 1)
    assert len(agenda) == 0
    agenda.advance(NOON + QUIET_MS)
    assert agenda.take(100) == [Due(JANUARY, JANUARY.start, quiet=True)]


def test_a_change_ends_the_quiet_and_keeps_what_was_not_judged_for_good() -> None:
    agenda = begun()
    agenda.wait(Due(JANUARY, JANUARY.start, quiet=False))
    agenda.change("enterprise:E", JANUARY.start + DAY_MS)
    january = [due for due in agenda.take(100) if due.target == JANUARY]
    assert january == [Due(JANUARY, JANUARY.start, quiet=False)]
    agenda.advance(NOON + QUIET_MS)
    assert len(agenda) == 0
