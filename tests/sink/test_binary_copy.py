"""The binary COPY format and array parameters, read back by PostgreSQL."""

from __future__ import annotations

import numpy as np
import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carbonstream.connectors.database import COPY_HEADER, COPY_TRAILER, binary_rows, integers, pg_time, texts
from carbonstream.schemas.periods import to_ms
from carbonstream.schemas.settings import Settings

ROW = st.tuples(
    st.integers(-(2**15), 2**15 - 1), st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 4_102_444_800_000),
)  # fmt: skip


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ROW, max_size=20), st.sampled_from([None, 0, 1, 2]))
def test_rows_come_back_as_they_went(
    database: Settings, rows: list[tuple[int, ...]], nullable: int | None
) -> None:
    columns = np.array(rows, np.int64).reshape(-1, 4).T
    body = binary_rows(
        [(columns[0], 2), (columns[1], 4), (columns[2], 8), (pg_time(columns[3]), 8)], nullable=nullable
    )
    with psycopg.connect(database.database) as connection, connection.cursor() as cursor:
        cursor.execute("create temporary table t (a smallint, b int, c bigint, d timestamptz)")
        with cursor.copy("copy t from stdin (format binary)") as copy:
            copy.write(COPY_HEADER + body + COPY_TRAILER)
        found = [(a, b, c, to_ms(d)) for a, b, c, d in cursor.execute("select * from t")]

    def expected(row: tuple[int, ...]) -> tuple[int | None, ...]:
        return tuple(None if i == nullable and v < 0 else v for i, v in enumerate(row))

    assert sorted(found, key=str) == sorted(map(expected, rows), key=str)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1),
    st.lists(st.integers(-(2**63), 2**63 - 1)),
)
def test_arrays_come_back_as_they_went(database: Settings, words: list[str], numbers: list[int]) -> None:
    words += ["null", "", "{", "a,b", '\\"']
    with psycopg.connect(database.database) as connection:
        found = connection.execute(
            "select %s::text[], %s::bigint[]", [texts(words), integers(numbers)]
        ).fetchone()
    assert found == (words, numbers)
