"""The words of notices that are no change: an alarm nobody acknowledged in time, and the daily digest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from carbonstream.processors import notices_text
from carbonstream.processors.notices_text import Entry
from carbonstream.schemas.periods import SHANGHAI

TYPES: Final = {"escalated": "carbonstream.warning.escalated", "digest": "carbonstream.digest"}
WORDS: Final = {
    "zh": {
        "escalated": "升级：未在时限内确认", "respond_by": "应在此时间前确认", "digest": "每日摘要",
        "open": "未解除", "raised": "新触发", "cleared": "已解除", "more": "另有 {} 条",
    },
    "en": {
        "escalated": "Escalated, not acknowledged in time", "respond_by": "to be acknowledged by",
        "digest": "Daily digest", "open": "open", "raised": "raised", "cleared": "cleared", "more": "and {} more",
    },
}  # fmt: skip


def body(id_: str, opened_at: datetime, kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """What a webhook carries."""
    return {
        "type": TYPES[kind],
        "timestamp": opened_at.astimezone(SHANGHAI).isoformat(timespec="milliseconds"),
        "data": {"notice": id_, **content},
    }


def subject(kind: str, content: Mapping[str, Any], language: str) -> str:
    """One line."""
    words = WORDS[language]
    if kind == "digest":
        counts = ", ".join(
            f"{words[what]} {content[what]['count']}" for what in ("open", "raised", "cleared")
        )
        return f"Carbonstream: {words['digest']} {content['until'][:10]}: {counts}"
    told = notices_text.subject(content["warnings"], language).removeprefix("Carbonstream: ")
    return f"Carbonstream: {words['escalated']}: {told}"


def entries(kind: str, content: Mapping[str, Any], language: str) -> list[Entry]:
    """All of it: the changes of an escalation and when they were due; a line a warning of a digest."""
    words = WORDS[language]
    if kind == "escalated":
        by = datetime.fromisoformat(content["respond_by"]).astimezone(SHANGHAI).isoformat(timespec="seconds")
        return [
            *notices_text.entries(content["warnings"], language),
            Entry(f"{words['respond_by']} {by}"),
        ]
    told = [Entry(f"{content['from']} - {content['until']}")]
    for what in ("open", "raised", "cleared"):
        part = content[what]
        told += [Entry(""), Entry(f"{words[what]} {part['count']}")]
        told += [
            Entry(f"- {notices_text.label(w['severity'], language)} {w['id']} {w['at']}", 1)
            for w in part["warnings"]
        ]
        if (more := part["count"] - len(part["warnings"])) > 0:
            told.append(Entry(words["more"].format(more), more))
    return told
