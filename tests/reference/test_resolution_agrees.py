"""coefficient_for in SQL and Coefficients.resolve say the same of every library."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carbonstream.processors.coefficients import Coefficient, Coefficients
from carbonstream.schemas.periods import month_of, month_text, to_datetime
from tests.databases import migrated_database

from .conftest import Connection

SCOPES = ["enterprise:E", "C31@330502", "330000", "CN"]
CARRIERS = [22]
KINDS = ["fuel", "calorific"]
FIRST = month_of("2022-11")
MONTHS = st.integers(FIRST, FIRST + 3)  # few, so that a series has gaps and revisions
# 2024-01-01, stepping by half days: few enough instants that revisions and as_of often fall together
INSTANTS = st.integers(0, 5).map(lambda n: 1_704_067_200_000 + n * 43_200_000)

KEYS = st.tuples(st.sampled_from(CARRIERS), st.sampled_from(KINDS), st.sampled_from(SCOPES), MONTHS, INSTANTS)
LADDERS = st.lists(st.sampled_from(SCOPES), min_size=1, max_size=4, unique=True)
QUESTIONS = st.tuples(
    st.integers(0, 2),
    st.sampled_from(CARRIERS),
    st.sampled_from(KINDS),
    st.integers(FIRST - 1, FIRST + 6),
    st.one_of(st.none(), INSTANTS, INSTANTS.map(lambda at: at - 1)),
)
ASK = """
select q.n, k.id, k.scope, k.month, k.value
from unnest(%s::int[], %s::int[], %s::smallint[], %s::text[], %s::date[], %s::timestamptz[])
  as q (n, class, carrier, kind, month, as_of)
left join lateral coefficient_for(q.class, q.carrier, q.kind, q.month, q.as_of) k on true
order by q.n
"""


@pytest.fixture(scope="module")
def library(server: str) -> Iterator[Connection]:
    """A database with three classes, whose ladders and coefficients each example sets anew."""
    with migrated_database(server, "reference") as fresh, psycopg.connect(fresh.database) as connection:
        connection.execute("insert into region values ('R', 'nation', '', '', null, null)")
        connection.execute("insert into industry values ('I', '', '', '')")
        for number in range(3):
            connection.execute(
                "insert into entity (number, id, kind, name_zh, name_en) overriding system value "
                "values (%s, %s, 'class', '', '')",
                [number, f"class:{number}"],
            )
            connection.execute(
                "insert into class values (%s, 'R', 'R', 'R', 'R', 'I', %s, null, '{}')",
                [number, str(number)],
            )
        connection.commit()
        yield connection


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(KEYS, max_size=40, unique=True),
    ladders=st.lists(LADDERS, min_size=3, max_size=3),
    questions=st.lists(QUESTIONS, min_size=5, max_size=25),
)
def test_sql_and_python_resolve_alike(
    library: Connection,
    keys: list[tuple[int, str, str, int, int]],
    ladders: list[list[str]],
    questions: list[tuple[int, int, str, int, int | None]],
) -> None:
    ours = Coefficients()
    for id_, (carrier, kind, scope, month, published) in enumerate(keys, 1):
        ours.put(Coefficient(id_, carrier, kind, scope, month, Decimal(id_) / 8, "document", published))
    with library.transaction(force_rollback=True), library.cursor() as cursor:
        with cursor.copy(
            "copy coefficient (id, carrier, kind, scope, month, published_at, value, unit, "
            "document, approver) from stdin"
        ) as copy:
            for id_, (carrier, kind, scope, month, published) in enumerate(keys, 1):
                first = month_text(month) + "-01"
                at = to_datetime(published).isoformat()
                copy.write_row((id_, carrier, kind, scope, first, at, Decimal(id_) / 8, "u", "document", "a"))
        for number, ladder in enumerate(ladders):
            cursor.execute("update class set scopes = %s where entity = %s", [ladder, number])
        cursor.execute(
            ASK,
            [
                list(range(len(questions))),
                [class_ for class_, *_ in questions],
                [carrier for _, carrier, *_ in questions],
                [kind for _, _, kind, *_ in questions],
                [month_text(month) + "-01" for *_, month, _ in questions],
                ["infinity" if at is None else to_datetime(at).isoformat() for *_, at in questions],
            ],
        )
        theirs = cursor.fetchall()
    assert len(theirs) == len(questions)
    for (class_, carrier, kind, month, as_of), (_, id_, scope, found_month, value) in zip(
        questions, theirs, strict=True
    ):
        resolved = ours.resolve(ladders[class_], carrier, kind, month, as_of)
        if resolved is None:
            assert id_ is None
        else:
            assert (id_, scope, value) == (resolved.id, resolved.scope, resolved.value)
            assert f"{found_month:%Y-%m}" == month_text(resolved.month)
            assert resolved.carried_months == month - resolved.month >= 0
