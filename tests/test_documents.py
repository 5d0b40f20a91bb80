"""What the documents name exists, and what is made from the code is up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from carbonstream.ops.cli import app
from carbonstream.ops.documents import json_schemas, settings_page
from carbonstream.ops.services import NAMES
from carbonstream.processors.vee.parameters import DECISIONS, DEFAULTS, PARAMETERS
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Edge, Outcome

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
] + sorted((ROOT / "docs").glob("*.md"))
WORDS = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def test_every_topic_named_is_in_the_catalogue() -> None:
    named = set(re.findall(r"`((?:meter|carbon|warn|ref)\.[a-z]+)`", WORDS))
    known = {topic.name for topic in topics.CATALOGUE}
    assert named
    assert named <= known, named - known


def test_every_command_named_exists() -> None:
    group = typer.main.get_command(app)
    commands = set(group.commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"carbonstream ([a-z][a-z-]*)", WORDS)) - {"is", "services"}
    assert {"ledger", "bench", "load"} <= named
    assert named <= commands, named - commands


def test_every_service_named_exists() -> None:
    assert set(re.findall(r"carbonstream run ([a-z]+)", WORDS)) <= set(NAMES)


def test_every_code_named_exists() -> None:
    named = set(re.findall(r"code `?([A-Z_]{4,})`?", WORDS))
    assert named <= {o.name for o in Outcome} | {e.name for e in Edge}


def test_every_table_named_exists() -> None:
    sql = "\n".join(p.read_text() for p in (ROOT / "schemas" / "sql").glob("*.sql"))
    tables = set(re.findall(r"create (?:table|view) (\w+)", sql))
    named = set(re.findall(r"table `(\w+)`", WORDS))
    assert named <= tables, named - tables


def test_every_parameter_of_the_checks_has_its_row() -> None:
    rows = {
        f"| `{name}` | {DEFAULTS[name]} | {known.low} to {known.high} | {known.unit} | {known.about} | "
        + ", ".join(str(int(check)) for check in sorted(known.checks))
        + " |"
        for name, known in PARAMETERS.items()
    }
    rows |= {
        f"| {int(check)} `{check.name.lower()}` | {', '.join(words)} |" for check, words in DECISIONS.items()
    }
    assert {row for row in rows if row not in WORDS} == set()


def test_every_link_inside_the_repository_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", sorted(json_schemas()))
def test_a_json_schema_is_up_to_date(name: str) -> None:
    assert (ROOT / "schemas" / "json" / name).read_text(encoding="utf-8") == json_schemas()[name]


def test_the_page_of_settings_is_up_to_date() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page()
