"""HTTP push on a real Kafka: a 202 means that Kafka has it, and nothing of a refused request gets there."""

import asyncio
import gzip
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import orjson
import psycopg
import pytest

from carbonstream.connectors.sources.clock import wall_ms
from carbonstream.connectors.sources.http import serve
from carbonstream.connectors.sources.http.body import MAX_BYTES
from carbonstream.connectors.sources.sequence import SequenceStore
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.errors import NotReady, SourceInUse
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of, shard_of
from tests.databases import migrated_database
from tests.topics import frames, held, readings

from .pushing import PATH, SOURCE, TOKEN, pushing, served

NOW = wall_ms() // 1_000 * 1_000
SITE = "330502-0001"


def reading(i: int = 0, site: str = SITE) -> dict[str, object]:
    return {"meter": f"{site}/E01", "end": NOW - i * 1_000, "value": i + 0.25, "unit": "kWh"}


@pytest.fixture
def settings(kafka_settings: Settings) -> Settings:
    return pushing(kafka_settings)


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    with served(settings) as running:
        yield running


def test_a_202_says_where_in_kafka_the_readings_stand(client: httpx.Client, settings: Settings) -> None:
    answer = client.post(PATH, json={"readings": [reading(i) for i in range(1_200)]})
    assert answer.status_code == 202
    document = answer.json()
    assert (document["accepted"], document["durable"]) == (1_200, "kafka")
    shard = shard_of(SITE)
    stand = [(h.partition, h.offset, h.record.shard, h.record.seq) for h in held(settings)]
    assert stand == [(f["partition"], f["offset"], f["shard"], f["seq"]) for f in document["frames"]]
    assert {(p, s) for p, _, s, _ in stand} == {(partition_of(shard, settings.partitions), shard)}
    assert len(stand) == 3
    assert Counter(readings(frames(settings))) == Counter(
        (f"{SITE}/E01", NOW - i * 1_000, i + 0.25) for i in range(1_200)
    )
    assert {(f.source, f.mode) for f in frames(settings)} == {(SOURCE, Mode.LIVE)}


def test_mixed_sites_are_split_by_shard_and_the_query_names_the_mode(
    client: httpx.Client, settings: Settings
) -> None:
    sites = [f"330502-{i:04d}" for i in range(40)]
    frame = {
        "meters": [f"{site}/E01" for site in sites],
        "meter": list(range(40)),
        "end": [NOW] * 40,
        "value": [1.5] * 40,
    }
    answer = client.post(PATH, params={"mode": "backfill"}, json=frame)
    assert answer.status_code == 202
    assert {f["shard"] for f in answer.json()["frames"]} == {shard_of(site) for site in sites}
    assert Counter(readings(frames(settings))) == Counter((f"{site}/E01", NOW, 1.5) for site in sites)
    assert {f.mode for f in frames(settings)} == {Mode.BACKFILL}


def test_lines_and_gzip_are_taken(client: httpx.Client, settings: Settings) -> None:
    lines = b"".join(orjson.dumps(reading(i)) + b"\n" for i in range(10))
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    assert client.post(PATH, content=gzip.compress(lines), headers=headers).status_code == 202
    assert len(readings(frames(settings))) == 10


def test_one_faulty_reading_refuses_the_whole_request(client: httpx.Client, settings: Settings) -> None:
    batch = [reading(i) for i in range(600)]
    batch[3]["end"] = "2024-01-01T00:15:00"
    answer = client.post(PATH, json={"readings": batch})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["field"], document["code"]) == (422, "readings[3].end", "time")
    assert "has no offset" in document["detail"]
    assert document["errors"] == [
        {"field": "readings[3].end", "code": "time", "detail": document["errors"][0]["detail"]}
    ]
    assert held(settings) == []


@pytest.mark.parametrize(
    "token", [None, "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
)
def test_without_a_valid_token_nothing_is_taken(
    client: httpx.Client, settings: Settings, token: str | None
) -> None:
    with httpx.Client(base_url=client.base_url) as stranger:
        headers = {} if token is None else {"Authorization": token.encode()}
        answer = stranger.post(PATH, json=reading(), headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "unauthorised"
    assert held(settings) == []


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "text/csv"}, 415, "media_type"),
        ({"Content-Type": ""}, 415, "media_type"),
        ({"Content-Type": "application/json", "Content-Encoding": "br"}, 415, "media_type"),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 400, "not_json"),
    ],
)
def test_what_cannot_be_read_is_refused(
    client: httpx.Client, headers: dict[str, str], status: int, code: str
) -> None:
    answer = client.post(PATH, content=orjson.dumps(reading()), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_two_modes_in_one_request_are_refused(client: httpx.Client) -> None:
    answer = client.post(PATH, params={"mode": "live"}, json={"readings": [reading()], "mode": "backfill"})
    assert (answer.status_code, answer.json()["field"]) == (422, "mode")


def test_a_body_without_end_is_cut_off_at_the_limit(client: httpx.Client, settings: Settings) -> None:
    chunk = b"%x\r\n%b\r\n" % (1 << 16, b" " * (1 << 16))
    with socket.create_connection(("127.0.0.1", settings.http_port), timeout=20) as connection:
        connection.sendall(
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        sent = 0
        try:
            while sent < 100 * MAX_BYTES:
                connection.sendall(chunk)
                sent += 1 << 16
        except OSError:
            pass  # the server has closed
        else:
            raise AssertionError("the server reads on without end")
    # what lies in socket buffers on both sides was sent, too
    assert sent < 10 * MAX_BYTES
    assert client.post(PATH, json=reading()).status_code == 202


def test_a_long_body_is_refused_by_its_length(client: httpx.Client) -> None:
    answer = client.post(PATH, content=b" " * (MAX_BYTES + 1), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_other_paths_and_methods_say_what_is_served(client: httpx.Client) -> None:
    for answer in (client.get(PATH), client.get("/nothing")):
        assert answer.status_code in (404, 405)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "POST /v1/readings" in answer.json()["detail"]


def test_health_and_the_description_need_no_token(client: httpx.Client) -> None:
    with httpx.Client(base_url=client.base_url) as stranger:
        assert stranger.get("/health/live").status_code == 200
        assert stranger.get("/health/ready").status_code == 200
        described = stranger.get("/openapi.json").json()
    assert set(described["paths"]) == {"/v1/readings", "/health/live", "/health/ready"}


def test_requests_at_once_are_each_in_kafka_once(client: httpx.Client, settings: Settings) -> None:
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda i: client.post(PATH, json=reading(i)), range(400)))
    assert {a.status_code for a in answers} == {202}
    assert Counter(readings(frames(settings))) == Counter(
        (f"{SITE}/E01", NOW - i * 1_000, i + 0.25) for i in range(400)
    )
    seqs = [f.seq for f in frames(settings)]
    assert seqs == list(range(seqs[0], seqs[0] + 400))


def test_a_clean_stop_goes_on_with_the_next_sequence_number(settings: Settings) -> None:
    seqs = []
    for _ in range(2):
        with served(settings) as client:
            seqs.append(client.post(PATH, json=reading()).json()["frames"][0]["seq"])
    assert seqs[1] == seqs[0] + 1


def test_a_taken_port_or_source_is_named(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.http_port)), pytest.raises(NotReady, match="HTTP_PORT"):
        asyncio.run(serve(settings, asyncio.Event()))
    store = SequenceStore(settings.state_dir, SOURCE, NOW)
    with pytest.raises(SourceInUse, match=SOURCE):
        asyncio.run(serve(settings, asyncio.Event()))
    store.close()


@pytest.fixture
def database(server: str, settings: Settings) -> Iterator[Settings]:
    with migrated_database(server, "push") as migrated:
        yield settings.model_copy(update={"database": migrated.database})


def test_refusals_are_counted_by_source_and_code(database: Settings) -> None:
    for _ in range(2):  # the second run adds to the first one's figures
        with served(database) as client:
            assert client.post(PATH, json=reading()).status_code == 202
            client.post(PATH, json={})
            client.post(PATH, json=[])
            client.post(PATH, json=reading() | {"unit": "kwh"})
            client.post(PATH, json=reading(), headers={"Authorization": "Bearer x"})
    with psycopg.connect(database.database) as connection:
        found = connection.execute(
            "select source, code, sum(requests) from edge_refusal group by 1, 2"
        ).fetchall()
    assert sorted(found) == [
        (SOURCE, "missing", 4),
        (SOURCE, "unit", 2),
        ("unknown", "unauthorised", 2),
    ]


def test_the_edge_works_without_the_database(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"database": "postgresql://nobody@127.0.0.1:1/none"})
    with served(nowhere) as client:
        assert client.post(PATH, json={}).status_code == 422
        assert client.post(PATH, json=reading()).status_code == 202
