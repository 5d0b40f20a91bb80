"""A day against history (T/CES 6.3.2, 6.4.1 (3)): its swing is how far it is from the mean of the days like it.

Days are alike by kind in the working calendar; the newest LIKE_DAYS of them before the day are its history. A plant's
day may rightly be another than its fellows, so a swing past the target is shown and warns nobody.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from carbonstream.processors.calendar_cn import Calendar, day_kinds

LIKE_DAYS: Final = 4  # the month before, of one weekday kind; one odd day among them weighs a quarter
LOOK_BACK_DAYS: Final = 60  # holidays are months apart: then there is no history, rather than an old one


class Swing(NamedTuple):
    """A day's quantity, and the sum of `days` days like it. Thousandths of a base unit."""

    total: int
    history: int
    days: int

    @property
    def measure(self) -> tuple[int, int]:
        """(part, whole): |total - mean| / mean, exact; (0, 0) where history is too short to tell or was nothing."""
        if self.days < LIKE_DAYS or self.history <= 0:
            return 0, 0
        return abs(self.total * self.days - self.history), self.history


def days_alike(day: int, calendar: Calendar) -> list[int]:
    """The newest LIKE_DAYS days of the day's kind before it, days since 1970-01-01; fewer where there are none."""
    before = np.arange(day - 1, day - LOOK_BACK_DAYS - 1, -1)
    kind = day_kinds(np.array([day]), calendar)[0]
    found: list[int] = before[day_kinds(before, calendar) == kind][:LIKE_DAYS].tolist()
    return found
