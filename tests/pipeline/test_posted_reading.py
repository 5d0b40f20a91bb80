"""A reading posted by HTTP appears on the open board without a reload, through every real part."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import orjson
import pytest
from playwright.sync_api import Browser, Page, expect

from carbonstream.api.auth import one_time_link
from carbonstream.connectors import kafka
from carbonstream.connectors.sources.ticker import send_ticks
from carbonstream.ops.balance import ledger
from carbonstream.ops.load.in_force import wait_until_in_force
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.frames import TYPE_TICK, cloud_event_headers
from carbonstream.schemas.periods import DAY_MS, OFFSET_MS, local_iso
from carbonstream.schemas.shards import partition_of, shard_of
from tests.running import SERVICES, Running, eventually, load, running

TOKEN = "a token for pushing"
SITES = """site_id,name_zh,name_en,enterprise,enterprise_zh,enterprise_en,park,park_zh,park_en,county,industry
330502-a,测试站点,Test site,test-a,测试企业,Test enterprise,test-p,测试园区,Test park,330502,C31
"""
METERS = """meter_id,carrier,kind,unit,multiplier,modulus,interval_s,boundary,valid_from,valid_to
330502-a/E1,electricity,interval,kWh,1,,60,true,2026-01-01T00:00:00+08:00,
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("plant")
    (folder / "sites.csv").write_text(SITES, encoding="utf-8")
    (folder / "meters.csv").write_text(METERS, encoding="utf-8")
    tables = {name: folder / f"{name}.csv" for name in ("sites", "meters")}
    ports = {"http_port": free_port(), "api_port": free_port()}
    push = {TOKEN: "http/test"}
    with running(
        folder,
        services=(*SERVICES, "api", "http"),
        tables=tables,
        push_tokens=push,
        is_covered=True,
        **ports,
    ) as run:
        eventually(lambda: answers(run.settings.api_port, "/health/ready"), "the API is ready")
        eventually(lambda: answers(run.settings.http_port, "/health/ready"), "the HTTP source is ready")
        yield run


def answers(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1920, "height": 1080})
    yield page
    page.close()


def post(run: Running, body: object, token: str = TOKEN) -> httpx.Response:
    return httpx.post(
        f"http://127.0.0.1:{run.settings.http_port}/v1/readings",
        json=body,
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=30,
    )


def test_a_posted_reading_appears_without_a_reload(plant: Running, page: Page) -> None:
    page.goto(one_time_link(plant.settings, time.time()))
    expect(page.locator(".connection")).to_have_attribute("data-status", "live", timeout=30_000)
    page.evaluate("window.still_the_same = true")
    now = int(time.time()) * 1_000
    end = max(now, (now + OFFSET_MS) // DAY_MS * DAY_MS - OFFSET_MS + 60_000)  # all of it is today's
    reading = {
        "meter": "330502-a/E1",
        "start": end - 60_000,
        "end": local_iso(end),
        "value": 100_000,
        "unit": "kWh",
    }
    answer = post(plant, reading)
    assert answer.status_code == 202, answer.text
    assert answer.json()["durable"] == "kafka"
    # 100,000 kWh x 0.4974 kg/kWh, Zhejiang's newest official factor
    expect(page.locator("[data-test=today-co2]")).to_contain_text("49.740", timeout=30_000)
    assert page.evaluate("window.still_the_same") is True


def test_an_unknown_meter_is_held_and_holds_nothing_up(plant: Running) -> None:
    end = local_iso(int(time.time() * 1_000))
    readings = [
        {"meter": "330502-a/NEW", "end": end, "value": 1},
        {"meter": "330502-a/E1", "end": "2026-02-03T10:15:00+08:00", "value": 1},  # too old for mode live
    ]
    assert post(plant, readings).status_code == 202
    eventually(
        lambda: plant.query("select 1 from held where meter_id = '330502-a/NEW'"), "the reading is held"
    )
    rejected = eventually(lambda: plant.query("select code, detail from reject"), "the other one is rejected")
    assert rejected[0][0] == 25
    assert "backfill" in rejected[0][1]


def test_a_users_rule_rejects_what_it_says_once_it_is_loaded(plant: Running, tmp_path: Path) -> None:
    rules = tmp_path / "rules.csv"
    rules.write_text(
        "rule,carrier,kind,meter,test,field,low,high,decision,owner,note\n"
        "feeder,electricity,interval,,range,rate,0,900000,reject,dispatch,no feeder carries more than 900 MW\n",
        encoding="utf-8",
    )
    load(plant.settings, {"rules": rules})
    wait_until_in_force(plant.settings, 90)
    end = (int(time.time() * 1_000) // 900_000 - 4) * 900_000
    reading = {"meter": "330502-a/E1", "start": end - 60_000, "end": end, "value": 20_000, "unit": "kWh"}
    assert post(plant, reading).status_code == 202
    eventually(
        lambda: plant.query("select 1 from reject where code = %s", Outcome.RULE), "the rule rejects it"
    )


def test_what_other_producers_write_holds_nothing_up(plant: Running) -> None:
    config, services = plant.settings, ("convert", "timescale", "ledger", "watch")
    before = [plant.pid(name) for name in services]
    topic = config.topic(topics.READINGS)
    partition = partition_of(shard_of("330502-a"), config.partitions)
    plain = kafka.producer(config)
    far = int(time.time() * 1_000) + 400 * DAY_MS
    send_ticks(plain, config, far)
    ahead = {"time": int(time.time() * 1_000), "reference": {topics.REF_METERS: 10**12}}
    plain.produce(
        topic, orjson.dumps(ahead), partition=partition, headers=cloud_event_headers(TYPE_TICK, "t", "1")
    )
    for headers in ([("ce_type", None)], [("ce_type", b"\xff"), ("ce_id", None)]):
        plain.produce(topic, b"not JSON", partition=partition, headers=headers)
    assert plain.flush(30) == 0
    transactional = kafka.producer(config, transactional_id=f"{config.topic_prefix}somebody")
    transactional.init_transactions(30)
    with kafka.transaction(transactional):
        transactional.produce(topic, b"[]", partition=partition)
    given_up = {"source": "http/test", "shard": shard_of("330502-a"), "seq": 2**61, "sent": 1, "mode": "live",
                "meters": ["330502-a/E1"], "meter": [0], "end": [1_770_084_900_000], "value": [7]}  # fmt: skip
    with suppress(ZeroDivisionError), kafka.transaction(transactional):
        transactional.produce(topic, orjson.dumps(given_up), partition=partition)
        transactional.flush(30)
        raise ZeroDivisionError
    codes = "select count(*) from reject where code = %s"
    unread = (
        config.partitions + 4
    )  # ticks, one that names records there are not, two without a type, a transaction's
    eventually(lambda: plant.query(codes, Outcome.INVALID_FRAME) == [(unread,)], "all of them are kept")
    stored = plant.stored("http/test")
    reading = {"meter": "330502-a/E1", "end": local_iso(int(time.time() * 1_000)), "value": 5}
    assert post(plant, reading).status_code == 202
    eventually(lambda: plant.stored("http/test") == stored + 1, "what comes behind is stored")
    assert [plant.pid(name) for name in services] == before
    assert plant.query("select max(tick_ms) < %s from position", far) == [(True,)]
    account = ledger(config, 60)
    assert account["balanced"], account["differences"]
