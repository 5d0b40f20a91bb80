"""The facts of a warning for people: what its rule measured, against what, of which period, and what to do.

Figures are rounded half-even to three decimals; the webhook's body has them exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from carbonstream.processors.alarm_grouping import COMMON_CAUSE, DISPUTE, RESTATEMENT, REVIEWS
from carbonstream.processors.indicators import INDICATORS, MASS_UNITS
from carbonstream.processors.notices_words import ACTIONS_ZH, FACTS, MONTHS, NAMES, ORDINALS, WORDS
from carbonstream.processors.total_records import EXACT, text
from carbonstream.schemas.carriers import CARRIERS
from carbonstream.schemas.periods import SHANGHAI
from carbonstream.schemas.warning_rules import RuleKind

Record = Mapping[str, Any]
NAMED: Final = 5  # silent meters; the webhook names 2,000
CARRIER: Final = {carrier.id: carrier for carrier in CARRIERS}
TIMES: Final = ("from", "until", "begun", "newest_reading", "peak_at", "published_at")
FIGURES: Final = (
    "total", "threshold", "plan", "target", "forecast", "low", "high", "intensity", "amount", "value_added",
    "change_percent", "other_intensity", "value", "expected", "rate", "peak", "share_percent",
)  # fmt: skip
FLAGS: Final = ("correction", "provisional", "running")  # facts without a value: told where they hold
# In the order told. Of rule silence what has come back says how long it was away.
KIND_FACTS: Final[Mapping[str, tuple[str, ...]]] = {
    RuleKind.TARGET_LEVEL: ("about", "level", "total", "threshold", "target", "until"),
    RuleKind.PLAN_TO_DATE: ("about", "total", "plan", "target", "until"),
    RuleKind.PACE: ("about", "exhausted", "forecast", "target", "total", "until"),
    RuleKind.INTENSITY: ("intensity", "target", "prices", "quotient", "provisional", "until"),
    RuleKind.CHANGE_RATE: ("about", "change", "compared", "prices", "provisional", "until"),
    RuleKind.CONSISTENCY: ("measured", "aim", "day", "running", "until"),
    RuleKind.SILENCE: ("silent", "meters", "named", "silence"),
    RuleKind.INTERVAL_LIMIT: ("meter", "rate", "limit", "peak", "slot"),
    RuleKind.MAXIMUM_DEMAND: ("meter", "rate", "limit", "peak", "slot"),
    RuleKind.DATA_QUALITY: ("of_meter", "share", "unsound", "slot"),
    RuleKind.HABIT: ("meter", "value", "expected", "slot"),
    RESTATEMENT: ("document", "factor", "published", "restated"),
    COMMON_CAUSE: ("cause", "of_rule", "children", "at"),
    DISPUTE: ("disputed", "reason", "of_warning", "at"),
}

# Of a line of the daily digest: no more than tells whether to look closer.
DECISIVE: Final[Mapping[str, tuple[str, ...]]] = {
    RuleKind.TARGET_LEVEL: ("about", "total", "used"),
    RuleKind.PLAN_TO_DATE: ("about", "total", "plan", "used"),
    RuleKind.PACE: ("about", "forecast", "target", "used"),
    RuleKind.INTENSITY: ("intensity", "target"),
    RuleKind.CHANGE_RATE: ("about", "change"),
    RuleKind.CONSISTENCY: ("measured", "aim"),
    RuleKind.SILENCE: ("silent", "meters"),
    RuleKind.INTERVAL_LIMIT: ("meter", "peak", "limit"),
    RuleKind.MAXIMUM_DEMAND: ("meter", "peak", "limit"),
    RuleKind.DATA_QUALITY: ("of_meter", "share"),
    RuleKind.HABIT: ("meter", "value", "expected"),
    RESTATEMENT: ("document", "restated"),
    COMMON_CAUSE: ("cause", "children"),
    DISPUTE: ("disputed",),
}


def facts(record: Record, language: str) -> list[str]:
    """What was measured and judged, a phrase each; what the record does not hold is left out."""
    names = (*KIND_FACTS.get(str(record["rule"]), ("about", "at")), "correction")
    return _said(names, values_of(record, language), language)


def response(record: Record, language: str) -> list[str]:
    """What its rule says is to be done and how soon, while there is something to do."""
    if record["state"] != "active":
        return []
    return _said(("action", "respond"), values_of(record, language), language)


def headline(record: Record, language: str) -> str:
    """Severity, entity, rule, period of a target, and whether it was raised or cleared; a review item is neither."""
    names, words = NAMES[language], WORDS[language]
    said = {name: names.get(str(record[name]), str(record[name])) for name in ("severity", "rule", "state")}
    line = words["headline"].format(entity=named(record, language), **said)
    target = record["snapshot"].get("target")
    if isinstance(target, Mapping):
        line += words["of_period"].format(
            period_name(str(target.get("period") or record["period"]), language)
        )
    return line if record["rule"] in REVIEWS else f"{line}{words['comma']}{said['state']}"


def named(record: Record, language: str) -> str:
    """The entity's name with its id; the id alone where no name is known, or it is the name."""
    names, id_ = record.get("entity_name"), str(record["entity"])
    name = " ".join(str(names.get(language) or "").split()) if isinstance(names, Mapping) else ""
    return id_ if name in ("", id_) else WORDS[language]["named"].format(name=name, id=id_)


def decisive(record: Record, language: str) -> list[str]:
    """What a line of a digest says of it: the value and what it is held against."""
    return _said(DECISIVE.get(str(record["rule"]), ("about",)), values_of(record, language), language)


def period_name(period: str, language: str) -> str:
    """2024-01, 2024-Q1 and 2024 so that nobody takes one for another; anything else as it is."""
    found = re.fullmatch(r"(\d{4})(?:-(?:Q([1-4])|(0[1-9]|1[0-2])))?", period)
    if found is None:
        return period
    year, quarter, month = found.groups()
    words = WORDS[language]
    if quarter is not None:
        return words["quarter"].format(year=year, quarter=quarter, ordinal=ORDINALS[int(quarter) - 1])
    if month is not None:
        return words["month"].format(year=year, month=int(month), month_name=MONTHS[int(month) - 1])
    return words["year"].format(year=year)


def duration(seconds: int, language: str) -> str:
    """In the largest unit that it is whole in; a single day is 24 h."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds % length == 0 and (seconds >= 2 * length or unit != "d"):
            return WORDS[language][unit].format(seconds // length)
    return WORDS[language]["s"].format(seconds)


def values_of(record: Record, language: str) -> dict[str, Any]:
    """All that facts are made of, as it is shown; without what the record does not hold."""
    snapshot, names = record["snapshot"], NAMES[language]
    found = {
        "indicator_name": names.get(str(record["indicator"]), record["indicator"]),
        "level": record["level"],
        "period": record["period"],
        "at": record["bucket"],
        **{name: value for name, value in snapshot.items() if name not in FLAGS},
        **_of_target(record, language),
        **_of_pace(snapshot),
        **_of_words(record, language),
    }
    flags = {
        "correction": snapshot.get("correction") is True,
        "provisional": _is_provisional(snapshot),
        "running": snapshot.get("closed") is False,
    }
    shown = {name: _shown(name, value) for name, value in found.items() if value is not None}
    return shown | {name: "" for name, holds in flags.items() if holds}


def _of_target(record: Record, language: str) -> dict[str, Any]:
    snapshot = record["snapshot"]
    target, other = snapshot.get("target"), snapshot.get("compared_with")
    found: dict[str, Any] = {}
    if isinstance(target, Mapping):
        found |= {"target": target.get("value"), "price_year": target.get("price_year")}
        found["unit"] = str(target.get("unit", "")).replace("/1e4CNY", WORDS[language]["per_value"])
        found["used"] = _percent(snapshot.get("total"), target.get("value"))
    about = INDICATORS.get(str(record["indicator"]))
    if about is not None:
        found["amount_unit"] = next(iter(MASS_UNITS[about.base]))
        found["intensity_unit"] = found["amount_unit"] + WORDS[language]["per_value"]
    if isinstance(other, Mapping):
        found["other_period"] = period_name(str(other.get("period", "")), language)
        found["other_intensity"] = other.get("intensity")
    return found


def _of_pace(snapshot: Record) -> dict[str, Any]:
    forecast, dates = snapshot.get("forecast"), snapshot.get("exhausted")
    found: dict[str, Any] = {}
    if isinstance(forecast, Mapping):
        found = {
            "forecast": forecast.get("total"),
            "low": forecast.get("low"),
            "high": forecast.get("high"),
        }
    if isinstance(dates, Mapping):
        found |= {
            "exhausted": dates.get("date"),
            "earliest": dates.get("earliest"),
            "latest": dates.get("latest"),
        }
    return found


def _of_words(record: Record, language: str) -> dict[str, Any]:
    snapshot, names = record["snapshot"], NAMES[language]
    definition, meters = snapshot.get("definition"), snapshot.get("meters")
    found: dict[str, Any] = {"name": snapshot.get(f"name_{language}")}
    for name, of in (("aim_name", "aim"), ("of_name", "of"), ("rule_name", "rule")):
        if snapshot.get(of) is not None:
            found[name] = names.get(str(snapshot[of]), str(snapshot[of]))
    if isinstance(definition, Mapping):
        action, seconds = definition.get("action"), definition.get("respond_s")
        found["action"] = ACTIONS_ZH.get(str(action), action) if language == "zh" else action
        found["respond"] = duration(seconds, language) if isinstance(seconds, int) else None
    if snapshot.get("carrier") is not None:
        carrier = CARRIER.get(snapshot["carrier"])
        found["carrier_name"] = getattr(carrier, f"name_{language}", snapshot["carrier"])
    if record["rule"] == RuleKind.SILENCE:
        key = "newest_reading" if record["state"] != "active" else "begun"
        found[key] = None
        found["silent_meters"] = snapshot.get("silent_meters") or None
    if isinstance(meters, list) and meters:
        more = WORDS[language]["more"] if len(meters) > NAMED else ""
        found["named"] = ", ".join(map(str, meters[:NAMED])) + more
    if record["rule"] == RuleKind.DATA_QUALITY and record["indicator"] != "readings":
        found["of_meter"] = record["indicator"]
    return found


def _percent(part: Any, whole: Any) -> str | None:
    """With one decimal; None where either is no number, or there is no whole."""
    try:
        return text(EXACT.quantize(100 * Decimal(str(part)) / Decimal(str(whole)), Decimal("0.1")))
    except ArithmeticError:
        return None


def _is_provisional(snapshot: Record) -> bool:
    """Whether any value added that an intensity rests on is."""
    other = snapshot.get("compared_with")
    months = other.get("months", []) if isinstance(other, Mapping) else []
    return snapshot.get("provisional") is True or any(month.get("provisional") for month in months)


def _said(names: Iterable[str], values: Mapping[str, Any], language: str) -> list[str]:
    said = []
    for name in names:
        if name in FLAGS and name not in values:
            continue
        try:
            said.append(FACTS[language][name].format_map(values))
        except KeyError:  # the record does not hold it
            continue
    return said


def _shown(name: str, value: Any) -> Any:
    if name in TIMES or name == "at":
        return _moment(value)
    return _figure(value) if name in FIGURES else value


def _moment(value: Any) -> Any:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value
    return value if at.tzinfo is None else f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}+08:00"


def _figure(value: Any) -> Any:
    try:
        return text(EXACT.quantize(Decimal(str(value)), Decimal("0.001")))
    except ArithmeticError:
        return value
