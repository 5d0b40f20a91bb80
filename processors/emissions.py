"""The emissions frame of a judged readings frame: first CO2, held and rejected readings in full, as one JSON record."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol

import numpy as np
import orjson

from carbonstream.processors.checks import Judged, numbers
from carbonstream.processors.frames import MISSING, Frame, Ints, Refusal
from carbonstream.processors.meters import ShardMeters
from carbonstream.schemas.codes import REMEDY, Outcome
from carbonstream.schemas.periods import month_index, month_text

PAYLOAD_KEPT_BYTES: Final = 65_536
SAFE: Final = 2**62


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
    frame: Frame, judged: Judged, meters: ShardMeters, resolve: Resolve, carrier_ids: dict[int, str], at: Standing
) -> bytes:
    """The emissions frame of a readings frame."""
    document = _head(frame.source, frame.shard, frame.seq, frame.mode.value, frame.sent, at)
    slots = np.array([meters.slots.get(m, -1) for m in frame.meters], np.int64)
    master = meters.master[slots]
    carriers = np.where(slots < 0, 0, master["carrier"]).astype(np.int64)
    co2, exponent, coefficient, applied = _first_co2(frame, judged, meters, resolve, carrier_ids)
    document |= {
        "meters": frame.meters,
        "numbers": numbers(slots, frame.shard),
        "carriers": carriers,
        "meter": frame.meter,
        "start": judged.start,
        "end": judged.end,
        "quantity": judged.quantity,
        "raw_index": judged.raw_index,
        "quality": judged.quality,
        "code": judged.code,
        "coefficient": coefficient,
        "co2": co2,
        "co2_exponent": exponent,
        "refused": 0,
        "coefficients": applied,
        "held": _kept(frame, np.flatnonzero(judged.code == Outcome.UNKNOWN_METER), None),
        "rejects": _kept(
            frame, np.flatnonzero((judged.code > Outcome.BASELINE) & (judged.code != Outcome.UNKNOWN_METER)), judged
        ),
    }
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def refuse_frame(frame: Frame, code: Outcome, meters: ShardMeters, at: Standing) -> bytes:
    """The emissions frame of a readings frame refused whole (a known seq, a wrong partition): every row has `code`."""
    n = len(frame)
    end = np.where(frame.end == MISSING, 0, frame.end)
    judged = Judged(
        code=np.full(n, int(code)),
        slot=np.full(n, -1),
        start=np.where(frame.start == MISSING, end, frame.start),
        end=end,
        quantity=np.zeros(n, np.int64),
        raw_index=np.full(n, -1),
        quality=np.full(n, 14),
        updates=np.empty(0, np.int64),
        newest=np.empty(0, np.int64),
    )
    return answer_frame(frame, judged, meters, lambda *_: None, {}, at)


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
    frame: Frame, judged: Judged, meters: ShardMeters, resolve: Resolve, carrier_ids: dict[int, str]
) -> tuple[Any, int, Ints, list[dict[str, Any]]]:
    """CO2 of each taken reading as integers of 10^exponent kg: quantity / 1000 x coefficient, exact.

    Returns (co2, exponent, coefficient index by reading, coefficients). Not taken or no coefficient: null, -1.
    """
    n = len(frame)
    index = np.full(n, -1, np.int64)
    rows = np.flatnonzero(judged.code <= Outcome.BASELINE)
    if not len(rows):
        return [None] * n, 0, index, []
    master = meters.master[judged.slot[rows]]
    # one key a (class, carrier, month): carriers < 2^8, months since 1970 < 2^12
    key = (master["class"].astype(np.int64) << 20) | (master["carrier"].astype(np.int64) << 12)
    key |= month_index(judged.start[rows])
    keys, where = np.unique(key, return_inverse=True)
    found = [resolve(k >> 20, k >> 12 & 0xFF, k & 0xFFF) for k in keys.tolist()]
    applied: list[dict[str, Any]] = []
    position = np.full(len(keys), -1, np.int64)
    scale = max((-_exponent(f.value) for f in found if f is not None), default=0)
    mantissa = np.zeros(len(keys), np.int64)
    for i, (k, f) in enumerate(zip(keys.tolist(), found, strict=True)):
        if f is None:
            continue
        position[i] = len(applied)
        mantissa[i] = int(f.value.scaleb(scale))
        applied.append(
            {
                "id": f.id,
                "carrier": carrier_ids.get(k >> 12 & 0xFF, ""),
                "scope": f.scope,
                "month": month_text(f.month),
                "carried_months": f.carried_months,
                "value": format(f.value, "f"),
            }
        )
    index[rows] = position[where]
    quantity, factor = judged.quantity[rows], mantissa[where]
    exponent = -(scale + 3)
    overflow = int(np.abs(quantity).max()) * int(factor.max()) >= SAFE
    if not overflow and len(rows) == n and (position >= 0).all():
        return quantity * factor, exponent, index, applied
    co2: list[int | None] = [None] * n
    for row, q, f, i in zip(rows.tolist(), quantity.tolist(), factor.tolist(), position[where].tolist(), strict=True):
        co2[row] = q * f if i >= 0 else None
    return co2, exponent, index, applied


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
                "detail": f"{code.name.lower()}: {given}; {REMEDY[code]}" if code is not Outcome.DUPLICATE else None,
            }
        kept.append(entry)
    return kept


def _time(at: Any) -> int | None:
    return None if at == MISSING else int(at)


def _text(value: object) -> str | None:
    return None if value is None else value[:200] if isinstance(value, str) else str(value)[:200]
