"""tree.csv: all or nothing, every error with its line, and nothing that is summed already counts anew."""

from __future__ import annotations

import pytest

from carbonstream.schemas.errors import LoadRefused

from .conftest import FROM, TREE_ROWS, Park


def errors_of(park: Park, *rows: str) -> list[str]:
    with pytest.raises(LoadRefused) as refused:
        park.load(tree=rows)
    assert park.rows("select count(*) from meter_counting") == [(0,)]
    return [": ".join(error.split(": ")[:3]) for error in refused.value.errors]


def test_a_tree_decides_what_counts_and_loading_it_twice_changes_nothing(park: Park) -> None:
    park.load(tree=TREE_ROWS)
    levels = {
        (meter_id, start.year): levels
        for meter_id, start, levels in park.rows(
            "select m.meter_id, c.valid_from, c.levels from meter_counting c join meter m on m.number = c.meter"
        )
    }
    assert levels == {
        ("op/M", 1970): 15, ("op/M", 2025): 4,
        ("a/E", 1970): 15, ("a/E", 2025): 11,
        ("b/E", 1970): 15, ("b/E", 2025): 11,
        ("a/S", 1970): 0,
    }  # fmt: skip
    published = park.rows("select count(*) from outbox")
    park.load(tree=TREE_ROWS)
    assert park.rows("select count(*) from outbox") == published
    assert park.rows("select entity.id, sum(x.meters) from expectation x join entity on number = x.entity "
                     "where x.carrier = 1 and (valid_to is null or valid_to > now()) and kind in ('park', 'site') "
                     "group by 1 order by 1") == [
        ("park:P-1", 1), ("park:P-2", 1), ("site:a", 1), ("site:b", 1), ("site:x", 1),
    ]  # fmt: skip


def test_every_error_is_named_with_its_line(park: Park) -> None:
    assert errors_of(
        park,
        f"a/E,boss,op/M,{FROM},",
        f"a/X,sub,a/E,{FROM},",
        f"a/S,sub,a/Y,{FROM},",
        f"a/S,sub,a/S,{FROM},",
        f"b/E,tenant,,{FROM},2025-01-01T00:00:00+08:00",
        "b/E,tenant,,yesterday,",
    ) == [
        "tree.csv:2: role: 'boss'",
        "tree.csv:5: parent: 'a/S'",
        "tree.csv:6: valid_to: '2025-01-01T00:00:00+08:00'",
        "tree.csv:7: valid_from: 'yesterday'",
        "tree.csv:3: meter_id: 'a/X'",
        "tree.csv:4: parent: 'a/Y'",
    ]


def test_circles_overlaps_other_parks_and_other_carriers_are_refused(park: Park) -> None:
    assert errors_of(
        park,
        f"x/E,tenant,op/M,{FROM},",
        f"b/G,tenant,op/M,{FROM},",
        f"b/E,tenant,op/M,{FROM},",
        "b/E,sub,op/M,2026-02-01T00:30:00+08:00,",
    ) == [
        "tree.csv:5: valid_from: '2026-02-01T00:30:00+08:00'",
        "tree.csv:5: valid_from: '2026-02-01T00:30:00+08:00'",
        "tree.csv:3: parent: 'op/M'",
        "tree.csv:2: parent: 'op/M'",
    ]
    assert errors_of(park, f"a/E,tenant,b/E,{FROM},", f"b/E,tenant,a/E,{FROM},") == [
        "tree.csv:2: parent: 'b/E'",
        "tree.csv:3: parent: 'a/E'",
    ]


def test_a_change_before_stored_rows_is_refused_and_one_after_them_is_taken(park: Park) -> None:
    park.store("a/E", [1_000] * 24)
    errors = errors_of(park, *TREE_ROWS)
    assert errors == [f"tree.csv:3: valid_from: '{FROM}'"]
    park.load(tree=tuple(row.replace(FROM, "2026-03-02T00:00:00+08:00") for row in TREE_ROWS))
    assert park.rows("select count(*) from meter_place") == [(4,)]
