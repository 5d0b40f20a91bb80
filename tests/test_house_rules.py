"""The rules of ARCHITECTURE.md that a machine can see."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from carbonstream.connectors.locks import Only

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "schemas": set(),
    "processors": {"schemas"},
    "connectors": {"schemas", "processors"},
    "streams": {"schemas", "processors", "connectors"},
    "api": {"schemas", "processors", "connectors"},
    "ops": {"schemas", "processors", "connectors", "streams", "api"},
}
CLOCKS = {
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "monotonic"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
}
OUTSIDE = {
    "random",
    "secrets",
    "uuid",
    "socket",
    "psycopg",
    "confluent_kafka",
    "faust",
    "httpx",
    "os",
    "pathlib",
}


def sources(folder: str) -> list[Path]:
    return [p for p in sorted((ROOT / folder).rglob("*.py")) if "node_modules" not in p.parts]


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_what_the_architecture_allows(folder: str) -> None:
    allowed = MAY_IMPORT[folder] | {folder}
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources(folder)
        for name in imported(ast.parse(path.read_text()))
        if name.startswith("carbonstream.") and name.split(".")[1] not in allowed
    ]
    assert not wrong
    assert sources(folder)


def test_processors_have_no_clock_no_chance_and_no_io() -> None:
    wrong = []
    for path in sources("processors"):
        tree = ast.parse(path.read_text())
        wrong += [f"{path.name}: {name}" for name in imported(tree) if name.split(".")[0] in OUTSIDE]
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and (ast.unparse(node.value), node.attr) in CLOCKS:
                wrong.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    assert not wrong


def test_every_folder_says_what_lives_in_it() -> None:
    for folder in MAY_IMPORT:
        assert ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text())), folder


def test_no_file_is_past_400_lines() -> None:
    long = {
        str(p.relative_to(ROOT)): n
        for f in MAY_IMPORT
        for p in sources(f)
        if (n := len(p.read_text().splitlines())) > 400
    }
    assert not long


def test_no_two_services_wait_for_the_same_advisory_lock() -> None:
    found = list(Only.__members__.values())  # two names of one number would stand here as equals
    assert len(found) >= 5
    assert len(set(found)) == len(found)
    spelt = [
        p.name
        for folder in MAY_IMPORT
        for p in sources(folder)
        if "0x4353" in p.read_text() and p.name != "locks.py"
    ]
    assert spelt == []
