"""Readings of every kind, held ones released, rejects replayed: the ledger balances, a replay gives the same, and what
is removed, doubled or swapped is named. One file past 400 lines: all of it looks at one Carbonstream that takes a
minute to play, and tests of two files would play it twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from prometheus_client import REGISTRY

from carbonstream.connectors import kafka
from carbonstream.connectors.database import connect
from carbonstream.connectors.sources.canary import Canary
from carbonstream.connectors.sources.resend import Again, Resending
from carbonstream.ops.balance import ledger
from carbonstream.ops.held import DUE, Waiting, frames_of, held, release
from carbonstream.ops.held import SOURCE as RELEASES
from carbonstream.ops.load.in_force import wait_until_in_force
from carbonstream.ops.rejects import Which, rejects, replay
from carbonstream.ops.repair import repair
from carbonstream.ops.topics import create_topics
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.errors import LayoutChanged, NotReady
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of, shard_of
from carbonstream.streams.ledger import LedgerReader
from tests.commands import told
from tests.ledger.stage import (
    CANARIES,
    LATE_METERS,
    METERS,
    PARTITIONS,
    SINCE,
    SITES,
    SOURCE,
    A,
    B,
    Records,
    Sender,
    at,
    clear_away,
    copied,
    empty_database,
    figures,
    is_replayed,
    is_stored,
    meters_csv,
    origin_of,
    query,
    records,
    send_everything,
    sink_until,
)
from tests.running import Running, eventually, load, prepared, supervised
from tests.sources.pushing import free_port
from tests.topics import ends

pytestmark = pytest.mark.timeout(420)
CANARY_TOKEN = "a token of the canary"
SERVICES = ("relay", "timescale", "convert", "ledger", "ticker", "http")
PARTITION = partition_of(shard_of(A), PARTITIONS)


@dataclass
class Stage:
    """A Carbonstream that has run and stands still, and what its commands said meanwhile."""

    settings: Settings
    tables: list[dict[str, Path]]
    said: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    tables = [{}, {}, {}]
    corrected = METERS | {f"{B}/I": ("interval", SINCE, 1)}
    for n, (name, text) in enumerate(
        [("sites", SITES), ("meters", meters_csv(METERS)), ("late", meters_csv(LATE_METERS)),
         ("corrected", meters_csv(corrected))]
    ):  # fmt: skip
        path = folder / f"{name}.csv"
        path.write_text(text, encoding="utf-8")
        tables[max(n - 1, 0)]["sites" if name == "sites" else "meters"] = path
    with prepared(
        folder, tables[0], partitions=PARTITIONS, http_port=free_port(), push_tokens={CANARY_TOKEN: "canary/http"},
        canary_meters=CANARIES, canary_s=1.0,
    ) as settings:  # fmt: skip
        stage = Stage(settings, tables)
        with supervised(settings, *SERVICES, is_covered=True) as supervisor:
            wait_until_in_force(settings, 90)
            play(Running(settings, supervisor), stage)
        yield stage
        clear_away()


def play(run: Running, stage: Stage) -> None:
    """Everything happens here; the tests look at what was said, and at what stands still."""
    settings, said = run.settings, stage.said
    sender = Sender(settings)
    send_everything(sender)
    eventually(lambda: is_stored(settings), "everything sent is decided")
    said["held"], said["rejects"] = held(settings), rejects(settings, Which())
    said["before"] = ledger(settings, 60)
    load(settings, stage.tables[1])
    wait_until_in_force(settings)
    release_and_die(settings, 2)
    twice = [threading.Thread(target=try_release, args=(settings.model_copy(update={"state_dir": other}),))
             for other in (settings.state_dir / "one", settings.state_dir / "other")]  # fmt: skip
    for thread in twice:
        thread.start()
    for thread in twice:
        thread.join()
    said["released"] = release(settings)
    said["after"] = ledger(settings, 60)
    said["held after"] = held(settings)
    load(settings, stage.tables[2])
    wait_until_in_force(settings)
    said["replayed"] = replay(settings, Which(Outcome.OUTSIDE_VALIDITY))
    said["replayed again"] = replay(settings, Which(Outcome.OUTSIDE_VALIDITY))
    said["commands"] = {
        command: told(settings, *command.split())
        for command in (
            "held list",
            "held release",
            "rejects list --code negative",
            "rejects replay --code unit",
        )
    }
    sender.send(at(9, f"{A}/R", 140), at(16, f"{A}/I", 3))
    with connect(settings, application="test", autocommit=True) as connection:
        canary = Canary(settings)
        said["canary"] = eventually(lambda: try_canary(canary, connection), "the canary is accepted")
    reporting = threading.Thread(target=canary.run)
    reporting.start()
    eventually(lambda: run.stored("canary/http") >= 4, "the canary reports by itself")
    canary.stop()
    reporting.join()
    said["amid"] = amid_readings(settings, sender)
    eventually(lambda: is_stored(settings), "all of it is decided")
    said["last"] = ledger(settings, 60)
    said["ledger"] = told(settings, "ledger")


def amid_readings(settings: Settings, sender: Sender) -> list[dict[str, Any]]:
    """What the ledger says, three times, while some 300 readings a second of both sites come without a pause."""
    over = threading.Event()

    def send() -> None:
        number = 0
        while not over.wait(0.01):
            number += 1
            sender.send(at(40 + number, f"{A}/I", 3 + number))
            sender.send(at(40 + number, f"{B}/I", 5), at(40 + number, f"{B}/NEW", 60 + number))
            sender.send(at(40 + number, f"{B}/I", 6), seq=7)  # a known number

    sending = threading.Thread(target=send)
    sending.start()
    try:
        return [ledger(settings, 120) for _ in range(3)]
    finally:
        over.set()
        sending.join()


def release_and_die(settings: Settings, readings: int) -> None:
    """A release that is killed when Kafka has taken the first readings, and before it saw what became of them."""
    waiting = [Waiting(*row) for row in query(settings, DUE, {"meter": ""})]
    with Resending(
        settings.model_copy(update={"state_dir": settings.state_dir / "killed"}), RELEASES
    ) as resending:
        for shard, frame in frames_of(waiting[:readings]):
            again = [Again(w.meter, w.start, w.end, w.value, w.unit) for w in frame]
            more = {"release_source": frame[0].source, "release_of": [w.origin for w in frame]}
            resending.send(shard, again, more)
        resending.flush()


def try_release(settings: Settings) -> None:
    """One of two at once; they take the same readings, each is counted once."""
    release(settings)


def try_canary(canary: Canary, connection: Any) -> dict[int, float]:
    try:
        return canary.report(connection, "canary/http", CANARY_TOKEN)
    except NotReady:
        return {}


def test_the_ledger_balances_at_every_step(stage: Stage) -> None:
    for step in ("before", "after", "last"):
        account = stage.said[step]
        assert account["balanced"], (step, account["differences"], account["breaks"])
        assert account["in_flight"]["readings"] == 0
    keys = {"accepted", "stored", "rejected", "superseded", "held", "in_flight", "balanced", "by"}
    assert keys <= stage.said["last"].keys()


def test_the_hops_are_compared_to_the_wh_while_readings_come(stage: Stage) -> None:
    for account in stage.said["amid"]:
        assert account["balanced"]
        assert account["differences"] == []
        assert account["in_flight"] == {"readings": 0, "kwh": "0"}
    counts = [account["accepted"]["readings"] for account in stage.said["amid"]]
    assert counts == sorted(set(counts)), "readings came between"


def test_counting_on_in_memory_is_counting(stage: Stage) -> None:
    """From the start, as the reader has done bit by bit; what it had released before is released now, too."""
    new = empty_database(stage.settings, stage.tables)
    reader = LedgerReader(new)
    with connect(new, application="test") as connection:
        to = {n: end - 1 for n, end in enumerate(ends(new, topics.READINGS))}
        counted = reader.counted_on(connection, to)
    found = sorted((c.source, c.site, c.day, c.readings, c.quantity_wh) for c in counted)
    kept = query(
        stage.settings,
        "select source, site, day - date '1970-01-01', readings, quantity_wh from ledger where hop = 'accepted' "
        "and (readings, quantity_wh) <> (0, 0) order by 1, 2, 3",
    )
    assert found == sorted(kept)


def test_held_readings_are_released_once_though_one_release_is_killed_and_two_run_at_once(
    stage: Stage,
) -> None:
    said = stage.said
    waiting = {line["meter"]: line["readings"] for line in said["held"]["meters"]}
    assert waiting == {f"{A}/NEW": 3, f"{B}/NEW": 2, f"{B}/NEVER": 1}
    assert said["held"]["releasable"] == 0
    assert said["before"]["held"]["readings"] == 6
    assert said["released"]["sent"] == 0
    assert [line["meter"] for line in said["held after"]["meters"]] == [f"{B}/NEVER"]
    outcomes = "select meter_id, outcome from held where released_at is not null order by 1, end_ms"
    assert query(stage.settings, outcomes) == [
        (f"{A}/NEW", 0), (f"{A}/NEW", 0), (f"{A}/NEW", int(Outcome.NEGATIVE)), (f"{B}/NEW", 1), (f"{B}/NEW", 0),
    ]  # fmt: skip
    before, after = said["before"], said["after"]
    assert after["held"]["readings"] == 1
    assert after["accepted"]["readings"] == before["accepted"]["readings"]
    assert after["stored"]["readings"] == before["stored"]["readings"] + 4
    # 7 + 8 kWh of the interval meter, 1.5 x 10 of the register
    assert float(after["stored"]["kwh"]) == float(before["stored"]["kwh"]) + 15 + 15
    assert not [line for line in after["by"] if line["source"].startswith("release/")]


def test_rejects_are_listed_and_replayed_once_after_a_correction(stage: Stage) -> None:
    said = stage.said
    assert said["rejects"]["by_code"]["outside_validity"] == {"readings": 8, "replayed": 0}
    assert {"negative", "unit", "late_index", "duplicate", "invalid_frame"} <= said["rejects"][
        "by_code"
    ].keys()
    assert said["replayed"] == {"sent": 8, "cannot_be_sent": {}, "complete": True}
    assert said["replayed again"]["sent"] == 0
    lines = [
        line for line in said["last"]["by"] if line["source"] == "replay/rejects" and line["hop"] == "stored"
    ]
    assert sum(line["readings"] for line in lines) == 8


def test_the_commands_say_the_same(stage: Stage) -> None:
    said = stage.said["commands"]
    assert stage.said["ledger"] == stage.said["last"]
    assert said["held list"] == stage.said["held after"]
    assert said["held release"] == {"sent": 0, "released": 0, "outcomes": {}, "waiting": 1, "complete": True}
    assert said["rejects list --code negative"]["by_code"] == {"negative": {"readings": 2, "replayed": 0}}
    assert said["rejects replay --code unit"] == {"sent": 1, "cannot_be_sent": {}, "complete": True}


def test_a_gap_in_a_sources_numbers_is_named(stage: Stage) -> None:
    sent = next(s for s in stage.said["last"]["sent"] if s["source"] == SOURCE)
    assert sent["missing_frames"] == 3
    [gap] = sent["gaps"]
    assert gap["partition"] == PARTITION
    assert gap["to"] - gap["from"] == 2


def test_the_canary_is_measured_and_stands_apart(stage: Stage) -> None:
    assert set(stage.said["canary"]) == {partition_of(shard_of(site), PARTITIONS) for site in (A, B)}
    assert all(0 <= seconds < 60 for seconds in stage.said["canary"].values())
    account = stage.said["last"]
    of_canary = [x for x in account["by"] if x["source"] == "canary/http" and x["hop"] == "accepted"]
    everything = [x for x in account["by"] if x["hop"] == "accepted"]
    apart = sum(x["readings"] for x in of_canary)
    assert apart >= 4
    assert account["accepted"]["readings"] == sum(x["readings"] for x in everything) - apart
    summed = "select from total_hour t join site s on s.entity = t.entity where t.quantity = 1"
    assert query(stage.settings, summed) == []


def test_carbon_emissions_replayed_into_an_empty_database_give_the_same(stage: Stage) -> None:
    new = empty_database(stage.settings, stage.tables)
    sink_until(new, lambda: is_replayed(new), "all of it is stored again")
    assert figures(new) == figures(stage.settings)
    account = ledger(new, 60)
    assert account["balanced"], account["differences"]
    assert account["stored"] == stage.said["last"]["stored"]


def unaltered(_topic: str, _partition: int, found: Records) -> Records:
    return found


def altering(topic: str, alter: Callable[[Records], Records]) -> Callable[[str, int, Records], Records]:
    """Alter this topic's partition of site A only."""
    return lambda t, n, found: alter(found) if (t, n) == (topic, PARTITION) else found


def with_readings(found: Records) -> list[int]:
    """Positions of records that hold readings of the source."""
    return [i for i, (_, _, value, _) in enumerate(found) if b'"source":"test/plant"' in (value or b"")]


def removed(found: Records, number: int = 5) -> Records:
    i = with_readings(found)[number]
    return found[:i] + found[i + 1 :]


def doubled(found: Records, number: int = 5) -> Records:
    i = with_readings(found)[number]
    return found[: i + 1] + found[i:]


def swapped(found: Records, number: int = 5) -> Records:
    i, j = with_readings(found)[number : number + 2]
    order = list(range(len(found)))
    order[i], order[j] = j, i
    return [found[k] for k in order]


def is_standing_still() -> bool:
    """What a sink in this process tells Prometheus of the altered partition."""
    labels = {"service": "timescale", "partition": str(PARTITION)}
    return REGISTRY.get_sample_value("carbonstream_standing_still", labels) == 1


def test_answers_that_retention_took_before_they_were_stored_are_named_and_repaired(stage: Stage) -> None:
    new = copied(stage.settings, stage.tables, unaltered)
    original = records(stage.settings, topics.EMISSIONS, PARTITION)
    first = with_readings(original)[5]
    taken = TopicPartition(new.topic(topics.EMISSIONS), PARTITION, first)
    client = kafka.admin(new)  # its futures end with it
    client.delete_records([taken])[taken].result(30)
    sink_until(
        new, lambda: is_standing_still() and is_replayed(new, 1 - PARTITION), "one partition stands still"
    )
    [gap] = repair(new, new_epoch=False)["gaps"]
    assert (gap["partition"], gap["from"], gap["to"]) == (PARTITION, 0, origin_of(original[first][2]) - 1)
    sink_until(new, lambda: is_replayed(new), "the rest is stored")
    account = ledger(new, 60)
    assert account["balanced"], account["differences"]
    assert account["accepted"] == stage.said["last"]["accepted"]
    assert account["rejected_by_code"]["missing_answer"] == gap["readings"] > 0


def test_an_answer_removed_from_carbon_emissions_is_named_and_repaired(stage: Stage) -> None:
    original = records(stage.settings, topics.EMISSIONS, PARTITION)
    lost = origin_of(original[with_readings(original)[5]][2])
    new = copied(stage.settings, stage.tables, altering(topics.EMISSIONS, removed))
    sink_until(
        new, lambda: is_standing_still() and is_replayed(new, 1 - PARTITION), "one partition stands still"
    )
    assert not is_replayed(new, PARTITION)
    account = ledger(new, 1)
    assert not account["balanced"]
    [found] = account["breaks"]
    assert (found["hop"], found["partition"], found["from"], found["to"]) == (
        "converted",
        PARTITION,
        lost,
        lost,
    )
    assert [(g["from"], g["to"], g["readings"]) for g in repair(new, new_epoch=False)["gaps"]] == [
        (lost, lost, 2)
    ]
    sink_until(new, lambda: is_replayed(new), "the rest is stored")
    mended = ledger(new, 60)
    assert mended["balanced"], mended["differences"]
    assert mended["accepted"] == stage.said["last"]["accepted"]
    assert mended["rejected_by_code"]["missing_answer"] == 2
    assert rejects(new, Which(Outcome.MISSING_ANSWER))["readings"] == 1


def test_an_answer_doubled_in_carbon_emissions_changes_nothing(stage: Stage) -> None:
    new = copied(stage.settings, stage.tables, altering(topics.EMISSIONS, doubled))
    sink_until(new, lambda: is_replayed(new), "all of it is stored")
    assert figures(new) == figures(stage.settings)


def test_answers_swapped_in_carbon_emissions_are_named(stage: Stage) -> None:
    original = records(stage.settings, topics.EMISSIONS, PARTITION)
    first = origin_of(original[with_readings(original)[5]][2])
    new = copied(stage.settings, stage.tables, altering(topics.EMISSIONS, swapped))
    sink_until(
        new, lambda: is_standing_still() and is_replayed(new, 1 - PARTITION), "one partition stands still"
    )
    [found] = ledger(new, 1)["breaks"]
    assert (found["partition"], found["from"]) == (PARTITION, first)


def replayed(stage: Stage, alter: Callable[[str, int, Records], Records]) -> tuple[Settings, dict[str, Any]]:
    """meter.readings from the start through convert and sink of its own, into an empty database; and its ledger."""

    def readings_alone(topic: str, n: int, found: Records) -> Records:
        return [] if topic == topics.EMISSIONS else alter(topic, n, found)

    new = copied(stage.settings, stage.tables, readings_alone)
    with supervised(new, "timescale", "convert"):
        eventually(lambda: is_stored(new), "all of it is stored")
        return new, ledger(new, 60)


def test_meter_readings_replayed_into_an_empty_database_give_the_same(stage: Stage) -> None:
    new, account = replayed(stage, unaltered)
    assert figures(new) == figures(stage.settings)
    assert account["balanced"], account["differences"]
    assert account["accepted"] == stage.said["last"]["accepted"]


def test_frames_removed_doubled_and_swapped_in_meter_readings_are_named(stage: Stage) -> None:
    """Of the source's frames 0 to 7, each of two readings: 2 is gone, 4 comes twice, 7 before 6, which is taken."""
    original = records(stage.settings, topics.READINGS, PARTITION)
    last = original[with_readings(original)[7]][0]
    new, account = replayed(
        stage, altering(topics.READINGS, lambda found: swapped(doubled(removed(found, 2), 3), 6))
    )
    assert account["balanced"], account["differences"]
    sent = next(s for s in account["sent"] if s["source"] == SOURCE)
    named = [gap for gap in sent["gaps"] if gap["before"] <= last + 1]
    assert [(gap["partition"], gap["from"], gap["to"]) for gap in named] == [
        (PARTITION, n, n) for n in (2, 6)
    ]
    before = stage.said["last"]["rejected_by_code"]["duplicate"]
    assert account["rejected_by_code"]["duplicate"] == before + 2
    found = rejects(new, Which(Outcome.DUPLICATE), 10_000)["rejects"]
    assert len([r for r in found if r["offset"] <= last + 1 and r["partition"] == PARTITION]) == 2


def test_recreated_topics_open_a_new_epoch_and_the_ledger_goes_on(stage: Stage) -> None:
    settings = copied(stage.settings, stage.tables, unaltered)
    with supervised(settings, "timescale", "convert"):
        eventually(lambda: is_stored(settings), "all of it is stored")
    ledger(settings, 60)
    client = kafka.admin(settings)
    gone = [settings.topic(name) for name in (topics.READINGS, topics.EMISSIONS)]
    for future in client.delete_topics(gone).values():
        future.result(30)
    eventually(lambda: not kafka.topic_ids(settings, gone), "the topics are gone")
    create_topics(settings)
    with pytest.raises(LayoutChanged, match="repair"):
        sink_until(settings, lambda: False, "the sink stops")
    assert "remedy" in repair(settings, new_epoch=False)
    assert repair(settings, new_epoch=True)["new_epoch"]
    sender = Sender(settings)
    sender.seqs = dict.fromkeys(range(64), 1_000)
    sender.send(at(30, f"{A}/R", 150), at(30, f"{A}/I", 3))
    with supervised(settings, "timescale", "convert"):
        eventually(lambda: is_stored(settings), "the new epoch is stored")
        account = ledger(settings, 60)
    assert account["balanced"], account["differences"]
    [(quantity,)] = query(settings, "select quantity from reading r join meter m on m.number = r.meter "
                          "where meter_id = %s order by time desc limit 1", f"{A}/R")  # fmt: skip
    assert quantity == (150 - 140) * 80 * 1_000
