"""Whoever wrote something down may not decide it, however the name is typed; every road asks the same function."""

from __future__ import annotations

import unicodedata

import psycopg
import pytest

from carbonstream.ops.multipliers.corrections import decide
from carbonstream.schemas.errors import LoadRefused

from .conftest import MARCH, Plant
from .test_publishing import HUZHOU, publish

SAME = (
    ("alice", "alice\t"),
    ("alice", "\nAlice\r\n"),
    ("alice", "\u00a0alice\u3000"),
    ("alice", "\u2003\u202f\u205falice\u1680\u2028\u0085"),
    ("alice", "\uff21\uff2c\uff29\uff23\uff25"),
    ("alice", "al\u200bice\ufeff"),
    ("Li Na", "li\u3000na"),
    ("Li Na", "LI \t NA"),
    ("é", "e\u0301"),
    ("Straße", "STRASSE"),
    ("ΟΔΟΣ", "οδος"),
    ("Ǆ", "ǆ"),
    ("ﬁ", "FI"),
    ("李娜", " 李娜\u3000"),
)
OTHERS = (("alice", "alica"), ("Li Na", "Lina"), ("李娜", "李那"), ("a-b", "ab"), ("é", "e"))


def key(plant: Plant, name: str) -> str:
    ((found,),) = plant.query("select person_key(%s)", name)
    return str(found)


def test_a_name_is_the_same_however_it_is_typed(plant: Plant) -> None:
    assert [pair for pair in SAME if key(plant, pair[0]) != key(plant, pair[1])] == []
    assert [pair for pair in OTHERS if key(plant, pair[0]) == key(plant, pair[1])] == []


def test_all_white_space_of_unicode_is_trimmed(plant: Plant) -> None:
    spaces = [c for c in map(chr, range(1, 0x3001)) if c.isspace() and unicodedata.category(c) != "Cc"]
    assert len(spaces) > 15
    assert [hex(ord(c)) for c in spaces if key(plant, f"{c}alice{c}") != "alice"] == []


@pytest.mark.parametrize("name", ["LI NA\t", "li\u00a0na\u3000", "\uff2ci Na"])
def test_a_publication_is_not_decided_by_who_submitted_it(plant: Plant, name: str) -> None:
    id_ = publish(plant, HUZHOU)
    for decision in ("approve", "reject"):
        refused = plant.run("coefficients", decision, id_, "--by", name)
        assert "second person" in str(refused.exception)
    assert plant.query("select count(*) from publication_decision") == [(0,)]


def test_a_correction_is_not_decided_by_who_submitted_it(plant: Plant) -> None:
    plant.query(
        "insert into multiplier_correction (meter_id, multiplier, document, submitted_by, submitted_at) "
        "values ('330502-0001/E01', 2, 'protocol', 'alice', %s) returning id",
        MARCH,
    )
    with psycopg.connect(plant.settings.database, autocommit=True) as connection:
        for name in ("alice\t", "ALICE\u3000"):
            with pytest.raises(LoadRefused, match="second person"):
                decide(connection, 1, name, "rejected", "", MARCH)
        decide(connection, 1, "bob", "rejected", "", MARCH)
    assert plant.query("select decided_by from multiplier_correction_decision") == [("bob",)]


def test_nobody_is_no_second_person(plant: Plant) -> None:
    with pytest.raises(psycopg.Error, match="name who decides") as refused:
        plant.query("select second_person(%s, 'alice', 'it')", "\u3000\t\u200b")
    assert refused.value.sqlstate == "CS422"
