"""Warning rules as data: what a definition says, and which one judges a subject at an instant.

A subject is an entity's id (region:330502, enterprise:E, site:S), a source (source:http/gw-7) or a meter
(meter:SITE/METER). Of the rules of a kind whose scope holds it, the one with the longest scope judges it; where that
one is switched off nothing does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from carbonstream.processors.plain_text import decimal
from carbonstream.processors.total_records import text
from carbonstream.schemas.periods import local_iso
from carbonstream.schemas.warning_rules import Priority, RuleKind, WarningClass


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of a rule. default None: it must be given."""

    default: Decimal | None
    low: Decimal
    high: Decimal
    about: str


def _number(default: str | None, low: str, high: str, about: str) -> Parameter:
    return Parameter(None if default is None else Decimal(default), Decimal(low), Decimal(high), about)


RATE: Final = "base units an hour: kW of electricity, m3/h of gas"
DELAYS: Final[Mapping[str, Parameter]] = {
    # the demand interval of the two-part tariff; it divides an hour, so that slots begin at full hours
    "period_s": _number("900", "60", "3600", "seconds a mean is taken over"),
    "on_s": _number("0", "0", "86400", "seconds the value must be above the limit"),
    "off_s": _number("0", "0", "86400", "seconds the value must be below the limit less the deadband"),
    "deadband": _number("5", "0", "100", "per cent of the limit"),
}
PARAMETERS: Final[Mapping[RuleKind, Mapping[str, Parameter]]] = {
    RuleKind.TARGET_LEVEL: {"from": _number("0", "0", "1000", "levels from here on, per cent of the target")},
    RuleKind.PLAN_TO_DATE: {
        "active_above": _number("100", "1", "1000", "per cent of the plan to date"),
        "clear_below": _number("98", "1", "1000", "per cent of the plan to date"),
    },
    RuleKind.PACE: {"clear_below": _number("98", "1", "100", "forecast, per cent of the target")},
    RuleKind.INTENSITY: {"clear_below": _number("98", "1", "100", "per cent of the target")},
    RuleKind.CHANGE_RATE: {"clear_by": _number("0", "0", "100", "percentage points below the target")},
    RuleKind.CONSISTENCY: {
        # while a day runs, what an outage held back comes within minutes of its end
        "on_s": _number("900", "0", "86400", "seconds an indicator must be missed while its day runs"),
    },
    RuleKind.SILENCE: {
        "cadences": _number("2", "1", "1000", "intervals without a reading"),
        "grace_s": _number("300", "0", "2764800", "seconds a reading may take to come"),
        "off_s": _number("900", "0", "86400", "seconds that readings must have come again"),
        "cadence_s": _number("0", "0", "2764800", "seconds between readings; 0: the meters' own interval"),
    },
    RuleKind.INTERVAL_LIMIT: {"limit": _number(None, "0.001", "1000000000000", RATE), **DELAYS},
    RuleKind.MAXIMUM_DEMAND: {
        "capacity": _number(None, "0.001", "1000000000000", "contracted demand or transformer capacity, kW"),
        # of the contracted maximum demand what is above 105 % is charged double (NDRC 2016-1583)
        "k": _number("1.05", "0.01", "10", "times the capacity"),
        **DELAYS,
    },
    RuleKind.DATA_QUALITY: {
        # of an hour's 4 readings of a quarter one is 25 %: it takes two, or a site, to be above
        "share": _number("25", "0", "100", "per cent of an hour's readings that are not soundly measured"),
        "readings": _number("4", "1", "1000000", "an hour with fewer is not judged"),
        "deadband": _number("20", "0", "100", "per cent of the share"),
    },
    RuleKind.HABIT: {
        "z": _number("4", "1", "100", "standard deviations of the forecast's errors"),
        "share": _number("30", "0", "1000", "the range is at least so many per cent of what is expected"),
        "learn_h": _number("672", "168", "8784", "hours that are learnt before any is judged"),
        "on_s": _number("7200", "0", "604800", "seconds the value must be outside its range"),
        "off_s": _number("7200", "0", "604800", "seconds the value must be inside it again"),
        "deadband": _number("10", "0", "100", "per cent of the range that is not inside again"),
    },
}
REMEMBERED: Final = 50_000  # answers of a book: 10,000 targets ask five questions each
ENTITIES: Final = ("region:", "domain:", "industry:", "park:", "enterprise:", "site:")
# What a rule of a kind may be about, by the beginning of its scope; kinds that are not here: entities, or all (*).
SUBJECTS: Final[Mapping[RuleKind, tuple[str, ...]]] = {
    RuleKind.SILENCE: ("source:", "meter:"),
    RuleKind.INTERVAL_LIMIT: ("meter:",),
    RuleKind.MAXIMUM_DEMAND: ("meter:",),
    RuleKind.DATA_QUALITY: ("meter:", "site:"),
    RuleKind.HABIT: ("meter:",),
}


@dataclass(frozen=True, slots=True)
class Definition:
    """One version of a rule. parameters: every one of its kind; valid_from: UTC ms."""

    rule: str
    version: int
    kind: RuleKind
    scope: str
    parameters: Mapping[str, Decimal]
    class_: WarningClass
    priority: Priority
    owner: str
    cause: str
    consequence: str
    action: str
    respond_s: int
    is_on: bool
    valid_from: int

    @property
    def reference(self) -> str:
        """RULE@VERSION, as a warning names it."""
        return f"{self.rule}@{self.version}"

    def document(self) -> dict[str, Any]:
        """As a warning's snapshot carries it, and the API shows it."""
        return {
            "rule": self.rule,
            "version": self.version,
            "kind": self.kind.value,
            "scope": self.scope,
            "parameters": {name: text(value) for name, value in sorted(self.parameters.items())},
            "class": self.class_.value,
            "priority": self.priority.value,
            "owner": self.owner,
            "cause": self.cause,
            "consequence": self.consequence,
            "action": self.action,
            "respond_s": self.respond_s,
            "state": "on" if self.is_on else "off",
            "valid_from": local_iso(self.valid_from),
        }


class Scopes:
    """Definitions by the beginning of what they are about: asked for one subject of 100,000, few are looked at."""

    def __init__(self, definitions: Iterable[Definition] = ()) -> None:
        self._whole: defaultdict[str, list[Definition]] = defaultdict(list)
        self._beginning: defaultdict[int, defaultdict[str, list[Definition]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for definition in definitions:
            if definition.scope.endswith("*"):
                head = definition.scope[:-1]
                self._beginning[len(head)][head].append(definition)
            else:
                self._whole[definition.scope].append(definition)

    def __bool__(self) -> bool:
        return bool(self._whole or self._beginning)

    def of(self, subject: str) -> list[Definition]:
        """All whose scope holds a subject."""
        found = list(self._whole.get(subject, ()))
        for length, by_head in self._beginning.items():
            found += by_head.get(subject[:length], ())
        return found


class RuleBook:
    """All versions of all rules.

    A version takes the place of earlier ones that would come into force with it or after it: that is how one dated too
    far ahead is corrected.
    """

    def __init__(self, definitions: Iterable[Definition] = ()) -> None:
        versions: defaultdict[str, list[Definition]] = defaultdict(list)
        for definition in definitions:
            versions[definition.rule].append(definition)
        self._all = [d for found in versions.values() for d in found]
        self._versions = {rule: _effective(found) for rule, found in versions.items()}
        self._changes = sorted({d.valid_from for found in self._versions.values() for d in found})
        self._scopes = {kind: self.scopes(kind) for kind in RuleKind}
        self._found: dict[tuple[RuleKind, str, int, Decimal | None], Definition | None] = {}

    def __iter__(self) -> Iterator[Definition]:
        return iter(self._all)

    def changes(self, after_ms: int, until_ms: int) -> list[int]:
        """The instants in (after, until] at which a version comes into force, in order."""
        return self._changes[bisect_right(self._changes, after_ms) : bisect_right(self._changes, until_ms)]

    def version_named(self, reference: str) -> Definition | None:
        """RULE@VERSION; the rule's newest version where there is no such one: a release replaced what is packaged."""
        versions = self._versions.get(reference.rpartition("@")[0], [])
        named = [d for d in versions if d.reference == reference]
        return next(iter(named or versions[-1:]), None)

    def epoch(self, at_ms: int) -> int:
        """Grows with each instant at which a version comes into force; between two all is the same."""
        return bisect_right(self._changes, at_ms)

    def scopes(self, *kinds: RuleKind) -> Scopes:
        """Every version of the rules of these kinds that is or comes into force, by what they are about."""
        return Scopes(d for found in self._versions.values() for d in found if d.kind in kinds)

    def in_force(self, kind: RuleKind, at_ms: int) -> list[Definition]:
        """The version of each rule of a kind at an instant, also of those that are off."""
        found = (self._version(rule, at_ms) for rule in self._versions)
        return [d for d in found if d is not None and d.kind is kind]

    def _version(self, rule: str, at_ms: int) -> Definition | None:
        valid = [d for d in self._versions[rule] if d.valid_from <= at_ms]
        return valid[-1] if valid else None

    def find(
        self, kind: RuleKind, subject: str, at_ms: int, level: Decimal | None = None
    ) -> Definition | None:
        """The rule that judges a subject; None where none does. level: of a target, for rules with `from`."""
        found = self.deciding(kind, subject, at_ms, level)
        return found if found is not None and found.is_on else None

    def deciding(
        self, kind: RuleKind, subject: str, at_ms: int, level: Decimal | None = None
    ) -> Definition | None:
        """The same, also one that is off, so that nothing is judged."""
        key = kind, subject, self.epoch(at_ms), level
        if key not in self._found:
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            self._found[key] = self._deciding(kind, subject, at_ms, level)
        return self._found[key]

    def _deciding(self, kind: RuleKind, subject: str, at_ms: int, level: Decimal | None) -> Definition | None:
        found = [
            d
            for d in self._scopes[kind].of(subject)
            if d is self._version(d.rule, at_ms) and (level is None or d.parameters["from"] <= level)
        ]
        return max(
            found, key=lambda d: (len(d.scope.rstrip("*")), d.parameters.get("from", 0), d.rule), default=None
        )


def _effective(versions: Iterable[Definition]) -> list[Definition]:
    """Of one rule's versions those that are ever in force, in the order in which they come."""
    found: list[Definition] = []
    for definition in sorted(versions, key=lambda d: d.version):
        while found and found[-1].valid_from >= definition.valid_from:
            found.pop()
        found.append(definition)
    return found


def parameters_of(kind: RuleKind, words: str) -> dict[str, Decimal]:
    """Every parameter of a kind, from text such as `limit=500;off_s=900`; the rest have their defaults.

    Raises ValueError with the remedy.
    """
    known, given = PARAMETERS[kind], {}
    for word in filter(None, (part.strip() for part in words.split(";"))):
        name, _, value = (part.strip() for part in word.partition("="))
        if name not in known:
            raise ValueError(
                f"{name!r} is no parameter of {kind}: take {', '.join(known) or 'none'}, e.g. name=1;name=2"
            )
        if name in given:
            raise ValueError(f"{name!r} is given twice: keep one of them")
        try:
            given[name] = decimal(value)
        except ValueError as error:
            raise ValueError(f"{name}: {value!r} {error}") from None
        low, high = known[name].low, known[name].high
        if not low <= given[name] <= high:
            raise ValueError(
                f"{name}: {value} is outside {text(low)} to {text(high)} ({known[name].about}): correct it"
            )
    return complete(kind, given)


def complete(kind: RuleKind, given: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Given parameters and the kind's defaults. Raises ValueError where one that has none is missing."""
    found = {}
    for name, parameter in PARAMETERS[kind].items():
        value = given.get(name, parameter.default)
        if value is None:
            raise ValueError(f"{name} is missing ({parameter.about}): write {name}=NUMBER")
        found[name] = value
    if "period_s" in found and 3_600 % found["period_s"]:
        raise ValueError("period_s does not divide an hour: write 60, 300, 900, 1800 or 3600")
    if found.get("clear_below", Decimal(0)) > found.get("active_above", Decimal(1_000)):
        raise ValueError("clear_below is above active_above: a warning would come and go; lower clear_below")
    return found


def scope_of(kind: RuleKind, words: str) -> str:
    """A rule's scope. Raises ValueError with the remedy where the kind judges no such subject."""
    starts: Sequence[str] = SUBJECTS.get(kind, ENTITIES)
    head = words.removesuffix("*")
    if "*" not in head and (
        any(head.startswith(start) for start in starts) or (not head and starts is ENTITIES)
    ):
        return words
    usual = " or ".join(f"{start}*" for start in starts)
    raise ValueError(f"a rule of kind {kind} is about {usual}: write one's id, or a beginning that ends in *")
