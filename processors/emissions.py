"""The emissions frame of a judged readings frame: first CO2, held and rejected readings in full, as one JSON record."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol

import numpy as np
import orjson

from carbonstream.processors.checks import Judged
from carbonstream.processors.frames import MISSING, Frame, Ints, Refusal
from carbonstream.processors.meters import Lookup
from carbonstream.schemas.codes import REMEDY, Outcome, Quality
from carbonstream.schemas.periods import month_index, month_text

PAYLOAD_KEPT_BYTES: Final = 65_536
SAFE: Final = 2**62
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
    frame: Frame, judged: Judged, known: Lookup, resolve: Resolve, carrier_ids: dict[int, str], at: Standing
) -> bytes:
    """The emissions frame of a readings frame."""
    co2, exponent, coefficient, applied = _first_co2(frame, judged, known, resolve, carrier_ids)
    document = _head(frame.source, frame.shard, frame.seq, frame.mode.value, frame.sent, at) | {
        "meter": frame.meter,
        "start": _column(judged.start),
        "end": _column(judged.end),
        "quantity": judged.quantity,
        "raw_index": _column(judged.raw_index),
        "quality": _column(judged.quality),
        "code": _column(judged.code),
        "coefficient": _column(coefficient),
        "co2": co2,
        "co2_exponent": exponent,
        "coefficients": applied,
        "refused": 0,
        "held": [],
        "rejects": [],
    }
    if judged.code.any():
        held = judged.code == Outcome.UNKNOWN_METER
        document["held"] = _kept(frame, np.flatnonzero(held), None)
        document["rejects"] = _kept(frame, np.flatnonzero((judged.code > Outcome.BASELINE) & ~held), judged)
    encoded = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    # the ids, numbers and carriers of a known list of meters were encoded once
    return encoded[:-1] + b"," + known.encoded + b"}"


def _column(values: Ints) -> Ints | int:
    """A column whose entries are all equal is sent as one value."""
    if len(values) and (values == values[0]).all():
        return int(values[0])
    return values


def refuse_frame(frame: Frame, code: Outcome, known: Lookup, at: Standing) -> bytes:
    """The emissions frame of a readings frame refused whole (a known seq, a wrong partition): every row has `code`."""
    n = len(frame)
    end = np.where(frame.end == MISSING, 0, frame.end)
    judged = Judged(
        code=np.full(n, int(code)),
        start=np.where(frame.start == MISSING, end, frame.start),
        end=end,
        quantity=np.zeros(n, np.int64),
        raw_index=np.full(n, -1),
        quality=np.full(n, int(Quality.RAW)),
        updates=np.empty(0, np.int64),
        newest=np.empty(0, np.int64),
    )
    return answer_frame(frame, judged, known, lambda *_: None, {}, at)


def answer_tick(at: Standing, reference: dict[str, int]) -> bytes:
    """The (empty) answer to a tick; it names the reference offsets now in force."""
    return orjson.dumps(_head("", 0, 0, "live", 0, at) | {"reference": reference} | EMPTY)


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
        "meters", "numbers", "carriers", "meter", "start", "end", "quantity", "raw_index", "quality", "code",
        "coefficient", "co2", "coefficients", "held", "rejects",
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


def _first_co2(
    frame: Frame, judged: Judged, known: Lookup, resolve: Resolve, carrier_ids: dict[int, str]
) -> tuple[Any, int, Ints, list[dict[str, Any]]]:
    """CO2 of each taken reading as integers of 10^exponent kg: quantity / 1000 x coefficient, exact.

    Returns (co2, exponent, coefficient index by reading, coefficients). Not taken or no coefficient: null, -1.
    """
    n = len(frame)
    index = np.full(n, -1, np.int64)
    taken = judged.code <= Outcome.BASELINE
    rows = np.flatnonzero(taken)
    if not len(rows):
        return [None] * n, 0, index, []
    group, months = known.group[frame.meter[rows]], _months(judged.start[rows])
    if len(known.groups) == 1 and isinstance(months, int):
        keys, where = [(*known.groups[0], months)], np.zeros(len(rows), np.int64)
    else:
        combined, where = np.unique(group * MONTHS + months, return_inverse=True)
        keys = [(*known.groups[c // MONTHS], c % MONTHS) for c in combined.tolist()]
    found = [resolve(*key) for key in keys]
    scale = max((-_exponent(f.value) for f in found if f is not None), default=0)
    position = np.full(len(keys), -1, np.int64)
    mantissa = np.zeros(len(keys), np.int64)
    applied: list[dict[str, Any]] = []
    for i, ((_, carrier, _), f) in enumerate(zip(keys, found, strict=True)):
        if f is not None:
            position[i] = len(applied)
            mantissa[i] = int(f.value.scaleb(scale))
            applied.append(_applied(f, carrier_ids.get(carrier, "")))
    index[rows] = position[where]
    quantity, factor = judged.quantity[rows], mantissa[where]
    exponent = -(scale + 3)
    fits = int(quantity.max()) * int(mantissa.max()) < SAFE
    if fits and len(rows) == n and (position >= 0).all():
        return quantity * factor, exponent, index, applied
    co2: list[int | None] = [None] * n
    for row, q, f, i in zip(
        rows.tolist(), quantity.tolist(), factor.tolist(), position[where].tolist(), strict=True
    ):
        co2[row] = q * f if i >= 0 else None
    return co2, exponent, index, applied


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


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int), "coefficients are finite"
    return min(exponent, 0)


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
            given = {"start": start[row] if isinstance(start, list) else None, "end": document["end"][row]}
            entry |= {
                "code": int(code),
                "value": _text(value),
                "detail": f"{code.name.lower()}: {given}; {REMEDY[code]}"
                if code is not Outcome.DUPLICATE
                else None,
            }
        kept.append(entry)
    return kept


def _time(at: Any) -> int | None:
    return None if at == MISSING else int(at)


def _text(value: object) -> str | None:
    return None if value is None else value[:200] if isinstance(value, str) else str(value)[:200]
