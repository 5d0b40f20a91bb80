"""The words of a notice, in the subscription's language, and the body of its webhook."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from carbonstream.schemas.periods import SHANGHAI

TYPE_CHANGED: Final = "carbonstream.warning.changed"
TYPE_TEST: Final = "carbonstream.notice.test"
Record = Mapping[str, Any]
WORDS: Final = {
    "zh": {
        "alarm": "报警", "alert": "预警", "notice": "提示", "active": "触发", "cleared": "解除",
        "target-level": "目标用量达到水平", "plan-to-date": "累计超过分阶段计划", "consistency": "一致性指标未达标",
        "pace": "按当前用量将超出目标", "silence": "无数据上报", "interval-limit": "区间用量超限",
        "maximum-demand": "最大需量超过容量", "data-quality": "数据质量不足", "habit": "偏离惯常用量",
        "intensity": "强度超过目标",
        "change-rate": "强度变化率超过目标", "rate": "均值",
        "restatement": "因子重算，待复核", "common-cause": "同一原因", "dispute": "企业异议，待复核",
        "co2": "二氧化碳", "energy": "能耗", "test": "测试通知", "changes": "{} 条预警变化",
        "test_body": "此通知只用于测试发送渠道。", "level": "水平", "total": "累计", "threshold": "限值",
        "plan": "计划", "at": "时间", "colon": "：", "comma": "，", "not_shown": "未显示的变化：{} 条",
    },
    "en": {
        "target-level": "target level reached", "plan-to-date": "above the plan to date",
        "consistency": "consistency indicator missed", "pace": "target used up early at this pace",
        "silence": "no readings come", "interval-limit": "above the interval limit",
        "maximum-demand": "demand above capacity", "data-quality": "too many unsound readings",
        "habit": "unlike its habit",
        "intensity": "intensity above its target", "change-rate": "intensity falls too slowly",
        "restatement": "restated by a factor, to be reviewed", "common-cause": "one cause of several warnings",
        "dispute": "disputed by the enterprise, to be reviewed",
        "co2": "CO2", "test": "Test notice",
        "changes": "{} changes of warnings", "test_body": "This notice only tests the channel.",
        "colon": ": ", "comma": ", ", "not_shown": "changes not shown: {}",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """Lines of a text that stand or fall together."""

    text: str
    changes: int = 0  # that it tells


def body(id_: str, opened_at: datetime, records: Sequence[Record]) -> dict[str, Any]:
    """What a webhook carries: the same at every attempt. Without records it is a test."""
    return {
        "type": TYPE_CHANGED if records else TYPE_TEST,
        "timestamp": opened_at.astimezone(SHANGHAI).isoformat(timespec="milliseconds"),
        "data": {"notice": id_, "warnings": list(records)},
    }


def subject(records: Sequence[Record], language: str) -> str:
    """One line: the change, or how many."""
    words = WORDS[language]
    if not records:
        return f"Carbonstream: {words['test']}"
    if len(records) > 1:
        return "Carbonstream: " + words["changes"].format(len(records))
    return " ".join(f"Carbonstream: {_headline(records[0], words)}".split())


def entries(records: Sequence[Record], language: str) -> list[Entry]:
    """A few lines a change, in the order they came, an empty line between."""
    words = WORDS[language]
    if not records:
        return [Entry(words["test_body"])]
    told = [Entry(_paragraph(record, words), 1) for record in records]
    return [told[0], *(one for change in told[1:] for one in (Entry(""), change))]


def text(told: Iterable[Entry]) -> str:
    """All of it."""
    return "\n".join(one.text for one in told)


def fitted(subject_: str, told: Sequence[Entry], id_: str, language: str, most_bytes: int) -> str:
    """Subject, text and id of a notice in at most so many bytes of a JSON string.

    Entries that do not fit are left out from the end, and a last line says how many changes that is.
    """
    whole = f"{subject_}\n{text(told)}\n{id_}"
    if _json_bytes(whole) <= most_bytes:
        return whole
    for shown in range(len(told) - 1, 0, -1):
        if _json_bytes(cut := _cut(subject_, told, shown, id_, language)) <= most_bytes:
            return cut
    while subject_ and _json_bytes(_cut(subject_, told, 0, id_, language)) > most_bytes:
        subject_ = subject_[:-1]
    return _cut(subject_, told, 0, id_, language)


def _cut(subject_: str, told: Sequence[Entry], shown: int, id_: str, language: str) -> str:
    missing = sum(one.changes for one in told[shown:])
    lines = (one.text for one in told[:shown])
    return "\n".join((subject_, *lines, id_, WORDS[language]["not_shown"].format(missing)))


def _json_bytes(value: str) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode()) - len('""')


def _headline(record: Record, words: Mapping[str, str]) -> str:
    said = [words.get(str(record[name]), str(record[name])) for name in ("severity", "state", "rule")]
    return f"[{said[0]}] {record['entity']} {said[2]}{words['comma']}{said[1]}"


def _paragraph(record: Record, words: Mapping[str, str]) -> str:
    snapshot = record["snapshot"]
    target = snapshot.get("target")
    unit = target.get("unit", "") if isinstance(target, Mapping) else snapshot.get("rate_unit", "")
    facts = [words.get(str(record["indicator"]), str(record["indicator"])) + f" {record['period']}"]
    if record["level"] is not None:
        facts.append(f"{words.get('level', 'level')} {record['level']}")
    facts += [
        f"{words.get(name, name)} {snapshot[name]} {unit}".rstrip()
        for name in ("total", "rate", "threshold", "plan")
        if snapshot.get(name) is not None
    ]
    facts.append(f"{words.get('at', 'at')} {record['bucket']}")
    return f"{_headline(record, words)}\n{words['comma'].join(facts)}\n{record['id']} v{record['version']}"


def label(word: str, language: str) -> str:
    """A severity in the language's words."""
    return WORDS[language].get(word, word)
