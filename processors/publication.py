"""Judges coefficients that somebody submits: all of them, with every error, before anything is written.

Each field is read, then each value is held against its components, the library and what else is submitted. What
is new or revised, and whether it is true, a second person decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple, TypeVar

from carbonstream.processors.coefficient_units import CALORIFIC, RATIO, in_base_units, kinds_of
from carbonstream.processors.factors import CO2_PER_CARBON, fuel_kg_co2, months_of_year
from carbonstream.processors.plain_text import month, not_negative, year
from carbonstream.processors.plausible import implausible, neighbours
from carbonstream.schemas.carriers import CARRIER_BY_ID, Carrier
from carbonstream.schemas.periods import month_of, month_text

T = TypeVar("T")
COLUMNS: Final = ("carrier", "kind", "scope", "value", "unit", "document")
MONTHS: Final = ("month", "data_year")  # one of them; a data year is the same value for its twelve months
BY_CARBON: Final = ("ncv_mj_per_unit", "carbon_tc_per_gj", "oxidation_percent")  # GB/T 32150-2015 5.2
BY_STANDARD_COAL: Final = ("kgce_per_unit", "kgco2_per_kgce")  # T/CES 5.1, 5.5
EXCEPTION: Final = "exception"
OPTIONAL: Final = (*BY_CARBON, *BY_STANDARD_COAL, EXCEPTION)
LEFT_ASIDE: Final = ("published_on", "approver")  # of a file for `load`: the approval's day and person count
MOST_ENTRIES: Final = 5_000
MOST_CHARACTERS: Final = {"value": 40, "document": 300, EXCEPTION: 300}
YEAR_MONTHS: Final = 12


class Key(NamedTuple):
    """What identifies a coefficient; a second value of a key is a revision. `month` since 1970-01."""

    carrier: int
    kind: str
    scope: str
    month: int


@dataclass(frozen=True, slots=True)
class Submitted:
    """One row as it came: its line (of a file) or number (of a list), and its fields, stripped."""

    line: int
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One coefficient that may be published. `value` per base unit of the carrier."""

    line: int
    key: Key
    value: Decimal
    unit: str
    components: Mapping[str, str]
    document: str
    data_year: int | None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field of one row."""

    line: int
    field: str
    value: str
    remedy: str


@dataclass(slots=True)
class Library:
    """What is published and pending. `series`: the newest revision by (carrier, kind), scope, month."""

    scopes: frozenset[str]  # codes of regions, enterprise:ID, and CODE@ for an industry of a region
    series: dict[tuple[int, str], dict[str, dict[int, Decimal]]] = field(default_factory=dict)
    exceptional: set[Key] = field(
        default_factory=set
    )  # whose newest revision was published with an exception
    pending: dict[Key, int] = field(default_factory=dict)  # -> its publication

    def put(self, key: Key, value: Decimal, *, is_exceptional: bool = False) -> None:
        """Add the newest revision of a key."""
        self.series.setdefault((key.carrier, key.kind), {}).setdefault(key.scope, {})[key.month] = value
        if is_exceptional:
            self.exceptional.add(key)
        else:
            self.exceptional.discard(key)

    def published(self, key: Key) -> Decimal | None:
        """The value of exactly this key."""
        return self.series.get((key.carrier, key.kind), {}).get(key.scope, {}).get(key.month)

    def in_force(self, key: Key) -> dict[str, Key]:
        """By scope, the newest key up to the month of this one."""
        found = {}
        for scope, months in self.series.get((key.carrier, key.kind), {}).items():
            known = [m for m in months if m <= key.month]
            if known:
                found[scope] = key._replace(scope=scope, month=max(known))
        return found

    def beside(self, key: Key) -> tuple[Decimal, ...]:
        """What a value of this key is held against: see plausible.neighbours."""
        if key.kind.startswith(RATIO):
            return ()  # industries' fuel by electricity differs a hundredfold
        standing = self.in_force(key)
        values = {scope: v for scope, k in standing.items() if (v := self.published(k)) is not None}
        return neighbours(key.scope, values, [s for s, k in standing.items() if k in self.exceptional])

    def last_year(self, key: Key) -> Decimal | None:
        """The same scope's value in force twelve months before."""
        before = self.in_force(key._replace(month=key.month - YEAR_MONTHS)).get(key.scope)
        return None if before is None else self.published(before)


@dataclass(slots=True)
class _Reader:
    row: Submitted
    faults: list[Fault]
    sound: bool = True

    def take(self, name: str, parse: Callable[[str], T], absent: T) -> T:
        text = self.row.fields.get(name, "")
        try:
            if not text:
                raise ValueError("is empty: give a value")
            if len(text) > MOST_CHARACTERS.get(name, 200):
                raise ValueError(f"is longer than {MOST_CHARACTERS.get(name, 200)} characters: shorten it")
            return parse(text)
        except ValueError as error:
            self.refuse(name, str(error))
            return absent

    def refuse(self, name: str, remedy: str) -> None:
        self.sound = False
        self.faults.append(Fault(self.row.line, name, self.row.fields.get(name, ""), remedy))


def judge(
    rows: Iterable[Submitted], library: Library, this_month: int
) -> tuple[tuple[Entry, ...], tuple[Fault, ...]]:
    """The entries of all rows and every fault of them; entries count only where there is no fault.

    this_month: local months since 1970-01; nothing is published for a later year.
    """
    entries: dict[Key, Entry] = {}
    faults: list[Fault] = []
    for row in rows:
        reader = _Reader(row, faults)
        for entry in _entries(reader, library, this_month):
            first = entries.setdefault(entry.key, entry)
            if first is not entry:
                at = month_text(entry.key.month)
                reader.refuse("scope", f"line {first.line} gives {at} already: keep one of them")
                break
            _hold_against(reader, entry, library)
            if not reader.sound:
                break
    if not entries and not faults:
        faults.append(Fault(0, "rows", "", "there is none: give at least one coefficient"))
    if len(entries) > MOST_ENTRIES:
        faults.append(Fault(0, "rows", str(len(entries)), f"publish at most {MOST_ENTRIES} at once"))
    return tuple(entries.values()), tuple(faults)


def _entries(reader: _Reader, library: Library, this_month: int) -> list[Entry]:
    """One entry a month; none of an unsound row."""

    def one_of(choices: Iterable[str]) -> Callable[[str], str]:
        def parse(text: str) -> str:
            if text not in choices:
                raise ValueError(f"take one of {', '.join(choices)}")
            return text

        return parse

    def scope_of(text: str) -> str:
        industry, at, region = text.partition("@")
        if not (text in library.scopes if not at else {industry + at, region} <= library.scopes):
            raise ValueError(
                "is no known scope: write a region 330000, an industry of a region C31@330500, or enterprise:ID"
            )
        return text

    carrier = CARRIER_BY_ID.get(reader.take("carrier", one_of(CARRIER_BY_ID), ""))
    kind = "" if carrier is None else reader.take("kind", one_of((*kinds_of(carrier), CALORIFIC)), "")
    scope = reader.take("scope", scope_of, "")
    months, data_year = _months(reader, this_month)
    value = reader.take("value", not_negative, Decimal(0))
    unit = reader.take("unit", str, "")
    document = reader.take("document", str, "")
    if not reader.sound or carrier is None:
        return []
    try:
        per_base_unit, base_unit, components = in_base_units(value, unit, carrier, kind)
    except ValueError as error:
        reader.refuse("unit", str(error))
        return []
    factors = _components(reader, carrier, kind, per_base_unit)
    if factors is None:
        return []
    components |= factors
    return [
        Entry(reader.row.line, Key(carrier.number, kind, scope, m), per_base_unit, base_unit, components, document,
              data_year)
        for m in months
    ]  # fmt: skip


def _months(reader: _Reader, this_month: int) -> tuple[Sequence[int], int | None]:
    given = [name for name in MONTHS if reader.row.fields.get(name)]
    months: Sequence[int] = ()
    data_year = None
    if len(given) != 1:
        reader.refuse("month", "give either month or data_year")
    elif given == ["month"]:
        first = reader.take("month", month, None)
        months = () if first is None else (month_of(f"{first:%Y-%m}"),)
    else:
        data_year = reader.take("data_year", year, None)
        months = () if data_year is None else months_of_year(data_year)
    if months and months[0] > this_month:
        reader.refuse(
            given[0], f"lies ahead of this month, {month_text(this_month)}: publish it when it is out"
        )
    return months, data_year


def _components(reader: _Reader, carrier: Carrier, kind: str, value: Decimal) -> dict[str, str] | None:
    """What the value is the product of, per base unit, each method complete and equal to it; None: refused."""
    found: dict[str, str] = {}
    given = {name: text for name in OPTIONAL if (text := reader.row.fields.get(name, ""))}
    for method, fits in ((BY_CARBON, kind == "fuel"), (BY_STANDARD_COAL, _is_co2(kind))):
        named = [name for name in method if name in given]
        if not named:
            continue
        if not fits:
            reader.refuse(named[0], f"is no component of kind {kind}: leave it out")
            continue
        parts = [reader.take(name, not_negative, Decimal(0)) for name in method]
        if not reader.sound:
            continue
        if not (is_product_by_carbon(value, *parts) if method is BY_CARBON else _is_product(value, parts)):
            reader.refuse(
                "value",
                f"{value:f} kg per {carrier.base_unit} is not {' x '.join(f'{p:f}' for p in parts)}"
                f"{' % x 44/12' if method is BY_CARBON else ''} ({', '.join(method)}): correct one of them",
            )
        found |= {name: given[name] for name in method}
        if method is BY_CARBON:
            found["co2_per_carbon"] = f"{CO2_PER_CARBON[0]}/{CO2_PER_CARBON[1]}"
    if EXCEPTION in given:
        found[EXCEPTION] = reader.take(EXCEPTION, str, "")
    return found if reader.sound else None


def is_product_by_carbon(value: Decimal, mj: Decimal, carbon: Decimal, oxidation: Decimal) -> bool:
    """Whether value = NCV x carbon x oxidation x 44/12: exactly, or, as 44/12 does not end, exactly its 12 digits.

    mj: MJ per base unit; carbon: tC/GJ; oxidation: per cent (GB/T 32150-2015 5.2; T/CES 5.1).
    """
    numerator, denominator = CO2_PER_CARBON
    product = Fraction(mj) * Fraction(carbon) * Fraction(oxidation) * Fraction(numerator, 100 * denominator)
    return Fraction(value) == product or value == fuel_kg_co2(mj, carbon, oxidation)


def _is_product(value: Decimal, parts: Iterable[Decimal]) -> bool:
    product = Fraction(1)
    for part in parts:
        product *= Fraction(part)
    return Fraction(value) == product


def _hold_against(reader: _Reader, entry: Entry, library: Library) -> None:
    """Duplicate, mixed kinds, plausible range; the first that applies."""
    key, value, at = entry.key, entry.value, month_text(entry.key.month)
    if key in library.pending:
        reader.refuse(
            "scope", f"{at} is pending in publication {library.pending[key]}: approve or reject that first"
        )
        return
    if library.published(key) == value:
        reader.refuse("value", f"is what is published for {at}: leave the row out")
        return
    if EXCEPTION in entry.components:
        return
    for (carrier, kind), scopes in sorted(library.series.items()):
        if carrier == key.carrier and kind != key.kind and _is_co2(kind) and _is_co2(key.kind):
            other = scopes.get(key.scope, {}).get(key.month)
            if other == value:
                reader.refuse("kind", f"{value:f} is {kind} of {key.scope}, {at}: kinds are never mixed")
                return
    reason = implausible(value, library.beside(key), library.last_year(key))
    if reason is not None:
        reader.refuse(
            "value",
            f"{value:f} {entry.unit} for {at} is not plausible: {reason}; correct value or unit, or say in column "
            f"{EXCEPTION} why it is right",
        )


def _is_co2(kind: str) -> bool:
    return kind != CALORIFIC and not kind.startswith(RATIO)
