"""Clients that leave and come back, to processes that read the same log in different orders."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.api.stream.events import STREAMED, Record, meaning_of
from carbonstream.api.stream.positions import Layout, Vector
from carbonstream.api.stream.resume import Way, way_to
from carbonstream.api.stream.ring import Filter, Ring
from carbonstream.api.stream.subscription import Chunk, Subscription
from carbonstream.schemas.topics import TOTALS, WARNINGS

LAYOUT = Layout(STREAMED, ("aa-_", "bb"), (2, 2))
ENTITIES = ("enterprise:a", "enterprise:b", "enterprise:c")
Logs = list[list[Record]]


def record(slot: int, offset: int, entity: str, version: int) -> Record:
    """Slots 0 and 1 are of totals, 2 and 3 of warnings."""
    topic = TOTALS if slot < 2 else WARNINGS
    value = orjson.dumps({"entity": entity, "slot": slot, "version": version})
    return Record(slot, topic, offset, f"{entity}|{slot}".encode(), value, "")


@st.composite
def logs(draw: st.DrawFn) -> Logs:
    """Records of each slot; offsets have gaps where a transaction's markers were."""
    made: Logs = []
    for slot in range(4):
        offset, of_slot = 0, []
        for version in range(draw(st.integers(0, 12))):
            of_slot.append(record(slot, offset, draw(st.sampled_from(ENTITIES)), version))
            offset += draw(st.integers(1, 2))
        made.append(of_slot)
    return made


@dataclass
class Process:
    """One API process: its ring, and what of the logs it has not read yet."""

    left: Logs
    ring: Ring = field(default_factory=lambda: Ring(LAYOUT, (0, 0, 0, 0)))

    def read(self, slot: int, clients: list[Subscription]) -> None:
        if self.left[slot]:
            one = self.left[slot].pop(0)
            event = self.ring.append(one, meaning_of(one))
            for client in clients:
                if event is not None and client.wanted.wants(event.topic, event.entity):
                    client.notice(event)


@dataclass
class Browser:
    """Remembers the last id as EventSource does, and everything it heard."""

    last_id: str | None = None
    heard: list[tuple[int, str, int]] = field(default_factory=list)

    def hear(self, wire: bytes, at_most: int) -> None:
        """Events whose last byte came; the rest of a cut connection is lost."""
        for event in wire.decode().split("\n\n")[:-1][:at_most]:
            fields = dict(line.split(": ", 1) for line in event.split("\n"))
            content = orjson.loads(fields["data"])
            self.heard.append((content["slot"], content["entity"], content["version"]))
            self.last_id = fields["id"]


@given(st.data(), logs(), st.frozensets(st.sampled_from(ENTITIES)))
def test_nothing_is_lost_or_heard_twice_whatever_the_order_and_the_cuts(
    data: st.DataObject, written: Logs, entities: frozenset[str]
) -> None:
    wanted = Filter(frozenset(STREAMED), entities)
    browser = Browser()
    for last in (False, False, False, True):
        process = Process([list(log) for log in written])
        shared: dict[tuple[int, Filter], Chunk] = {}
        order = data.draw(st.permutations([slot for slot in range(4) for _ in written[slot]]))
        come = data.draw(st.integers(0, len(order)))
        for slot in order[:come]:
            process.read(slot, [])
        at = (0, 0, 0, 0) if browser.last_id is None else LAYOUT.decode(browser.last_id)
        client = Subscription(wanted, at)
        assert way_to(at, process.ring) is Way.RING
        client.resume_at(at, process.ring)
        for slot in order[come:]:
            process.read(slot, [client])
            shared.clear()
            if data.draw(st.booleans()):
                browser.hear(client.take(process.ring, shared), 1_000)
        cut = 1_000 if last else data.draw(st.integers(0, 5))
        browser.hear(client.take(process.ring, shared), cut)
    expected = {
        (r.slot, orjson.loads(r.value or b"")["entity"], orjson.loads(r.value or b"")["version"])
        for log in written
        for r in log
    }
    due = {e for e in expected if not entities or e[1] in entities}
    assert len(browser.heard) == len(set(browser.heard)), "heard twice"
    assert {e for e in browser.heard if e[0] >= 2} == {e for e in due if e[0] >= 2}, "a warning is missing"
    newest = {
        (slot, entity): max(v for s, e, v in due if (s, e) == (slot, entity)) for slot, entity, _ in due
    }
    told = {(slot, entity): version for slot, entity, version in browser.heard}
    assert told == newest, "the newest total of a key comes last"


@given(logs(), st.integers(1, 20))
def test_the_ring_holds_every_record_from_its_floor_on(written: Logs, capacity: int) -> None:
    ring = Ring(LAYOUT, (0, 0, 0, 0), capacity=capacity)
    everything = [r for log in written for r in log]
    for one in everything:
        ring.append(one, meaning_of(one))
    held = {(e.slot, e.offset) for e in ring.since(ring.tail, Filter(frozenset([WARNINGS]), frozenset()))}
    assert held == {(r.slot, r.offset) for r in everything if r.slot >= 2 and r.offset >= ring.floor[r.slot]}
    assert ring.head - ring.tail <= capacity


offsets = st.integers(0, 1 << 62)


@given(st.tuples(offsets, offsets, offsets, offsets))
def test_an_event_id_says_exactly_where_it_stands(vector: Vector) -> None:
    assert LAYOUT.decode(LAYOUT.encode(vector)) == vector


@given(logs(), st.data())
def test_the_position_in_a_topic_moves_with_what_is_told_on_it_alone(log: Logs, data: st.DataObject) -> None:
    process = Process([list(of_slot) for of_slot in log])
    while unread := [slot for slot, left in enumerate(process.left) if left]:
        slot = data.draw(st.sampled_from(unread))
        totals, warnings = process.ring.heard(TOTALS), process.ring.heard(WARNINGS)
        process.read(slot, [])
        assert (process.ring.heard(TOTALS) != totals) == (slot < 2)
        assert (process.ring.heard(WARNINGS) != warnings) == (slot >= 2)
