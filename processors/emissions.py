"""The emissions frame of a judged readings frame: first CO2, held and rejected readings in full, as one record.

An answer is never much larger than what it answers, whatever that holds: texts are cut, so that a record which
fits into its topic has an answer that does.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol

import numpy as np
import orjson

from carbonstream.processors.checks import refused
from carbonstream.processors.frames import FAULTY, MISSING, Frame, Ints, Refusal
from carbonstream.processors.judged import Judged
from carbonstream.processors.meters import Lookup
from carbonstream.processors.release import release_of
from carbonstream.schemas.codes import REMEDY, Outcome
from carbonstream.schemas.periods import month_index, month_text
from carbonstream.schemas.texts import shown

PAYLOAD_KEPT_BYTES: Final = 65_536
# 500 rejects of three such texts and a 200-character id, each character 6 bytes of JSON at most, are 2.4 MB of 4
TEXT_KEPT: Final = 200
SAFE: Final = 2**62
PLANS_REMEMBERED: Final = 32  # months of one list of meters
MONTHS: Final = 4_096  # more than the months from 1970 to 2100, so that (group, month) is one number


class Applied(Protocol):
    """What resolution of a coefficient gives (processors.coefficients.Resolved)."""

    @property
    def id(self) -> int: ...
    @property
    def scope(self) -> str: ...
    @property
    def month(self) -> int: ...
    @property
    def carried_months(self) -> int: ...
    @property
    def value(self) -> Decimal: ...


Resolve = Callable[[int, int, int], Applied | None]  # (class, carrier, month index) -> coefficient


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the answered record stands: what every emissions frame says of its origin."""

    topic_id: str
    partition: int
    offset: int
    previous: int
    received: int  # UTC ms, the broker's stamp
    tick: int  # UTC ms, the logic's clock; 0 before the first tick


def answer_frame(
    frame: Frame,
    judged: Judged,
    known: Lookup,
    resolve: Resolve,
    carrier_ids: dict[int, str],
    at: Standing,
    *,
    findings: Sequence[dict[str, Any]] = (),
    generation: int | None = None,
    is_taken: bool = True,
) -> bytes:
    """The emissions frame of a readings frame, with what was found beside its outcomes.

    generation: as long as it is the same, `resolve` gives the same; None: it may change at any time. is_taken: False
    for a frame refused whole.
    """
    co2, exponent, coefficient, applied = _first_co2(frame, judged, known, resolve, carrier_ids, generation)
    document = _head(frame.source, frame.shard, frame.seq, frame.mode.value, frame.sent, at) | {
        "meter": frame.meter,
        "start": _column(judged.start),
        "end": _column(judged.end),
        "quantity": judged.quantity,
        "raw_index": _column(judged.raw_index),
        "quality": _column(judged.quality),
        "multiplier_version": _column(judged.version),
        "code": _column(judged.code),
        "coefficient": _column(coefficient),
        "co2": co2,
        "co2_exponent": exponent,
        "coefficients": applied,
        "refused": 0,
        "findings": findings,
        "held": [],
        "rejects": [],
    }
    if len(judged.adjusted):
        names = judged.adjusted.dtype.names or ()
        document["adjusted"] = [dict(zip(names, line, strict=True)) for line in judged.adjusted.tolist()]
    if len(judged.void):
        document["void"] = judged.void
    release = release_of(frame.document, len(frame))
    if release is not None:
        document |= release.columns(is_taken=is_taken)
    if judged.code.any():
        held = judged.code == Outcome.UNKNOWN_METER
        document["held"] = _kept(frame, np.flatnonzero(held), None)
        document["rejects"] = _kept(frame, np.flatnonzero((judged.code > Outcome.BASELINE) & ~held), judged)
    encoded = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    # the ids, numbers and carriers of a known list of meters were encoded once
    return encoded[:-1] + b"," + known.encoded + b"}"


def _column(values: Ints) -> Ints | int:
    """A column whose entries are all equal is sent as one value."""
    n = len(values)
    if n and values[0] == values[n - 1] and values.tobytes() == values[:1].tobytes() * n:
        return int(values[0])
    return values


def refuse_frame(frame: Frame, code: Outcome, known: Lookup, at: Standing) -> bytes:
    """The emissions frame of a readings frame refused whole (a known seq, a wrong partition)."""
    return answer_frame(frame, refused(frame, known, code), known, lambda *_: None, {}, at, is_taken=False)


def answer_tick(at: Standing, reference: dict[str, int]) -> bytes:
    """The (empty) answer to a tick; it names the reference offsets now in force."""
    return orjson.dumps(
        _head("", 0, 0, "live", 0, at) | {"reference": dict(sorted(reference.items()))} | EMPTY
    )


def answer_refusal(refusal: Refusal, payload: bytes | None, at: Standing) -> bytes:
    """The answer to a record no reading could be taken from: kept (first 64 kB) and counted."""
    reject = {
        "row": -1,
        "code": int(refusal.code),
        "meter": None,
        "start": None,
        "end": None,
        "value": None,
        "unit": None,
        "detail": f"{refusal.detail}; {REMEDY[refusal.code]}",
    }
    document = _head(refusal.source, max(refusal.shard, 0), max(refusal.seq, 0), "live", 0, at) | EMPTY
    document["rejects"], document["refused"] = [reject], refusal.readings
    document["payload"] = base64.b64encode((payload or b"")[:PAYLOAD_KEPT_BYTES]).decode()
    return orjson.dumps(document)


EMPTY: Final[dict[str, Any]] = {
    name: []
    for name in (
        "meters", "numbers", "carriers", "meter", "start", "end", "quantity", "raw_index", "quality",
        "multiplier_version", "code", "coefficient", "co2", "coefficients", "findings", "held", "rejects",
    )
} | {"co2_exponent": 0, "refused": 0}  # fmt: skip


def _head(source: str, shard: int, seq: int, mode: str, sent: int, at: Standing) -> dict[str, Any]:
    return {
        "source": source,
        "shard": shard,
        "seq": seq,
        "mode": mode,
        "sent": sent,
        "received": at.received,
        "tick": at.tick,
        "origin": {
            "topic_id": at.topic_id,
            "partition": at.partition,
            "offset": at.offset,
            "previous": at.previous,
        },
    }


@dataclass(frozen=True, slots=True)
class _Plan:
    """The coefficients of a list of meters in one month, worked out once for all its frames."""

    index: Ints  # by id of the list: index into applied, -1 none
    mantissa: Ints  # by id: coefficient x 10^-exponent x 1000; 0 where there is none
    largest: int
    exponent: int
    applied: orjson.Fragment
    is_complete: bool  # every id has a coefficient


def _first_co2(
    frame: Frame,
    judged: Judged,
    known: Lookup,
    resolve: Resolve,
    carrier_ids: dict[int, str],
    generation: int | None,
) -> tuple[Any, int, Ints, Any]:
    """CO2 of each taken reading as integers of 10^exponent kg: quantity / 1000 x coefficient, exact.

    Returns (co2, exponent, coefficient index by reading, coefficients). Not taken or no coefficient: null, -1.
    """
    n = len(frame)
    index = np.full(n, -1, np.int64)
    rows = np.flatnonzero(judged.code <= Outcome.BASELINE)
    if not len(rows):
        return [None] * n, 0, index, []
    months = _months(judged.start if len(rows) == n else judged.start[rows])
    if len(rows) == n and isinstance(months, int):
        plan = _plan(known, months, resolve, carrier_ids, generation)
        if plan.is_complete and max(int(judged.quantity.max()), 1) * plan.largest < SAFE:
            co2 = judged.quantity * plan.mantissa[frame.meter]
            return co2, plan.exponent, plan.index[frame.meter], plan.applied
    group = known.group[frame.meter[rows]]
    combined, where = np.unique(group * MONTHS + months, return_inverse=True)
    keys = [(*known.groups[c // MONTHS], c % MONTHS) for c in combined.tolist()]
    position, mantissa, exponent, applied = _coefficients(keys, resolve, carrier_ids)
    index[rows] = np.array(position)[where]
    values: list[int | None] = [None] * n
    largest = 0
    for row, q, w in zip(rows.tolist(), judged.quantity[rows].tolist(), where.tolist(), strict=True):
        if position[w] >= 0:
            values[row] = q * mantissa[w]
            largest = max(largest, q * mantissa[w])
    return values if largest < SAFE else _integers(values), exponent, index, applied


def _plan(
    known: Lookup, month: int, resolve: Resolve, carrier_ids: dict[int, str], generation: int | None
) -> _Plan:
    seen, plan = known.plans.get(month, (None, None))
    if plan is None or generation is None or seen != generation:
        keys = [(*group, month) for group in known.groups]
        position, mantissa, exponent, applied = _coefficients(keys, resolve, carrier_ids)
        plan = _Plan(
            index=np.array(position)[known.group],
            mantissa=np.array([m if m < SAFE else 0 for m in mantissa])[known.group],
            largest=max(mantissa),
            exponent=exponent,
            applied=orjson.Fragment(orjson.dumps(applied)),
            is_complete=min(position) >= 0,
        )
        if generation is not None:
            if len(known.plans) >= PLANS_REMEMBERED:
                known.plans.clear()
            known.plans[month] = generation, plan
    return plan


def _coefficients(
    keys: list[tuple[int, int, int]], resolve: Resolve, carrier_ids: dict[int, str]
) -> tuple[list[int], list[int], int, list[dict[str, Any]]]:
    """(index into applied or -1, mantissa) of each (class, carrier, month), their common exponent, and applied."""
    found = [resolve(*key) for key in keys]
    scale = max((_decimals(f.value) for f in found if f is not None), default=0)
    position, mantissa = [-1] * len(keys), [0] * len(keys)
    applied: list[dict[str, Any]] = []
    for i, ((_, carrier, _), f) in enumerate(zip(keys, found, strict=True)):
        if f is not None:
            position[i] = len(applied)
            mantissa[i] = _whole(f.value, scale)
            applied.append(_applied(f, carrier_ids.get(carrier, "")))
    return position, mantissa, -(scale + 3), applied


def _integers(values: list[int | None]) -> orjson.Fragment:
    """A column of integers of any size: orjson writes none beyond 64 bits."""
    return orjson.Fragment(f"[{','.join('null' if v is None else str(v) for v in values)}]")


def _months(start: Ints) -> Ints | int:
    """Local month index of each start; one number where all lie in the same."""
    first, last = month_index(np.array([start.min(), start.max()])).tolist()
    return int(first) if first == last else month_index(start)


def _applied(found: Applied, carrier: str) -> dict[str, Any]:
    return {
        "id": found.id,
        "carrier": carrier,
        "scope": found.scope,
        "month": month_text(found.month),
        "carried_months": found.carried_months,
        "value": format(found.value, "f"),
    }


def _decimals(value: Decimal) -> int:
    """Digits after the point of a finite decimal."""
    return max(-int(value.as_tuple().exponent), 0)


def _whole(value: Decimal, scale: int) -> int:
    """value x 10^scale, exact: arithmetic of Decimal would round to 28 digits."""
    numerator, denominator = value.as_integer_ratio()
    return numerator * int(10**scale) // denominator


def _kept(frame: Frame, rows: Ints, judged: Judged | None) -> list[dict[str, Any]]:
    """Readings as they came: for the held table (judged None) or with their codes."""
    if not len(rows):
        return []
    document = frame.document
    start, unit = document.get("start"), document.get("unit")
    kept: list[dict[str, Any]] = []
    for row in rows.tolist():
        value = document["value"][row]
        entry: dict[str, Any] = {
            "row": row,
            "meter": frame.meters[int(frame.meter[row])],
            "start": _time(frame.start[row]),
            "end": _time(frame.end[row]),
            "unit": _text(unit[row] if isinstance(unit, list) else unit),
        }
        if judged is None:
            entry["value"] = float(value)
        else:
            code = Outcome(int(judged.code[row]))
            given = start[row] if isinstance(start, list) else None, document["end"][row]
            interval = " to ".join(shown(at, TEXT_KEPT // 2) for at in given)
            detail = f"{code.name.lower()}: {_text(interval)}; {REMEDY[code]}"
            entry |= {
                "code": int(code),
                "value": _text(value),
                "detail": None if code is Outcome.DUPLICATE else detail,
            }
        kept.append(entry)
    return kept


def _time(at: Any) -> int | None:
    return None if at in (MISSING, FAULTY) else int(at)


def _text(value: object) -> str | None:
    """Anything as a short text that can be stored: PostgreSQL's holds no NUL."""
    if value is None:
        return None
    text = value if isinstance(value, str) else shown(value, TEXT_KEPT)
    return text[:TEXT_KEPT].replace("\0", "\ufffd")
