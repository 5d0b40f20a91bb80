"""A simulated park on a real Kafka: every reading once, in order of time, however often it starts."""

import csv
import io
import threading
from collections import Counter

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.sequence import SequenceStore
from carbonstream.connectors.sources.simulate import (
    build_park,
    live_park,
    meters_csv,
    send_between,
    sites_csv,
)
from carbonstream.connectors.sources.simulate.live import readings_between
from carbonstream.connectors.sources.simulate.park import COUNTIES, WORKS
from carbonstream.processors.load_faults import Fault
from carbonstream.schemas.carriers import CARRIER_BY_ID, THOUSANDTHS
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.periods import HOUR_MS, MINUTE_MS
from carbonstream.schemas.settings import Settings
from tests.topics import frames, readings

MIDNIGHT = 1_717_171_200_000  # 2024-06-01T00:00 local
PARK = build_park(8, 60, seed=1)


def rows(after: int, until: int) -> Counter:
    made = readings_between(PARK, after, until)
    ids = [made.ids[i] for i in made.meter.tolist()]
    return Counter(zip(ids, made.end.tolist(), made.value.tolist(), strict=True))


class Clock:
    """The wall clock as a test has it: moves by a minute each time it is asked, stops the park at `last`."""

    def __init__(self, first: int, last: int, stop: threading.Event) -> None:
        self.now, self.last, self.stop = first, last, stop

    def __call__(self) -> int:
        self.now = min(self.now + MINUTE_MS, self.last)
        if self.now == self.last:
            self.stop.set()
        return self.now


def run_until(settings: Settings, first: int, last: int) -> None:
    stop = threading.Event()
    live_park(settings, stop, PARK, now_ms=Clock(first, last, stop))


def test_the_day_so_far_comes_first_and_a_second_start_goes_on(kafka_settings: Settings) -> None:
    run_until(kafka_settings, MIDNIGHT + 5 * HOUR_MS, MIDNIGHT + 5 * HOUR_MS + 20 * MINUTE_MS)
    run_until(kafka_settings, MIDNIGHT + 6 * HOUR_MS, MIDNIGHT + 6 * HOUR_MS + 10 * MINUTE_MS)
    found = frames(kafka_settings)
    sent = Counter(readings(found))
    upto = max(end for _, end, _ in sent)
    assert upto >= MIDNIGHT + 6 * HOUR_MS
    assert sent == rows(MIDNIGHT, upto)
    assert {f.mode for f in found} == {Mode.LIVE, Mode.BACKFILL}
    assert {f.source for f in found} == {"simulate/park"}
    assert max(Counter((f.mode, f.shard, f.seq) for f in found).values()) == 1


def test_frames_of_a_shard_are_in_order_of_time(kafka_settings: Settings) -> None:
    store = SequenceStore(kafka_settings.state_dir, "simulate/park", MIDNIGHT)
    producer = kafka.producer(kafka_settings)
    until = MIDNIGHT + 3 * HOUR_MS
    assert send_between(producer, kafka_settings, store, PARK, MIDNIGHT, until, Mode.BACKFILL)
    store.close()
    newest: dict[int, int] = {}
    for frame in frames(kafka_settings):
        ends = frame.end.tolist()
        assert ends == sorted(ends)
        assert ends[0] >= newest.get(frame.shard, 0)
        newest[frame.shard] = ends[-1]
    assert Counter(readings(frames(kafka_settings))) == rows(MIDNIGHT, until)


def test_faults_reach_the_topic(kafka_settings: Settings) -> None:
    store = SequenceStore(kafka_settings.state_dir, "simulate/park", MIDNIGHT)
    producer = kafka.producer(kafka_settings)
    until = MIDNIGHT + HOUR_MS
    faults = {Fault.MISSING: 0.3}
    assert send_between(producer, kafka_settings, store, PARK, MIDNIGHT, until, Mode.LIVE, faults)
    store.close()
    sent = Counter(readings(frames(kafka_settings)))
    right = rows(MIDNIGHT, until)
    assert sent < right
    assert 0.6 < sent.total() / right.total() < 0.8


def test_the_reference_rows_name_every_site_and_meter_once() -> None:
    sites = list(csv.DictReader(io.StringIO(sites_csv(PARK))))
    meters = list(csv.DictReader(io.StringIO(meters_csv(PARK, MIDNIGHT))))
    assert {s["industry"] for s in sites} == {w.industry for w in WORKS}
    assert len({w.industry for w in WORKS}) == 8
    assert {s["county"] for s in sites} <= set(COUNTIES)
    assert all("模拟" in s["name_zh"] and "Simulated" in s["name_en"] for s in sites)
    assert len({s["site_id"] for s in sites}) == len(sites) == 8
    assert [m["meter_id"] for m in meters] == [m.meter_id for m in PARK.meters]
    assert len({m["meter_id"] for m in meters}) == len(meters)
    assert {m["meter_id"].rpartition("/")[0] for m in meters} == {s["site_id"] for s in sites}
    assert {m["carrier"] for m in meters} == {"electricity", "natural_gas", "raw_coal", "heat"}
    assert {m["kind"] for m in meters} == {"register", "interval"}
    for meter in meters:
        assert THOUSANDTHS[meter["unit"]][0] == CARRIER_BY_ID[meter["carrier"]].base_unit
        assert bool(meter["modulus"]) == (meter["kind"] == "register")
        assert meter["valid_from"] == "2024-06-01T00:00:00+08:00"
