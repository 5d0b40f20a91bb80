"""What judge leaves open of registers: an index below the last one is a momentary zero, a reset, or a roll-over.

An index that judge calls backwards is held until the next one tells: above the old index again, the one between was
a momentary zero; rising from the held one, the register began anew and is taken up from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.meters import NEVER, STATE
from carbonstream.processors.vee.findings import FINDING, NOTHING
from carbonstream.schemas.codes import Check, Decision, Outcome

Array = NDArray[Any]
Ints = NDArray[np.int64]
HELD: Final = np.dtype([("end", "<i8"), ("raw", "<i8")])  # 16 B a register: the index that waits for the next


@dataclass(frozen=True, slots=True)
class Resumed:
    """What registers gave: findings, and the newest reading of those that are taken up anew."""

    findings: Array  # FINDING
    slots: Ints
    newest: Array  # STATE


def examine_registers(slot: Ints, end: Ints, raw: Ints, code: Ints, before: Ints, held: Array) -> Resumed:
    """Registers of one frame, each at most once, as judge left them; changes `held` (HELD by slot).

    raw, before: this index and the one known before the frame (NEVER: none), thousandths; code: judge's Outcome.
    """
    waiting = held[slot]
    waits = waiting["end"] != NEVER
    backwards = code == Outcome.REGISTER_BACKWARDS
    stored = code == Outcome.STORED
    if not (waits | backwards | (stored & (raw < before))).any():
        return Resumed(NOTHING, slot[:0], np.empty(0, STATE))
    resumed = backwards & waits & (raw >= waiting["raw"]) & (end > waiting["end"])
    holds = backwards & ~resumed
    zero = stored & waits
    rolled = stored & (before != NEVER) & (raw < before)
    findings = []
    for where, check, decision, of in (
        (holds, Check.REGISTER_RESET, Decision.HOLD, end),
        (resumed, Check.REGISTER_RESET, Decision.QUESTION, waiting["end"]),
        (zero, Check.MOMENTARY_ZERO, Decision.REJECT, waiting["end"]),
        (rolled, Check.REGISTER_ROLLOVER, Decision.ACCEPT, end),
    ):
        found = np.zeros(int(where.sum()), FINDING)
        found["row"], found["check"], found["decision"] = np.flatnonzero(where), check, decision
        found["of"] = of[where]
        findings.append(found)
    held["end"][slot] = np.where(holds, end, np.where(resumed | zero, NEVER, waiting["end"]))
    held["raw"][slot] = np.where(holds, raw, waiting["raw"])
    newest = np.full(int(resumed.sum()), NEVER, STATE)
    newest["end"] = newest["start"] = end[resumed]
    newest["raw"] = raw[resumed]
    return Resumed(np.concatenate(findings), slot[resumed], newest)
