"""The words of notices that are no change: an alarm nobody acknowledged in time, the daily digest, and deadlines of an
enterprise's answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from carbonstream.processors import notices_text
from carbonstream.processors.notices_facts import decisive, named
from carbonstream.processors.notices_text import Entry
from carbonstream.processors.notices_words import WORDS as NOTICE_WORDS
from carbonstream.schemas.periods import SHANGHAI

TYPES: Final = {
    "escalated": "carbonstream.warning.escalated",
    "digest": "carbonstream.digest",
    "deadline": "carbonstream.answer.deadline",
}
WORDS: Final = {
    "zh": {
        "escalated": "升级：未在时限内确认", "respond_by": "应在此时间前确认", "digest": "每日摘要",
        "open": "未解除", "raised": "新触发", "cleared": "已解除", "more": "另有 {} 条",
        "reminder": "答复将到期：应在 {due_by} 前{step}", "overdue": "答复已逾期：应在 {due_by} 前{step}",
        "deadlines": "{} 项答复将到期或已逾期",
        "receipt": "确认收悉", "cause": "说明原因", "measure": "说明措施", "closure": "办结",
    },
    "en": {
        "escalated": "Escalated, not acknowledged in time", "respond_by": "to be acknowledged by",
        "digest": "Daily digest", "open": "open", "raised": "raised", "cleared": "cleared", "more": "and {} more",
        "reminder": "Answer soon due: {step} by {due_by}", "overdue": "Answer overdue: {step} was due by {due_by}",
        "deadlines": "{} answers due or overdue",
        "receipt": "receipt", "cause": "cause", "measure": "measure", "closure": "closure",
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
    if kind == "deadline":
        due = content["deadlines"]
        if len(due) > 1:
            return f"Carbonstream: {words['deadlines'].format(len(due))}"
        told = notices_text.subject([due[0]["warning"]], language).removeprefix("Carbonstream: ")
        return f"Carbonstream: {_deadline(due[0], language)}: {told}"
    told = notices_text.subject(content["warnings"], language).removeprefix("Carbonstream: ")
    return f"Carbonstream: {words['escalated']}: {told}"


def entries(kind: str, content: Mapping[str, Any], language: str) -> list[Entry]:
    """All of it: the changes of an escalation and when they were due; a line a warning of a digest; deadlines with what
    they are about."""
    words = WORDS[language]
    if kind == "escalated":
        by = datetime.fromisoformat(content["respond_by"]).astimezone(SHANGHAI).isoformat(timespec="seconds")
        return [
            *notices_text.entries(content["warnings"], language),
            Entry(f"{words['respond_by']} {by}"),
        ]
    if kind == "deadline":
        return [
            Entry("\n".join((_deadline(due, language), notices_text.paragraph(due["warning"], language))), 1)
            for due in content["deadlines"]
        ]
    told = [Entry(f"{content['from']} - {content['until']}")]
    for what in ("open", "raised", "cleared"):
        part = content[what]
        told += [Entry(""), Entry(f"{words[what]} {part['count']}")]
        told += [Entry(_line(warning, language), 1) for warning in part["warnings"]]
        if (more := part["count"] - len(part["warnings"])) > 0:
            told.append(Entry(words["more"].format(more), more))
    return told


def _line(warning: Mapping[str, Any], language: str) -> str:
    """Severity, entity, rule, the decisive figures, since when and until when it held; its id."""
    said = NOTICE_WORDS[language]
    rule = notices_text.label(warning["rule"], language)
    facts = decisive(warning, language) if "snapshot" in warning else []
    begun, at = (_moment(warning.get(name) or warning["at"]) for name in ("since", "at"))
    facts.append(said["since"].format(begun) if begun == at else f"{begun} - {at}")
    line = f"- {notices_text.label(warning['severity'], language)} {named(warning, language)} {rule}"
    return f"{line}{said['comma']}{said['comma'].join(facts)} [{warning['id']}]"


def _moment(at: str) -> str:
    return datetime.fromisoformat(at).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M+08:00")


def _deadline(due: Mapping[str, Any], language: str) -> str:
    words = WORDS[language]
    return words[due["urgency"]].format(step=words[due["step"]], due_by=_moment(due["due_by"]))
