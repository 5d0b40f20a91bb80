"""Deadlines of enterprises' answers into the queue: each reminder and each notice of one that is over once.

What was told stands in table notice_deadline, written with the notice in one transaction, so a kill tells nothing twice
in the queue and loses nothing; two processes meet at its key.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any, Final

import psycopg

from carbonstream.connectors.sinks.notify.enqueueing import load_subscriptions
from carbonstream.connectors.sinks.notify.second_ways import write_notice
from carbonstream.processors.enterprise_answers import answer_of
from carbonstream.processors.notices import CHANGES_A_NOTICE, notice_id
from carbonstream.processors.notices_deadlines import Deadline, deadline_told, is_held
from carbonstream.schemas.periods import SHANGHAI, to_datetime, to_ms

Connection = psycopg.Connection[Any]
A_PASS: Final = 1_000  # subscriptions' warnings: 3 kB each with their snapshot
AWAITED: Final = """
select id, answer from warning_operator
where answer is not null and answer ->> 'closure' is null and answer ->> 'respond_ms' is not null
"""
# Who was told of the warning, with its newest change: whose it is and what is asked for was judged then.
UNTOLD: Final = """
select distinct on (d.due_at, d.warning, s.id) s.id, d.warning, c.version, c.record ->> 'severity'
from unnest(%(warnings)s::text[], %(steps)s::text[], %(dues)s::timestamptz[], %(urgencies)s::text[])
  as d (warning, step, due_at, urgency)
join notice_change c on c.warning = d.warning
join notice_subscription s on s.id = c.subscription and s.enterprise is not null and s.disabled is null
where not exists (select from notice_deadline t where (t.subscription, t.warning, t.step, t.due_at, t.urgency)
  = (s.id, d.warning, d.step, d.due_at, d.urgency))
order by d.due_at, d.warning, s.id, c.version desc
"""
RECORDS: Final = """
select c.subscription, c.warning, c.record
from unnest(%s::text[], %s::text[], %s::int[]) with ordinality as t (subscription, warning, version, place)
join notice_change c using (subscription, warning, version) order by t.place
"""
TOLD: Final = """
insert into notice_deadline (subscription, warning, step, due_at, urgency, notice, told_at)
values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing
"""


def tell_deadlines(connection: Connection, now: datetime) -> int:
    """Tell enterprises of deadlines that are near or over at `now`; how many notices."""
    awaited: dict[str, Deadline] = {}
    for id_, stored in connection.execute(AWAITED):
        answer = answer_of(stored)
        deadline = None if answer is None else deadline_told(answer, to_ms(now))
        if deadline is not None:
            awaited[id_] = deadline
    if not awaited:
        return 0
    given = {
        "warnings": list(awaited),
        "steps": [d.step for d in awaited.values()],
        "dues": [to_datetime(d.due_at) for d in awaited.values()],
        "urgencies": [d.urgency.value for d in awaited.values()],
    }
    made = 0
    with connection.transaction():
        subscriptions = {one.id: one for one in load_subscriptions(connection)}
        due: defaultdict[str, list[tuple[str, Any]]] = defaultdict(list)
        free = [
            (subscription, warning, version)
            for subscription, warning, version, severity in connection.execute(UNTOLD, given).fetchall()
            if not is_held(subscriptions[subscription], severity, now)
        ]
        if not free:
            return 0
        columns = [list(column) for column in zip(*free[:A_PASS], strict=True)]
        for subscription, warning, record in connection.execute(RECORDS, columns).fetchall():
            due[subscription].append((warning, record))
        for subscription, told in due.items():
            for low in range(0, len(told), CHANGES_A_NOTICE):
                part = told[low : low + CHANGES_A_NOTICE]
                made += _tell(connection, subscription, part, awaited, now)
    return made


def _tell(
    connection: Connection,
    subscription: str,
    due: list[tuple[str, Any]],
    awaited: dict[str, Deadline],
    now: datetime,
) -> int:
    """One notice of what no other process has told; how many that is."""
    first, deadline = due[0][0], awaited[due[0][0]]
    id_ = notice_id(subscription, f"{deadline.urgency}:{deadline.step}:{first}", deadline.due_at)
    mine = []
    for warning, record in due:
        d = awaited[warning]
        values = (subscription, warning, d.step, to_datetime(d.due_at), d.urgency.value, id_, now)
        if connection.execute(TOLD, values).rowcount:
            due_by = to_datetime(d.due_at).astimezone(SHANGHAI).isoformat(timespec="seconds")
            mine.append({"step": d.step, "urgency": d.urgency.value, "due_by": due_by, "warning": record})
    if mine:
        write_notice(connection, id_, subscription, "deadline", {"deadlines": mine}, now)
    return int(bool(mine))
