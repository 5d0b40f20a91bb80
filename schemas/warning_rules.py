"""What a warning rule's definition consists of, and how ref.rules carries it.

Check rules (rules.csv) decide whether a reading is believed; warning rules (warning_rules.csv) decide who has to know.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from carbonstream.schemas.frames import Shape, UtcMs
from carbonstream.schemas.totals import Decimal


class RuleKind(StrEnum):
    """How a rule judges; docs/warnings.md has each one's formula."""

    TARGET_LEVEL = "target-level"
    PLAN_TO_DATE = "plan-to-date"
    PACE = "pace"
    INTENSITY = "intensity"
    CHANGE_RATE = "change-rate"
    CONSISTENCY = "consistency"
    SILENCE = "silence"
    INTERVAL_LIMIT = "interval-limit"
    MAXIMUM_DEMAND = "maximum-demand"
    DATA_QUALITY = "data-quality"
    HABIT = "habit"


class WarningClass(StrEnum):
    """Who has to do what (ISA-18.2: an alarm needs an operator's answer in time, anything else is none)."""

    ALARM = "alarm"
    ALERT = "alert"
    NOTICE = "notice"


class Priority(StrEnum):
    """How soon an operator turns to it (EEMUA 191: about 5 % high, 15 % medium, 80 % low)."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class WarningRuleRecord(Shape):
    """ref.rules, key warning:RULE. The newest version of a warning rule."""

    record: Literal["warning"]
    rule: str
    version: Annotated[int, Field(description="grows with each change; earlier ones stay in the database")]
    kind: RuleKind
    scope: Annotated[str, Field(description="an entity's id, or a beginning that ends in *")]
    parameters: Annotated[dict[str, Decimal], Field(description="those that are not the kind's own defaults")]
    class_: Annotated[WarningClass, Field(alias="class")]
    priority: Priority
    owner: str
    cause: str
    consequence: str
    action: str
    respond_s: Annotated[int, Field(gt=0, description="time an operator or enterprise has to answer")]
    state: Literal["on", "off"]
    valid_from_ms: UtcMs
