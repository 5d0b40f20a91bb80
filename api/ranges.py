"""Times in requests: instants with an offset, or local periods of Asia/Shanghai; ranges are half-open."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.api.problems import invalid
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import SHANGHAI, YEAR_2000_MS, bucket_start, next_bucket, to_ms

MAX_BUCKETS: Final = 10_000  # 416 days of hours; about 2 MB of answer
YEAR_2100_MS: Final = 4_102_416_000_000  # 2100-01-01T00:00 local
LOCAL_PERIOD: Final = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
FORMS: Final = "write 2024, 2024-03, 2024-03-05 (local) or 2024-03-05T08:00:00+08:00 (in a URL + is %2B)"


@dataclass(frozen=True, slots=True)
class Range:
    """[start, end) in UTC ms."""

    start: int
    end: int


def parse_time(text: str, field: str) -> Range:
    """The local period `text` names, or an instant as an empty range. Raises Problem naming `field`."""
    period = LOCAL_PERIOD.fullmatch(text)
    try:
        if period:
            year, month, day = period.groups()
            grain = Grain.DAY if day else Grain.MONTH if month else Grain.YEAR
            start = to_ms(datetime(int(year), int(month or 1), int(day or 1), tzinfo=SHANGHAI))
            _within(start, text, field)
            return Range(start, next_bucket(grain, start))
        # an unencoded + arrives as a space
        at = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except (ValueError, OverflowError) as error:
        raise invalid(field, f"{text!r} is not a time ({error})", FORMS) from error
    if at.tzinfo is None:
        raise invalid(field, f"{text!r} has no offset", FORMS)
    try:
        ms = to_ms(at)
    except OverflowError as error:
        raise invalid(field, f"{text!r} is out of range", FORMS) from error
    _within(ms, text, field)
    return Range(ms, ms)


def parse_range(from_: str | None, to: str | None, default: Range) -> Range:
    """[from, to). Without both: `default`. Without `to`: to the end of the period `from` names, else
    default's end.
    """
    if from_ is None:
        if to is not None:
            raise invalid("from", "missing while `to` is given", FORMS)
        return default
    first = parse_time(from_, "from")
    if to is not None:
        end = parse_time(to, "to").start
    elif first.end > first.start:
        end = first.end
    else:
        end = default.end
    if end <= first.start:
        raise invalid("to", "must be after `from`; the range is half-open, `to` itself is outside", FORMS)
    return Range(first.start, end)


def period_of(grain: Grain, at_ms: int) -> Range:
    """The local period of `grain` that holds an instant."""
    start = int(bucket_start(grain, np.array([at_ms], np.int64))[0])
    return Range(start, next_bucket(grain, start))


def buckets_in(grain: Grain, within: Range) -> NDArray[np.int64]:
    """Starts of the buckets that start within the range. Each is meant whole, also the last one.

    Raises Problem where there are more than MAX_BUCKETS.
    """
    at = period_of(grain, within.start).start
    if at < within.start:
        at = next_bucket(grain, at)
    starts = []
    while at < within.end:
        starts.append(at)
        if len(starts) > MAX_BUCKETS:
            raise invalid(
                "to",
                f"the range gives more than {MAX_BUCKETS:,} buckets of grain {grain.name.lower()}",
                "ask for a shorter range or a coarser grain",
            )
        at = next_bucket(grain, at)
    return np.array(starts, np.int64)


def _within(ms: int, text: str, field: str) -> None:
    if not YEAR_2000_MS <= ms <= YEAR_2100_MS:
        raise invalid(field, f"{text!r} is not between 2000 and 2100", FORMS)
