"""Reference data in force in one partition: its shards' meters, classes and their scopes, coefficients.

Records of ref.* are applied in offset order and only at a tick, so that a frame is judged the same at recovery.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson

from carbonstream.processors.coefficients import Coefficient, Coefficients, Resolved
from carbonstream.processors.meters import Meter, ShardMeters
from carbonstream.processors.register_history import ALWAYS, Exchange, Multiplier
from carbonstream.processors.vee.parameter_sets import ParameterSets, set_of
from carbonstream.processors.vee.rules import Rule
from carbonstream.schemas import topics
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.codes import Decision, MeterKind, RuleTest
from carbonstream.schemas.periods import MINUTE_MS, month_of
from carbonstream.schemas.shards import partition_of

FAR_FUTURE_MS = 253_402_214_400_000  # 9999-12-31: before the first tick every published coefficient counts


class Reference:
    """`offsets` is how far each ref.* topic has been applied (the offset after the last record)."""

    def __init__(self, partition: int, partitions: int) -> None:
        self.partition, self.partitions = partition, partitions
        self.offsets: dict[str, int] = {}
        self.coefficients = Coefficients()
        self.scopes: dict[int, tuple[str, ...]] = {}
        self.as_of = FAR_FUTURE_MS  # UTC ms: coefficients published later are not yet known
        self._meters: dict[int, ShardMeters] = {}
        self.rules: dict[int, Rule] = {}  # the user's checks, by number
        self.rules_generation = 0  # grows whenever they change
        self.checks = ParameterSets()  # of the other checks
        self.generation = 0  # grows whenever resolve() may give something else than before
        self._resolved: dict[tuple[int, int, int], Resolved | None] = {}

    def shard(self, shard: int) -> ShardMeters:
        """Meters of one shard; empty where none is registered."""
        meters = self._meters.get(shard)
        if meters is None:
            meters = self._meters[shard] = ShardMeters(shard)
        return meters

    def resolve(self, class_: int, carrier: int, month: int) -> Resolved | None:
        """The CO2 coefficient of the operational basis for (class, carrier, month index), remembered until
        it may be another one."""
        key = (class_, carrier, month)
        try:
            return self._resolved[key]
        except KeyError:
            ladder = self.scopes.get(class_, ())
            kind = CARRIER_BY_NUMBER[carrier].co2_kind
            found = self.coefficients.resolve(ladder, carrier, kind, month, self.as_of)
            self._resolved[key] = found
            return found

    def advance_clock(self, tick_ms: int) -> None:
        """Coefficients published up to this tick's minute count."""
        before, self.as_of = self.as_of, tick_ms - tick_ms % MINUTE_MS
        if self.coefficients.is_published_between(before, self.as_of):
            self._forget()

    def apply(self, topic: str, offset: int, value: bytes | None) -> None:
        """Take one record of a ref.* topic in (topic without prefix)."""
        self.offsets[topic] = offset + 1
        if value is None:
            return
        document: dict[str, Any] = orjson.loads(value)
        if topic == topics.REF_METERS:
            if partition_of(document["shard"], self.partitions) == self.partition:
                self.shard(document["shard"]).put(meter_of(document))
        elif topic == topics.REF_SITES:
            if document["record"] == "class":
                self.scopes[document["class"]] = tuple(document["scopes"])
                self._forget()
        elif topic == topics.REF_COEFFICIENTS:
            self.coefficients.put(coefficient_of(document))
            self._forget()
        elif topic == topics.REF_RULES and document["record"] == "check":
            if document["decision"] is None:
                self.rules.pop(document["number"], None)
            else:
                self.rules[document["number"]] = rule_of(document)
            self.rules_generation += 1
        elif topic == topics.REF_RULES and document["record"] == "parameters":
            self.checks.put(set_of(document))

    def _forget(self) -> None:
        self._resolved.clear()
        self.generation += 1


def coefficient_of(document: dict[str, Any]) -> Coefficient:
    """A record of ref.coefficients as a Coefficient."""
    return Coefficient(
        id=document["id"],
        carrier=document["carrier"],
        kind=document["kind"],
        scope=document["scope"],
        month=month_of(document["month"]),
        value=Decimal(document["value"]),
        published_ms=document["published_ms"],
        document=document["document"],
    )


def rule_of(document: dict[str, Any]) -> Rule:
    """A check of ref.rules as a Rule."""
    low, high, kind = document["low"], document["high"], document["kind"]
    return Rule(
        name=document["rule"],
        version=document["version"],
        number=document["number"],
        carrier=document["carrier"],
        register=None if kind is None else kind == MeterKind.REGISTER,
        meter=document["meter"],
        test=RuleTest(document["test"]),
        field=document["field"],
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        decision=Decision[document["decision"].upper()],
    )


def meter_of(document: dict[str, Any]) -> Meter:
    """A record of ref.meters as a Meter."""
    return Meter(
        meter_id=document["meter_id"],
        number=document["number"],
        carrier=document["carrier"],
        register=document["kind"] == MeterKind.REGISTER,
        unit=document["unit"],
        multiplier_milli=document["multiplier_milli"],
        modulus=document["modulus"],
        interval_ms=document["interval_ms"],
        valid_from=document["valid_from_ms"],
        valid_to=document["valid_to_ms"],
        class_=document["class"],
        multipliers=tuple(
            Multiplier(ALWAYS if m["valid_from_ms"] is None else m["valid_from_ms"], m["version"], m["milli"])
            for m in document.get("multipliers", ())
        ),
        exchanges=tuple(
            Exchange(x["at_ms"], x["final"], x["initial"], x["modulus"])
            for x in document.get("exchanges", ())
        ),
    )
