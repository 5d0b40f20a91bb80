"""The steel plant's year and its warnings, computed from the data set's own file with fractions: shares no code with
the rules."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

SHANGHAI = timezone(timedelta(hours=8))
FILE = Path(str(files("carbonstream.schemas") / "reference" / "steel" / "Steel_industry_data.csv.gz"))
SHIFT = timedelta(days=2_191)
HOLIDAYS = Path(str(files("carbonstream.schemas") / "reference" / "holidays_cn.csv"))
ENTITY = "enterprise:uci-851"
METER = "330502-steel/E01"
SITE = "site:330502-steel"
CAPACITY_KW = 560
DEMAND_RULE = (
    "rule,kind,scope,parameters,class,priority,owner,cause,consequence,action,respond_s,state,valid_from\n"
    f"works,maximum-demand,meter:{METER},capacity={CAPACITY_KW};k=1,alarm,high,lead,why,what,do,900,on,2020-01-01T00:00:00Z\n"
)
FACTOR = {"co2": Fraction("0.4974"), "energy": Fraction("0.1229")}  # kg and kgce per kWh
TARGETS = {
    "co2": ["60", "48", "42", "42", "40", "38", "38", "38", "38", "40", "42", "40"],
    "energy": ["15", "12", "10.5", "10.5", "10", "9.5", "9.5", "9.5", "9.5", "10", "10.5", "10"],
}
LEVELS = (80, 90, 100)
Told = tuple[str, int, str, datetime]
HALF = date(2024, 6, 30)


def first_half(folder: Path) -> Path:
    """The data set's file up to the end of HALF."""
    head, *lines = gzip.decompress(FILE.read_bytes()).decode("utf-8-sig").splitlines()
    days = (HALF - date(2023, 12, 31)).days
    path = folder / "first_half.csv"
    path.write_text("\n".join([head, *lines[: days * 96], ""]), encoding="utf-8")
    return path


def targets_csv() -> str:
    return "".join(
        f"{ENTITY},{indicator},2024-{month:02},{value},{'t' if indicator == 'co2' else 'tce'},80;90;100\n"
        for indicator, values in TARGETS.items()
        for month, value in enumerate(values, 1)
    )


def quarterly_kwh() -> list[tuple[datetime, Fraction]]:
    """(start, kWh) of each quarter of an hour, moved into 2024, in order."""
    found = []
    with gzip.open(FILE, "rt", encoding="utf-8-sig") as lines:
        for row in csv.DictReader(lines):
            end = datetime.strptime(row["date"], "%d/%m/%Y %H:%M").replace(tzinfo=SHANGHAI) + SHIFT
            if (end.hour, end.minute) == (0, 0):
                end += timedelta(days=1)  # a day's 24:00 carries its own date
            found.append((end - timedelta(minutes=15), Fraction(row["Usage_kWh"])))
    return sorted(found)


def hourly_kwh() -> dict[datetime, Fraction]:
    """Local hour -> kWh."""
    found: defaultdict[datetime, Fraction] = defaultdict(Fraction)
    for start, kwh in quarterly_kwh():
        found[start.replace(minute=0)] += kwh
    return found


def demand() -> list[Told]:
    """Episodes above CAPACITY_KW, cleared at or below 95 % of it."""
    told: list[Told] = []
    begun = None
    for start, kwh in quarterly_kwh():
        if begun is None and 4 * kwh > CAPACITY_KW:
            begun = start
            told.append((f"maximum-demand:{SITE}:{METER}:{begun:%Y%m%dT%H%M%S}", 1, "active", start))
        elif begun is not None and 4 * kwh <= CAPACITY_KW * Fraction(95, 100):
            told.append((f"maximum-demand:{SITE}:{METER}:{begun:%Y%m%dT%H%M%S}", 2, "cleared", start))
            begun = None
    return sorted(told)


def expected(until: date = date(2024, 12, 31)) -> list[Told]:
    """Every warning of every month, each change once; days after `until` are not closed."""
    hours = hourly_kwh()
    told: list[Told] = []
    for indicator, values in TARGETS.items():
        for month, value in enumerate(values, 1):
            first = datetime(2024, month, 1, tzinfo=SHANGHAI)
            end = datetime(2024 + month // 12, month % 12 + 1, 1, tzinfo=SHANGHAI)
            target = Fraction(value) * 1_000
            use = {
                h: kwh * FACTOR[indicator]
                for h, kwh in hours.items()
                if first <= h < end and h.date() <= until
            }
            name = f"{ENTITY}:{indicator}:2024-{month:02}"
            told += levels(name, use, target)
            told += plan(name, use, target, first, (end - first).days, until)
            told += pace(name, hours, FACTOR[indicator], target, first, (end - first).days, until)
    return sorted(told)


def levels(name: str, use: dict[datetime, Fraction], target: Fraction) -> list[Told]:
    told = []
    for level in LEVELS:
        total = Fraction(0)
        for hour in sorted(use):
            total += use[hour]
            if total / target >= Fraction(level, 100):
                told.append((f"target-level:{name}:{level}", 1, "active", hour))
                break
    return told


def plan(
    name: str, use: dict[datetime, Fraction], target: Fraction, first: datetime, days: int, until: date
) -> list[Told]:
    told: list[Told] = []
    active = False
    for day in range(days):
        midnight = first + timedelta(days=day)
        if midnight.date() > until:
            break
        share = sum(v for h, v in use.items() if h < midnight + timedelta(days=1)) / (
            target * (day + 1) / days
        )
        change = None
        if not active and share > 1:
            active, change = True, "active"
        elif active and share < Fraction(98, 100):
            active, change = False, "cleared"
        if change:
            told.append((f"plan-to-date:{name}:100", len(told) + 1, change, midnight))
    return told


def holidays() -> dict[date, str]:
    found = {}
    for row in csv.DictReader(HOLIDAYS.read_text("utf-8").splitlines()):
        day = date.fromisoformat(row["from"])
        while day <= date.fromisoformat(row["to"]):
            found[day] = row["kind"]
            day += timedelta(days=1)
    return found


def pace(
    name: str,
    hours: dict[datetime, Fraction],
    factor: Fraction,
    target: Fraction,
    first: datetime,
    days: int,
    until: date,
) -> list[Told]:
    use: defaultdict[date, Fraction] = defaultdict(Fraction)
    for hour, kwh in hours.items():
        use[hour.date()] += kwh * factor
    exceptions = holidays()

    def kind(day: date) -> str:
        if day in exceptions:
            return {"holiday": "holiday", "workday": "working"}[exceptions[day]]
        return {5: "saturday", 6: "sunday"}.get(day.weekday(), "working")

    told: list[Told] = []
    active = False
    start = first.date()
    end = start + timedelta(days=days)
    since = max(start - timedelta(days=56), min(day for day, amount in use.items() if amount))
    for n in range(days):
        today = start + timedelta(days=n)
        if today > until:
            break
        known = [since + timedelta(days=i) for i in range((today - since).days + 1)]
        left = target - sum(use[day] for day in known if day >= start)
        if left <= 0 or len(known) < 2:
            continue
        of: defaultdict[str, list[Fraction]] = defaultdict(list)
        for day in known:
            of[kind(day)].append(use[day])
        mean = sum(use[day] for day in known) / len(known)
        usual = {k: sum(v) / len(v) if len(v) > 1 else mean for k, v in of.items()}
        levels = sorted(
            sum(use[day] for day in known[-w:]) / expected
            for w in (1, 7, 28)
            if w <= len(known) and (expected := sum(usual[kind(day)] for day in known[-w:]))
        )
        if not levels:
            continue
        squares = sum((v - sum(vs) / len(vs)) ** 2 for vs in of.values() for v in vs) / len(known)

        ahead = (end - today).days - 1
        coming = [usual.get(kind(today + timedelta(days=i + 1)), mean) for i in range(ahead)]
        low = [
            float(levels[0] * sum(coming[:m])) - float(squares * (m + Fraction(m * m, len(known)))) ** 0.5
            for m in range(ahead + 1)
        ]
        latest = next((m for m, amount in enumerate(low) if amount >= left), ahead + 1)
        over = low[-1] > left and latest <= len(known)
        under = ahead == 0 or levels[(len(levels) - 1) // 2] * sum(coming) < target * Fraction(98, 100) - (
            target - left
        )
        change = "active" if not active and over else "cleared" if active and under else None
        if change:
            active = change == "active"
            at = first + timedelta(days=n)
            told.append((f"pace:{name}:100", len(told) + 1, change, at))
    return told
