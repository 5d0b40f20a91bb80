"""warn: judges targets whenever totals change or a day is closed, and writes down what became of their
warnings.

Inputs say what to look at (carbon.totals: whose total of which hour; carbon.signals: the clock moved; ref.*:
everything; warn.commands: what operators want); judged is what the database holds. One transaction holds a
judgement's states, history, outbox rows and positions, and what became of the operators' commands.

The clock is the lowest tick of all source partitions up to which the sink has stored, read in the snapshot
that is judged. A forwarded tick may be ahead of the rows (a day would be closed before its rows can be seen)
or behind them (a warning would be raised before its own hour); so it only wakes us.

Why the history cannot depend on speed, batches or a kill: what is written is the difference between the
history and what the rules say of the totals now, so judging twice writes nothing, and judging less often
skips nothing, as each rule's list for totals that have grown begins with its list for what they were. A
target-level is reached once, in an hour found from the hours' sums; plan-to-date and pace look at closed days only
(processors.warnings_closing says when a day is). What was still open is judged later, what was late is told
as a correction.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final

import psycopg

from carbonstream.connectors import telemetry
from carbonstream.connectors.holidays import packaged_calendar
from carbonstream.connectors.layout import check_layout
from carbonstream.connectors.locks import Only
from carbonstream.connectors.rounds import OnlyService
from carbonstream.connectors.warning_rules import load_rule_book, rule_book
from carbonstream.processors.expectation import Span
from carbonstream.processors.pace import Paces
from carbonstream.processors.warnings_agenda import Agenda
from carbonstream.schemas import topics
from carbonstream.schemas.settings import Settings
from carbonstream.streams.warn_book import load_positions, write_positions, write_warnings
from carbonstream.streams.warn_health import EVERY_S, tell_health
from carbonstream.streams.warn_inbox import READ, Inbox
from carbonstream.streams.warn_judge import judge_due
from carbonstream.streams.warn_operator import COMMANDS_A_PASS, operate
from carbonstream.streams.warn_totals import load_expected, load_targets, stored_clock

Connection = psycopg.Connection[Any]
TARGETS_A_PASS: Final = 500
IDLE_PASS_S: Final = 1.0  # while nothing is due, positions and clock are seen to this often


class Warn(OnlyService):
    """Runs rounds until stopped; a changed layout ends the process."""

    name = "warn"
    only = Only.WARN

    def hold(self, connection: Connection) -> None:
        """Judge from the stored positions on."""
        check_layout(self.config, connection, READ)
        positions = load_positions(connection)
        connection.autocommit = False
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        inbox = Inbox(self.config, positions)
        try:
            Judgement(self.config, self.log, connection, inbox).run(self.stopping)
        finally:
            inbox.close()


class Judgement:
    """One round: the agenda, and the passes over it. A round begins by judging every target."""

    def __init__(self, config: Settings, log: Any, connection: Connection, inbox: Inbox) -> None:
        self.config, self.log, self.connection, self.inbox = config, log, connection, inbox
        self.agenda = Agenda()
        self.calendar = packaged_calendar()
        self.paces = Paces()
        self.rules = rule_book()
        self.expected: dict[int, dict[int, list[Span]]] = {}

    def run(self, stopping: threading.Event) -> None:
        """Read and judge until stopping."""
        looked, moved, healthy = float("-inf"), False, float("-inf")
        while not stopping.is_set():
            records = self.inbox.poll(self.agenda.targets)
            telemetry.RECORDS.labels("warn", topics.TOTALS).inc(records)
            moved = moved or records > 0
            due = (
                self.inbox.changed or self.inbox.reference_changed or len(self.agenda) or self.inbox.commands
            )
            idle = moved or self.inbox.now > self.agenda.now
            if not due and not (idle and time.monotonic() - looked >= IDLE_PASS_S):
                continue
            looked = time.monotonic()
            if self._pass():
                moved = False
                telemetry.SECONDS.labels("warn", "pass").observe(time.monotonic() - looked)
                if looked - healthy >= EVERY_S:
                    healthy = looked
                    tell_health(self.connection, self.agenda.now, self.config.operator_positions)
            else:
                stopping.wait(IDLE_PASS_S)

    def _pass(self) -> bool:
        """One transaction; False while nothing says what time it is."""
        with self.connection.transaction():
            now = stored_clock(self.connection, self.config.partitions)
            if now <= 0:
                return False
            self._note(now)
            taken = self.agenda.take(TARGETS_A_PASS)
            records = judge_due(
                self.connection, self.agenda, taken, self.expected, self.calendar, self.paces, self.rules
            )
            write_warnings(self.connection, records)
            commands = self.inbox.commands[:COMMANDS_A_PASS]
            operations = operate(self.connection, now, commands)
            write_positions(self.connection, self.inbox.rows(commands))
        self.inbox.took(commands)
        for record in records:
            self.log.info(
                "warning", id=record.id, version=record.version, state=record.state, bucket=record.bucket,
                backfill=record.backfill,
            )  # fmt: skip
        for done in operations:
            self.log.info(
                "operation", warning=done.card.id, operation=done.operation, state=done.card.state.value, by=done.by
            )  # fmt: skip
        return True

    def _note(self, now: int) -> None:
        """Put on the agenda what is new since the last pass."""
        if self.inbox.reference_changed:
            targets, self.rules = load_targets(self.connection), load_rule_book(self.connection)
            self.expected = load_expected(self.connection, (target.number for target in targets))
            self.agenda.begin(targets)
            self.inbox.reference_changed = False
        for entity, hours in self.inbox.changed.items():
            for hour in hours:
                self.agenda.change(entity, hour)
        self.inbox.changed.clear()
        self.agenda.advance(now)
