"""Absolute totals as carbon.totals carries them, from rows of the SQL function totals_of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple

from carbonstream.processors.expectation import completeness
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import DAY_MS, SHANGHAI, local_iso, next_bucket, to_ms

GRAIN_NAMES: Final = {Grain.HOUR: "hour", Grain.DAY: "day", Grain.MONTH: "month"}
EXACT: Final = Context(prec=100)  # 19 digits of quantity, 12 and more of a coefficient: never rounded
# buckets further apart than this are read in separate queries: a live hour and a backfilled year do not span decades
GAP_MS: Final = {Grain.HOUR: 2 * DAY_MS, Grain.DAY: 40 * DAY_MS, Grain.MONTH: 400 * DAY_MS}


class Key(NamedTuple):
    """One total: entity number, grain, start of the bucket in UTC ms."""

    entity: int
    grain: Grain
    bucket: int


@dataclass(frozen=True, slots=True)
class Span:
    """One query: entities of one grain over [first, last], buckets' starts in UTC ms."""

    grain: Grain
    entities: frozenset[int]
    first: int
    last: int


def spans(keys: Iterable[Key]) -> list[Span]:
    """Few ranges that cover all keys: by grain, cut where a gap in time is wide."""
    by_grain: dict[Grain, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for key in keys:
        by_grain[key.grain][key.bucket].add(key.entity)
    found: list[Span] = []
    for grain, buckets in by_grain.items():
        entities: set[int] = set()
        first = last = -1
        for bucket in sorted(buckets):
            if entities and bucket - last > GAP_MS[grain]:
                found.append(Span(grain, frozenset(entities), first, last))
                entities = set()
            if not entities:
                first = bucket
            entities |= buckets[bucket]
            last = bucket
        found.append(Span(grain, frozenset(entities), first, last))
    return found


def restated_keys(restated: Iterable[tuple[date, Sequence[int]]]) -> set[Key]:
    """The days and the month of each (first day of a local month, entities)."""
    keys: set[Key] = set()
    for first, entities in restated:
        month = to_ms(datetime(first.year, first.month, 1, tzinfo=SHANGHAI))
        days = range(month, next_bucket(Grain.MONTH, month), DAY_MS)
        for entity in entities:
            keys.add(Key(entity, Grain.MONTH, month))
            keys.update(Key(entity, Grain.DAY, day) for day in days)
    return keys


class Part(NamedTuple):
    """One row of totals_of: a carrier of a class within a total. Quantities in thousandths of the base unit."""

    class_: int
    carrier: int
    readings: int
    quantity: Decimal
    estimated: Decimal
    co2_kg: Decimal | None
    kgce: Decimal | None
    coefficient: int | None
    coefficient_month: str | None


class Fuel(NamedTuple):
    """One row of inferred_of: a fuel inferred from electricity. Quantity in thousandths of the base unit."""

    carrier: int
    quantity: Decimal
    co2_kg: Decimal | None
    kgce: Decimal | None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a total beside its rows. Times UTC ms."""

    expected: int  # readings due in the whole bucket
    coverage: float | None  # share of its sites that were metered
    oldest_missing: int | None  # start of the oldest interval known to be missing
    tick: int  # the newest that is stored
    computed: int  # when it was read
    inferred: Sequence[Fuel] = ()
    declared: Mapping[int, int] = field(default_factory=dict)  # by carrier: thousandths of the quantity


def total_record(
    entity: str, grain: Grain, bucket: int, parts: Sequence[Part], known: Known
) -> dict[str, Any]:
    """A record of carbon.totals (schemas.totals.Total)."""
    readings = sum(p.readings for p in parts)
    co2_kg = total(p.co2_kg for p in parts)
    is_estimated = any(p.estimated for p in parts)
    return {
        "entity": entity,
        "grain": GRAIN_NAMES[grain],
        "bucket": local_iso(bucket),
        "bucket_ms": bucket,
        "readings": readings,
        "expected": known.expected,
        "completeness": completeness(readings, known.expected),
        "coverage": known.coverage,
        "estimated_share": _share_of(parts, _estimated(parts)) if is_estimated else 0.0,
        "declared_share": _share_of(parts, known.declared),
        "inferred": _fuels(known.inferred),
        "inferred_share": inferred_share(total(f.co2_kg for f in known.inferred), co2_kg)
        if known.inferred
        else 0.0,
        "oldest_missing": None if known.oldest_missing is None else local_iso(known.oldest_missing),
        "provisional": is_estimated
        or co2_kg is None
        or readings < known.expected
        or known.tick < next_bucket(grain, bucket),
        "co2_kg": text(co2_kg),
        "kgce": text(total(p.kgce for p in parts)),
        "carriers": [
            {
                "carrier": CARRIER_BY_NUMBER[p.carrier].id,
                "class": p.class_,
                "unit": CARRIER_BY_NUMBER[p.carrier].base_unit.value,
                "quantity": text(EXACT.scaleb(p.quantity, -3)),
                "estimated": text(EXACT.scaleb(p.estimated, -3)),
                "readings": p.readings,
                "co2_kg": text(p.co2_kg),
                "kgce": text(p.kgce),
                "coefficient": p.coefficient,
                "coefficient_month": p.coefficient_month,
            }
            for p in parts
        ],
        "computed": known.computed,
    }


def _fuels(rows: Sequence[Fuel]) -> list[dict[str, Any]]:
    """Inferred fuels, classes added up, by carrier."""
    by_carrier: dict[int, list[Fuel]] = defaultdict(list)
    for row in rows:
        by_carrier[row.carrier].append(row)
    return [
        {
            "carrier": CARRIER_BY_NUMBER[carrier].id,
            "unit": CARRIER_BY_NUMBER[carrier].base_unit.value,
            "quantity": text(total(EXACT.scaleb(f.quantity, -3) for f in fuels)),
            "co2_kg": text(total(f.co2_kg for f in fuels)),
            "kgce": text(total(f.kgce for f in fuels)),
        }
        for carrier, fuels in sorted(by_carrier.items())
    ]


def _estimated(parts: Sequence[Part]) -> dict[int, int]:
    estimated: dict[int, int] = defaultdict(int)
    for p in parts:
        estimated[p.carrier] += int(p.estimated)
    return estimated


def _share_of(parts: Sequence[Part], portion: Mapping[int, int]) -> float | None:
    """estimated_share of a portion of the parts' quantities, by carrier."""
    if not any(portion.values()):
        return 0.0
    quantity: dict[int, int] = defaultdict(int)
    co2_kg: dict[int, list[Decimal | None]] = defaultdict(list)
    for p in parts:
        quantity[p.carrier] += int(p.quantity)
        co2_kg[p.carrier].append(p.co2_kg)
    of = {c: portion.get(c, 0) for c in quantity}
    return estimated_share(quantity, of, {c: total(values) for c, values in co2_kg.items()})


def estimated_share(
    quantity: Mapping[int, int], estimated: Mapping[int, int], co2_kg: Mapping[int, Decimal | None]
) -> float | None:
    """Share of a total that is estimated (or declared), by carrier: of the quantity where it has one, else of the CO2.

    Rounded up to 4 decimals: 0.0 only where nothing is. None where it has several carriers and the CO2 of
    one is unknown, as their quantities cannot be added.
    """
    if not any(estimated.values()):
        return 0.0
    parts = {c: Fraction(estimated[c], q) for c, q in quantity.items() if q}
    if len(parts) == 1:
        share = next(iter(parts.values()))
    else:
        weights = [(co2_kg.get(c), part) for c, part in parts.items()]
        whole = total(weight for weight, _ in weights)
        if not whole:
            return None
        share = sum((Fraction(w) * part for w, part in weights if w is not None), Fraction(0)) / Fraction(
            whole
        )
    return -(-share.numerator * 10_000 // share.denominator) / 10_000


def inferred_share(inferred: Decimal | None, metered: Decimal | None) -> float | None:
    """Inferred CO2 / (metered + inferred), cut to 4 decimals; None where either is unknown or both are zero."""
    if inferred is None or metered is None or not (whole := EXACT.add(inferred, metered)):
        return None
    return int(EXACT.divide_int(EXACT.multiply(inferred, Decimal(10_000)), whole)) / 10_000


def total(values: Iterable[Decimal | None]) -> Decimal | None:
    """Exact sum; None as soon as one is unknown: a missing coefficient is never zero."""
    result = Decimal(0)
    for value in values:
        if value is None:
            return None
        result = EXACT.add(result, value)
    return result


def exact(value: Decimal) -> str:
    """Exact decimal without exponent and without trailing zeros after the point."""
    plain = format(value, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def text(value: Decimal | None) -> str | None:
    """exact(), and None for what is unknown."""
    return None if value is None else exact(value)
