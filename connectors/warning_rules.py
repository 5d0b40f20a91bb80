"""Warning rules: the packaged definitions, and the versions that the database holds."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from carbonstream.processors.warning_rules import Definition, RuleBook, complete, parameters_of, scope_of
from carbonstream.schemas.periods import to_ms
from carbonstream.schemas.warning_rules import Priority, RuleKind, WarningClass

STORED: Final = """
select rule, version, kind, scope, parameters, class as class_, priority, owner, cause, consequence, action,
       respond_s, state, valid_from
from warning_rule order by rule, version
"""


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A row of the table `warning_rule`."""

    rule: str
    version: int
    kind: str
    scope: str
    parameters: Mapping[str, Any]
    class_: str
    priority: str
    owner: str
    cause: str
    consequence: str
    action: str
    respond_s: int
    state: str
    valid_from: datetime

    def definition(self) -> Definition:
        """As rules use it; a parameter that came to its kind later has its default."""
        kind = RuleKind(self.kind)
        return Definition(
            rule=self.rule,
            version=self.version,
            kind=kind,
            scope=self.scope,
            parameters=complete(kind, {name: Decimal(value) for name, value in self.parameters.items()}),
            class_=WarningClass(self.class_),
            priority=Priority(self.priority),
            owner=self.owner,
            cause=self.cause,
            consequence=self.consequence,
            action=self.action,
            respond_s=self.respond_s,
            is_on=self.state == "on",
            valid_from=to_ms(self.valid_from),
        )


@lru_cache(maxsize=1)
def packaged_definitions() -> tuple[Definition, ...]:
    """What schemas/reference/warning_rules.csv says. Raises ValueError where it is faulty: a fault of this release."""
    content = (files("carbonstream.schemas") / "reference" / "warning_rules.csv").read_text("utf-8")
    found = []
    for row in csv.DictReader(content.splitlines()):
        kind = RuleKind(row["kind"])
        found.append(
            Definition(
                rule=row["rule"],
                version=int(row["version"]),
                kind=kind,
                scope=scope_of(kind, row["scope"]),
                parameters=parameters_of(kind, row["parameters"]),
                class_=WarningClass(row["class"]),
                priority=Priority(row["priority"]),
                owner=row["owner"],
                cause=row["cause"],
                consequence=row["consequence"],
                action=row["action"],
                respond_s=int(row["respond_s"]),
                is_on=row["state"] == "on",
                valid_from=to_ms(datetime.fromisoformat(row["valid_from"])),
            )
        )
    return tuple(found)


def rule_book(stored: Iterable[StoredRule] = ()) -> RuleBook:
    """The packaged rules and every stored version of these and of others."""
    return RuleBook([*packaged_definitions(), *(row.definition() for row in stored)])


def load_rule_book(connection: psycopg.Connection[Any]) -> RuleBook:
    """The rules as the database has them."""
    with connection.cursor(row_factory=class_row(StoredRule)) as cursor:
        return rule_book(cursor.execute(STORED).fetchall())
