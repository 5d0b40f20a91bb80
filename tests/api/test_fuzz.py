"""No parameters whatever are answered by a fault of the server."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import httpx
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from tests.api import plant

REAL = ["enterprise:ENT-1", f"site:{plant.ANNEX}", f"{plant.STEEL}/E01", plant.ANNEX, "region:CN"]
TIMES = [
    "2024",
    "2024-03",
    "2024-03-10",
    "2024-02-30",
    "2024-03-10T08:00:00+08:00",
    "2024-03-10T08:00:00 08:00",
]
TIMES += ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2100", "2000", "２０２４"]
WORDS = [
    "day",
    "hour",
    "year",
    "co2",
    "active",
    "site",
    "totals",
    "warnings",
    "open",
    "0",
    "-1",
    "1e9",
    "1",
    "10000",
]
value = st.sampled_from(REAL + TIMES + WORDS) | st.text(max_size=30)
names = [
    "entity",
    "grain",
    "from",
    "to",
    "indicator",
    "as_of",
    "limit",
    "after",
    "kind",
    "q",
    "site",
    "state",
    "operator_state",
    "since",
    "meter",
    "time",
    "bucket",
    "month",
    "status",
]
queries = st.lists(st.tuples(st.sampled_from(names), value), max_size=6)
READS = [
    "totals",
    "entities",
    "meters",
    "warnings",
    "freshness",
    "overview",
    "locks",
    "coefficients/publications",
]
READS += ["explain/reading", "explain/total", "warnings/health", "warnings/handover", "warnings/commands"]
paths = st.sampled_from(READS) | st.builds(
    lambda kind, id_, rest: f"{kind}/{quote(id_)}{rest}",
    st.sampled_from(["entities", "meters", "warnings"]),
    value,
    st.sampled_from(["", "/readings", "/emissions", "/"]),
)


@how(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths, queries)
def test_no_request_is_a_fault(client: httpx.Client, path: str, query: list[tuple[str, str]]) -> None:
    answer = client.get(f"/v1/{path}", params=urlencode(query))
    assert answer.status_code in {200, 404, 422}, answer.text
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
