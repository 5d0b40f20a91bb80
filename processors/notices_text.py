"""A notice of changes as it is sent: subject and text in the subscription's language, and the body of its webhook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from carbonstream.processors.notices_facts import facts, headline, response
from carbonstream.processors.notices_words import NAMES, WORDS
from carbonstream.schemas.periods import SHANGHAI

TYPE_CHANGED: Final = "carbonstream.warning.changed"
TYPE_TEST: Final = "carbonstream.notice.test"
Record = Mapping[str, Any]


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
    return " ".join(f"Carbonstream: {headline(records[0], language)}".split())


def text(records: Sequence[Record], language: str) -> str:
    """A paragraph a change, in the order they came."""
    if not records:
        return WORDS[language]["test_body"]
    return "\n\n".join(_paragraph(record, language) for record in records)


def _paragraph(record: Record, language: str) -> str:
    comma = WORDS[language]["comma"]
    lines = (
        headline(record, language),
        comma.join(facts(record, language)),
        comma.join(response(record, language)),
        f"{record['id']} v{record['version']}",
    )
    return "\n".join(filter(None, lines))


def label(word: str, language: str) -> str:
    """A severity in the language's words."""
    return NAMES[language].get(word, word)
