"""An enterprise is reminded of its answer's deadline, and told when it is over, once each."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from carbonstream.connectors.sinks.notify.deadlines import tell_deadlines
from carbonstream.connectors.sinks.notify.sending import sender
from carbonstream.processors import notices_second
from carbonstream.processors.enterprise_answers import Dispute, EnterpriseAnswer, Said, next_step
from carbonstream.processors.notices_deadlines import LEFT, Urgency, deadline_told
from carbonstream.schemas.periods import to_ms
from carbonstream.schemas.settings import Settings

from .changes import START, Clock, change, delivered, enqueued, subscribed
from .conftest import Receiver

Connection = psycopg.Connection[Any]
HOUR_MS = 3_600_000
SAID = Said(0, "Zhao Min", "seen")
OPERATOR = """
insert into warning_operator (id, key, entity, rule, change, version, state, rank, priority, class, since, active,
  acked, raised_version, raised_at, answer)
values (%(id)s, %(id)s, 'site:a-1', 'pace', 1, 1, 'active-unacked', 0, 1, 1, %(at)s, true, false, 1, %(at)s, %(answer)s)
on conflict (id) do update set answer = excluded.answer
"""


@pytest.fixture
def clock(connection: Connection) -> Clock:
    connection.execute("truncate warning_operator")
    return Clock()


def awaits(connection: Connection, id_: str, answer: EnterpriseAnswer) -> None:
    connection.execute(OPERATOR, {"id": id_, "at": START, "answer": Jsonb(asdict(answer))})


def asked(at: datetime = START, respond_ms: int | None = HOUR_MS) -> EnterpriseAnswer:
    return EnterpriseAnswer(to_ms(at), respond_ms)


def told(receiver: Receiver) -> list[tuple[str, str, list[str]]]:
    found: list[tuple[str, str, list[str]]] = []
    for one in receiver.received:
        body = json.loads(one.body)
        if body["type"] == "carbonstream.answer.deadline":
            due = body["data"]["deadlines"]
            found += [(d["urgency"], d["step"], [d["warning"]["id"]]) for d in due]
    return found


def test_a_step_is_reminded_of_and_told_overdue_once_each(
    connection: Connection, clock: Clock, database: Settings, receiver: Receiver
) -> None:
    send = sender(database)
    subscribed(connection, receiver.url)
    subscribed(connection, receiver.url + "/ops", id="ops", enterprise=None, operator_group="ops")
    enqueued(connection, clock, change("w"), change("of b", entity="site:b-1"))
    awaits(connection, "w", asked())
    awaits(connection, "of b", asked())  # it has no subscription of its own
    clock.turn(minutes=44)
    assert tell_deadlines(connection, clock()) == 0
    clock.turn(minutes=1)
    assert (tell_deadlines(connection, clock()), tell_deadlines(connection, clock())) == (1, 0)
    clock.turn(minutes=15)
    assert (tell_deadlines(connection, clock()), tell_deadlines(connection, clock())) == (1, 0)
    awaits(connection, "w", replace(asked(), receipt=SAID))
    assert tell_deadlines(connection, clock()) == 0
    clock.turn(minutes=30)
    assert tell_deadlines(connection, clock()) == 1
    delivered(connection, send, clock)
    assert told(receiver) == [
        ("reminder", "receipt", ["w"]),
        ("overdue", "receipt", ["w"]),
        ("reminder", "cause", ["w"]),
    ]


def test_quiet_hours_hold_it_but_of_an_alarm_and_what_was_answered_meanwhile_is_told_no_more(
    connection: Connection, clock: Clock, database: Settings, receiver: Receiver
) -> None:
    subscribed(connection, receiver.url, quiet={"from": "10:30", "until": "12:00"})  # it is 10:00
    enqueued(connection, clock, change("w"), change("v"), change("loud", severity="alarm"))
    for id_ in ("w", "v", "loud"):
        awaits(connection, id_, asked())
    clock.turn(minutes=50)
    assert tell_deadlines(connection, clock()) == 1
    awaits(connection, "v", replace(asked(), receipt=SAID, cause=SAID))
    clock.turn(minutes=69)
    assert tell_deadlines(connection, clock()) == 1
    clock.turn(minutes=1)
    assert tell_deadlines(connection, clock()) == 1
    delivered(connection, sender(database), clock)
    assert sorted(told(receiver)) == [
        ("overdue", "receipt", ["loud"]), ("overdue", "receipt", ["w"]), ("reminder", "receipt", ["loud"])
    ]  # fmt: skip


def test_many_come_as_one_notice_in_the_subscriptions_language(
    connection: Connection, clock: Clock, database: Settings
) -> None:
    subscribed(connection, "https://a.example/hook", language="en")
    names = [f"w{n:02}" for n in range(30)]
    enqueued(connection, clock, *(change(name) for name in names))
    for name in names:
        awaits(connection, name, asked())
    clock.turn(hours=1)
    assert tell_deadlines(connection, clock()) == 1
    ((kind, content),) = connection.execute(
        "select kind, content from notice where content is not null"
    ).fetchall()
    assert (kind, [due["warning"]["id"] for due in content["deadlines"]]) == ("deadline", names)
    assert notices_second.subject(kind, content, "en") == "Carbonstream: 30 answers due or overdue"
    one = {"deadlines": content["deadlines"][:1]}
    assert notices_second.subject(kind, one, "en").startswith(
        "Carbonstream: Answer overdue: receipt was due by 2024-03-05 11:00+08:00: [alert]"
    )
    assert notices_second.entries(kind, one, "zh")[0].text.startswith(
        "答复已逾期：应在 2024-03-05 11:00+08:00 前确认收悉\n[预警]"
    )


# Never committed: killed once the notice is in the queue.
KILLED = """
import os, signal, sys
from datetime import datetime
import psycopg
from carbonstream.connectors.sinks.notify.deadlines import tell_deadlines
with psycopg.connect(sys.argv[1]) as connection:
    print(tell_deadlines(connection, datetime.fromisoformat(sys.argv[2])), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_before_the_commit_tells_it_later_and_another_process_tells_it_once(
    connection: Connection, clock: Clock, database: Settings
) -> None:
    subscribed(connection, "https://a.example/hook")
    enqueued(connection, clock, change("w"))
    awaits(connection, "w", asked())
    clock.turn(hours=1)
    command = [sys.executable, "-c", KILLED, database.database, clock().isoformat()]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, "1\n"), killed.stderr
    count = "select count(*) from notice_deadline"
    assert connection.execute(count).fetchone() == (0,)
    with psycopg.connect(database.database) as other:
        assert tell_deadlines(other, clock()) == 1
        other.commit()
    assert tell_deadlines(connection, clock()) == 0
    assert connection.execute(count).fetchone() == (1,)
    assert connection.execute("select count(*) from notice where kind = 'deadline'").fetchone() == (1,)


@given(st.integers(1, 10**9), st.integers(0, 4), st.integers(0, 10**10), st.integers(0, 10**8))
def test_a_reminder_comes_when_a_quarter_is_left_and_nothing_is_told_of_what_is_the_operators(
    respond_ms: int, steps: int, elapsed: int, stopped_ms: int
) -> None:
    begun = to_ms(datetime(2026, 1, 1, tzinfo=UTC))
    names = ("receipt", "cause", "measure", "closure")
    answer = replace(
        EnterpriseAnswer(begun, respond_ms, stopped_ms=stopped_ms), **dict.fromkeys(names[:steps], SAID)
    )
    found = deadline_told(answer, begun + elapsed)
    following = next_step(answer)
    if following is None:
        assert found is None
        return
    due_at = following[1]
    assert due_at is not None
    whole = due_at - begun - stopped_ms
    left = due_at - begun - elapsed
    assert (found is None) == (left > whole // LEFT)
    if found is not None:
        assert found.step == names[steps]
        assert (found.urgency is Urgency.OVERDUE) == (left <= 0)
    disputed = replace(answer, dispute=Dispute(begun, "a", "b", "meter", "m", "r"))
    assert deadline_told(disputed, begun + elapsed) is None
    assert deadline_told(replace(answer, respond_ms=None), begun + elapsed) is None
