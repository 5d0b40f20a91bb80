"""docs/numbers.md computes what it says: each section's examples run, after those of the page's head."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parent.parent / "docs" / "numbers.md").read_text(encoding="utf-8")
HEAD, *SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)
TITLES = [section.partition("\n")[0] for section in SECTIONS]
CLAUSE = re.compile(r"(CES|ZJ|CEPPC) \d|GB/T \d|ESPI|ISA-18\.2")
EARLIER = {  # sections that go on with what others have set up
    "Restatement, and figures as of a time": ["CO2 and standard coal", "The latest monthly coefficient"],
    "Targets": ["CO2 and standard coal"],
}


def run(text: str, names: dict[str, Any], name: str) -> int:
    """Run the examples of a text; how many there were. Fails where one gives something else."""
    examples = "\n".join(re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    test = doctest.DocTestParser().get_doctest(examples, names, name, "numbers.md", 0)
    told: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=told.append, clear_globs=False)
    names.update(test.globs)
    assert result.failed == 0, "".join(told)
    return result.attempted


@pytest.mark.parametrize("title", TITLES)
def test_the_examples_of_a_section_compute(title: str) -> None:
    names: dict[str, Any] = {}
    run(HEAD, names, "head")
    for earlier in (*EARLIER.get(title, ()), title):
        attempted = run(SECTIONS[TITLES.index(earlier)], names, earlier)
    assert attempted >= 1


@pytest.mark.parametrize("title", TITLES)
def test_a_section_names_its_clause(title: str) -> None:
    assert CLAUSE.search(SECTIONS[TITLES.index(title)])
