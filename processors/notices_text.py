"""A notice of changes as it is sent: subject and text in the subscription's language, and the body of its webhook."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from carbonstream.processors.notices_facts import facts, headline, response
from carbonstream.processors.notices_words import NAMES, WORDS
from carbonstream.schemas.periods import SHANGHAI

TYPE_CHANGED: Final = "carbonstream.warning.changed"
TYPE_TEST: Final = "carbonstream.notice.test"
Record = Mapping[str, Any]


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
    return " ".join(f"Carbonstream: {headline(records[0], language)}".split())


def entries(records: Sequence[Record], language: str) -> list[Entry]:
    """A few lines a change, in the order they came, an empty line between."""
    if not records:
        return [Entry(WORDS[language]["test_body"])]
    told = [Entry(paragraph(record, language), 1) for record in records]
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


def paragraph(record: Record, language: str) -> str:
    """What a change says, a few lines."""
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
