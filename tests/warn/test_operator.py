"""What operators do to warnings, through real Kafka, warn and relay: applied once, in order, answered and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from tests.warn.desk import NOON, Control, controlled, told, warning_id


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    with controlled(tmp_path_factory.mktemp("operator")) as control:
        yield control


def applied(control: Control, id_: str) -> None:
    assert control.answered(id_)[0] == "applied", control.answered(id_)


def test_a_warning_is_raised_acknowledged_and_cleared_and_each_change_is_told(control: Control) -> None:
    one = warning_id(1)
    control.tell(told(one))
    control.until_state(one, "active-unacked")
    control.command("ack-1", "acknowledge", one, why="the furnace is being relined", versions={one: 1})
    applied(control, "ack-1")
    assert control.state(one) == "active-acked"
    control.tell(told(one, 2, active=False))
    control.until_state(one, "normal")
    expected = [
        ("raised", "normal", "active-unacked", None, ""),
        ("acknowledge", "active-unacked", "active-acked", "Li Na", "the furnace is being relined"),
        ("cleared", "active-acked", "normal", None, ""),
    ]
    assert control.operations(one) == expected
    relayed = [o for o in control.relayed() if o["warning"] == one]
    assert [(o["operation"], o["from_state"], o["to_state"], o["by"], o["why"]) for o in relayed] == expected
    assert [o["change"] for o in relayed] == [1, 2, 3]
    assert [o["annunciates"] for o in relayed] == [True, False, False]


def test_what_is_raised_again_must_be_acknowledged_again(control: Control) -> None:
    one = warning_id(2)
    control.tell(told(one), told(one, 2, active=False), told(one, 3))
    control.until_state(one, "active-unacked")
    control.command("ack-2-old", "acknowledge", one, versions={one: 1})
    assert control.answered("ack-2-old") == (
        "refused",
        [{"target": one, "outcome": "refused", "reason": "raised-again"}],
    )
    assert control.state(one) == "active-unacked"


def test_what_cannot_be_applied_is_answered_and_holds_up_nothing(control: Control) -> None:
    one = warning_id(3)
    control.tell(told(one))
    control.until_state(one, "active-unacked")
    control.raw(b'{"id": "half')
    control.raw(b"\x00\xff")
    control.command("nul-by", "acknowledge", one, by="Li Na\0")
    control.command("nul-within", "acknowledge", one, versions={f"{one}\0": 1})
    control.command("ack-3", "acknowledge", "target-level:site:nobody:co2:2026-11:100", one)
    outcome, targets = control.answered("ack-3")
    assert outcome == "partly"
    assert [t.get("reason") for t in targets] == ["unknown", None]
    unreadable = control.pipeline.query("select id, body from warning_command where outcome = 'unreadable'")
    assert len(unreadable) == 4
    assert {'{"id": "half', "\ufffd\ufffd"} < {body["text"] for _, body in unreadable}
    assert sum("NUL" in body["error"] for _, body in unreadable) == 2


REFUSING = """
create function refuse_text() returns trigger language plpgsql as
$$ begin raise exception 'no such character' using errcode = 'character_not_in_repertoire'; end $$;
create trigger refuse_text before insert on warning_command for each row when (new.by = 'Nobody')
  execute function refuse_text();
"""


def test_a_command_whose_answer_the_database_refuses_is_kept_and_holds_up_nothing(control: Control) -> None:
    one = warning_id(9)
    control.tell(told(one))
    control.until_state(one, "active-unacked")
    with psycopg.connect(control.pipeline.settings.database) as connection:
        connection.execute(REFUSING)
    control.command("refused-9", "shelve", one, by="Nobody", why="x", until=f"{NOON:%Y-%m-%d}T20:00:00+08:00")
    control.command("claim-9", "claim", one)
    applied(control, "claim-9")
    kept = "select body ->> 'error' from warning_command where body ->> 'text' like %s"
    ((error,),) = control.pipeline.query(kept, "%refused-9%")
    assert "no such character" in error
    assert [op for op, *_ in control.operations(one)] == ["raised", "claim"]


def test_the_same_command_twice_is_applied_once(control: Control) -> None:
    one = warning_id(4)
    control.tell(told(one))
    control.until_state(one, "active-unacked")
    control.command("claim-4", "claim", one)
    control.command("claim-4", "claim", one)
    control.command("unclaim-4", "unclaim", one)
    control.command("claim-4", "claim", one)
    control.command("after-4", "acknowledge", one)
    applied(control, "after-4")
    assert [op for op, *_ in control.operations(one)] == ["raised", "claim", "unclaim", "acknowledge"]


def test_a_shelf_ends_by_the_clock_and_leaves_what_would_have_been(control: Control) -> None:
    one = warning_id(5)
    control.tell(told(one))
    control.until_state(one, "active-unacked")
    begun = control.now
    until, remind_at = begun + timedelta(hours=2), begun + timedelta(hours=1)
    control.command(
        "shelve-5",
        "shelve",
        one,
        why="a new sensor",
        until=until.isoformat(),
        remind_at=remind_at.isoformat(),
    )
    applied(control, "shelve-5")
    assert control.state(one) == "shelved"
    control.tell(told(one, 2, active=False))
    control.until_done(one, "cleared")
    control.turn(remind_at)
    control.until_done(one, "reminded")
    assert control.state(one) == "shelved"
    control.turn(until)
    control.until_state(one, "cleared-unacked")
    assert [op for op, *_ in control.operations(one)] == [
        "raised", "shelve", "cleared", "reminded", "shelf-expired",
    ]  # fmt: skip


def episode(control: Control, number: int) -> str:
    """The next episode of a limit, raised by the rules."""
    id_ = f"interval-limit:site:s-{number}:s-{number}/E01:{control.now:%Y%m%dT%H%M%S}"
    control.tell(told(id_, at=control.now))
    control.pipeline.until(f"{id_} is on the desk", lambda: control.state(id_) is not None)
    return id_


def annunciated(control: Control, id_: str) -> list[str]:
    sql = "select operation from warning_operation where annunciates and warning = %s order by change"
    return [operation for (operation,) in control.pipeline.query(sql, id_)]


def test_the_next_episode_of_a_shelved_limit_is_shelved_until_the_shelf_expires(control: Control) -> None:
    first = episode(control, 51)
    until = control.now + timedelta(hours=3)
    control.command("shelve-51", "shelve", first, why="a drifting sensor", until=until.isoformat())
    applied(control, "shelve-51")
    control.tell(told(first, 2, active=False, at=control.now))
    second = episode(control, 51)
    assert [control.state(id_) for id_ in (first, second)] == ["normal", "shelved"]
    assert annunciated(control, second) == []
    control.turn(until)
    control.until_state(second, "active-unacked")
    assert annunciated(control, second) == ["shelf-expired"]
    assert control.state(first) == "normal"


def test_a_limit_out_of_service_is_returned_by_its_newest_episode_and_stays_in_service(
    control: Control,
) -> None:
    first = episode(control, 52)
    control.command("out-52", "out-of-service", first, why="meter is at the laboratory")
    applied(control, "out-52")
    control.tell(told(first, 2, active=False, at=control.now))
    second = episode(control, 52)
    assert control.state(second) == "out-of-service"
    control.command("back-52", "return-to-service", first)  # as a board that has not seen the second would
    applied(control, "back-52")
    assert control.state(second) == "active-unacked"
    control.tell(told(second, 2, active=False, at=control.now))
    assert control.state(episode(control, 52)) == "active-unacked"


def test_maintenance_suppresses_what_it_names_and_ends_by_the_calendar(control: Control) -> None:
    inside, outside = warning_id(61, "pace"), warning_id(62, "pace")
    start = control.now + timedelta(hours=1)
    control.tell(told(inside), told(outside))
    control.until_state(inside, "active-unacked")
    calendar = {
        "entities": ["site:s-61"], "start": start.isoformat(), "end": (start + timedelta(hours=2)).isoformat(),
        "recurrence": "FREQ=DAILY;COUNT=2",
    }  # fmt: skip
    control.command("overhaul", "suppress", why="overhaul of line 2", calendar=calendar)
    applied(control, "overhaul")
    assert control.state(inside) == "active-unacked"
    control.turn(start)
    control.until_state(inside, "suppressed")
    assert control.state(outside) == "active-unacked"
    ((cause,),) = control.pipeline.query("select suppressed_by from warning_operator where id = %s", inside)
    assert cause == "maintenance:overhaul"
    control.turn(start + timedelta(hours=2))
    control.until_state(inside, "active-unacked")
    control.turn(start + timedelta(days=1))
    control.until_state(inside, "suppressed")
    control.command("overhaul-ends", "resume", suppression="overhaul", by="Wang Wei")
    applied(control, "overhaul-ends")
    assert control.state(inside) == "active-unacked"
    control.command("overhaul-ends-again", "resume", suppression="overhaul")
    assert control.answered("overhaul-ends-again")[0] == "refused"


def test_a_calendar_ends_with_its_last_window(control: Control) -> None:
    start, end = control.now + timedelta(hours=1), control.now + timedelta(hours=2)
    calendar = {"entities": ["site:s-63"], "start": start.isoformat(), "end": end.isoformat()}
    control.command("once", "suppress", why="overhaul", calendar=calendar)
    applied(control, "once")
    ended = "select in_force, ended_at, ended_by, ended_why from warning_suppression where id = 'once'"
    control.turn(start)
    control.pipeline.until("it is in force", lambda: control.pipeline.query(ended)[0][0])
    control.turn(end)
    over = [(False, end, None, "its last window is over")]
    control.pipeline.until("it has ended", lambda: control.pipeline.query(ended) == over)
    control.command("once-ends", "resume", suppression="once")
    assert control.answered("once-ends")[0] == "refused"


def test_what_is_out_of_service_stays_so_until_it_is_returned(control: Control) -> None:
    one = warning_id(7)
    control.tell(told(one))
    control.until_state(one, "active-unacked")
    control.command("out-7", "out-of-service", one, why="meter is at the laboratory")
    applied(control, "out-7")
    control.tell(told(one, 2, active=False), told(one, 3))
    control.command("back-7", "return-to-service", one)
    applied(control, "back-7")
    assert control.state(one) == "active-unacked"


def test_what_is_told_of_the_past_is_not_annunciated(control: Control) -> None:
    one = warning_id(8)
    control.tell(told(one, backfill=True))
    control.until_state(one, "suppressed")
    assert control.pipeline.query(
        "select bool_or(annunciates) from warning_operation where warning = %s", one
    ) == [(False,)]
    control.tell(told(one, 2, active=False, backfill=True))
    control.until_state(one, "normal")


@pytest.mark.timeout(600)
def test_killed_amid_commands_warn_applies_each_once_and_in_order(control: Control) -> None:
    ids = [warning_id(n) for n in range(1_000, 1_060)]
    control.tell(*(told(id_) for id_ in ids))
    control.until_state(ids[-1], "active-unacked")
    kinds = ("claim", "unclaim", "acknowledge", "shelve", "unshelve", "out-of-service", "return-to-service")
    until = (NOON + timedelta(days=3)).isoformat()
    commands = [f"k-{n}" for n in range(420)]
    for n, command in enumerate(commands):
        kind, some = kinds[n % 7], [ids[(n + step) % 60] for step in range(0, 60, 6)]
        more = {"until": until} if kind == "shelve" else {}
        control.command(command, kind, *some, why="drill", **more)
        if n % 10 == 0:
            control.command(command, kind, *some, why="drill", **more)  # sent twice, as after a lost answer
        if n in (60, 180, 300):
            control.pipeline.kill("warn")
    control.answered(commands[-1])
    rows = control.pipeline.query(
        "select id, targets from warning_command where id like 'k-%%' order by offset_"
    )
    assert [id_ for id_, _ in rows] == commands
    done = {(id_, t["target"]) for id_, targets in rows for t in targets if t["outcome"] == "applied"}
    history = control.pipeline.query(
        "select command, warning, change from warning_operation where warning = any (%s) order by warning, change", ids
    )  # fmt: skip
    assert Counter((c, w) for c, w, _ in history if c) == Counter(dict.fromkeys(done, 1))
    for id_ in ids:
        of_it = [(c, n) for c, w, n in history if w == id_]
        assert [n for _, n in of_it] == list(range(1, len(of_it) + 1))
        order = [commands.index(c) for c, _ in of_it if c]
        assert order == sorted(order)
    relayed = Counter((o["warning"], o["change"]) for o in control.relayed() if o["warning"] in ids)
    assert relayed == Counter({(w, n): 1 for _, w, n in history})
