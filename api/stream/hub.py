"""Between the feed's thread and the clients: publishes batches into the ring and wakes those they concern."""

from __future__ import annotations

import asyncio
from typing import Final

from prometheus_client import Gauge

from carbonstream.api.stream.events import Record, meaning_of
from carbonstream.api.stream.positions import Layout, Vector, reaches
from carbonstream.api.stream.ring import Filter, Ring
from carbonstream.api.stream.subscription import Chunk, Subscription

CLIENTS: Final = Gauge("carbonstream_stream_clients", "Open event streams")
# A send takes about 50 us; batches this far apart per client keep sending at a quarter of one core.
WINDOW_PER_CLIENT_S: Final = 0.000_2
WINDOW_LEAST_S: Final = 0.02


class Hub:
    """Lives on the event loop; the feed calls `restart` and `publish` through call_soon_threadsafe.

    `kafka`: the brokers answer. `positioned`: set once the ring's history is read and clients may come in.
    """

    def __init__(self) -> None:
        self.kafka = False
        self.positioned = asyncio.Event()
        self.closed = asyncio.Event()
        self.ring = Ring(Layout((), (), ()), ())  # until Kafka tells what there is
        self._ends: Vector = ()
        self._everyone: set[Subscription] = set()
        self._all_entities: set[Subscription] = set()
        self._by_entity: dict[str, set[Subscription]] = {}
        self._chunks: dict[tuple[int, Filter], Chunk] = {}

    @property
    def window_s(self) -> float:
        """How long the feed gathers records before it publishes them."""
        return WINDOW_LEAST_S + WINDOW_PER_CLIENT_S * len(self._everyone)

    def restart(self, layout: Layout, starts: Vector, ends: Vector) -> None:
        """Begin anew at `starts`; what lies before `ends` is history. Clients of before are told to
        reload.
        """
        self.ring = Ring(layout, starts, self.ring.head)
        self._ends = ends
        self._chunks.clear()
        self.positioned.clear()
        for client in self._everyone:
            client.pending = client.skip = None
        self._open_when_read()

    def publish(self, records: list[Record], reached: list[tuple[int, int]]) -> None:
        """Take in records in order. `reached`: (slot, offset) where the log's end was met without a
        record.
        """
        ring = self.ring
        if records:
            self._chunks.clear()
        for record in records:
            event = ring.append(record, meaning_of(record))
            if event is None or not self.positioned.is_set():
                continue
            for client in self._by_entity.get(event.entity, ()):
                if event.topic in client.wanted.topics:
                    client.notice(event)
            for client in self._all_entities:
                if client.pending is None and event.topic in client.wanted.topics:
                    client.notice(event)
        if not self.positioned.is_set():
            # the last records before an end may be a transaction's markers, which are never delivered
            met = dict(reached)
            self._ends = tuple(0 if met.get(slot, -1) >= end else end for slot, end in enumerate(self._ends))
            self._open_when_read()

    def add(self, client: Subscription) -> None:
        """Let a client in; it hears of every event from now on."""
        self._everyone.add(client)
        CLIENTS.set(len(self._everyone))
        if not client.wanted.entities:
            self._all_entities.add(client)
        for entity in client.wanted.entities:
            self._by_entity.setdefault(entity, set()).add(client)

    def remove(self, client: Subscription) -> None:
        """The client has gone."""
        self._everyone.discard(client)
        CLIENTS.set(len(self._everyone))
        self._all_entities.discard(client)
        for entity in client.wanted.entities:
            of_entity = self._by_entity.get(entity)
            if of_entity is not None:
                of_entity.discard(client)
                if not of_entity:
                    del self._by_entity[entity]

    def take(self, client: Subscription) -> bytes:
        """What to send this client next; b"" where there is nothing."""
        return client.take(self.ring, self._chunks)

    def close(self) -> None:
        """End all streams; the browsers come back by themselves."""
        self.closed.set()
        self.positioned.set()
        for client in self._everyone:
            client.wake.set()

    def _open_when_read(self) -> None:
        if reaches(self.ring.vector, self._ends):
            self.positioned.set()
            for client in self._everyone:  # those of before a restart
                client.lost = "the topics were recreated, or records expired before they were read"
                client.wake.set()
