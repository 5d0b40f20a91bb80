"""Send a file: every frame once, in order, however often the process dies."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.clock import wall_ms
from carbonstream.connectors.sources.framing import Columns, Stamp
from carbonstream.connectors.sources.instants import check_span
from carbonstream.connectors.sources.replay import journal
from carbonstream.connectors.sources.replay.formats import Format, parse, uncompressed
from carbonstream.connectors.sources.replay.plan import Piece, frames_by_shard, pieces
from carbonstream.connectors.sources.replay.sending import Pace, Progress, Sending
from carbonstream.connectors.sources.sequence import SequenceStore
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.errors import InvalidReading, LayoutChanged, LoadRefused, NotReady
from carbonstream.schemas.periods import DAY_MS
from carbonstream.schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """How to send a file."""

    source: str
    format: Format = Format.CSV
    meter: str | None = None  # for formats without a meter column
    shift_days: int = 0
    mode: Mode = Mode.BACKFILL
    speed: float = 0.0  # multiple of event time; 0: as fast as it goes
    tick_s: int | None = None  # virtual time: a tick every so many seconds of event time; None: no ticks

    def slot_ms(self) -> int | None:
        """Event time that is sent in one go: a tick's, or one wall second's at a finite speed."""
        if self.tick_s is not None:
            return self.tick_s * 1_000
        return max(int(self.speed * 1_000), 1) if self.speed else None


@dataclass(frozen=True, slots=True)
class Report:
    """What a replay did. Times in UTC ms, after the shift."""

    source: str
    sha256: str
    already_sent: bool
    readings: int = 0  # of the file
    frames: int = 0  # of the file
    frames_sent: int = 0  # by this run; the rest an earlier one had sent
    first_end: int = 0
    last_end: int = 0
    seconds: float = 0.0


def replay(
    settings: Settings,
    path: Path,
    options: Options,
    *,
    progress: Progress = lambda _done, _all: None,
    stop: threading.Event | None = None,
    now_ms: Callable[[], int] = wall_ms,
) -> Report:
    """Send a file once. A second call for the same content under the same source sends nothing; to send it
    again name another source. A replay that died goes on with the first frame Kafka does not hold.

    Returns when Kafka has acknowledged every frame, or `stop` is set (the next call goes on). Raises
    LoadRefused (nothing was sent), SourceInUse, LayoutChanged, and NotReady when Kafka does not answer: call
    again to go on.
    """
    began = time.monotonic()
    content = uncompressed(path.read_bytes())
    sha256 = hashlib.sha256(content).hexdigest()
    topic_id = _topic_id(settings)
    store = SequenceStore(settings.state_dir, options.source, now_ms())
    try:
        entry = journal.find(store.folder, sha256)
        if entry is not None and entry.topic_id != topic_id:
            entry = None
        if entry is not None and entry.done:
            return Report(options.source, sha256, already_sent=True)
        columns = shifted(parse(content, options.format, options.meter), options.shift_days)
        planned = pieces(columns, options.slot_ms())
        held: dict[int, int] = {}
        if entry is None:
            entry = _begin(settings, store, path, sha256, topic_id, options, planned, now_ms())
        else:
            if entry.options != _frame_options(options):
                raise NotReady(
                    f"{path} was begun under source {options.source!r} with {entry.options}: "
                    "finish it with the same options, or name another source"
                )
            held = journal.held(settings, options.source, options.mode, entry)
        sending = Sending(
            settings,
            Stamp(options.source, options.mode, entry.sent),
            {int(shard): seq for shard, seq in entry.first_seq.items()},
            Pace(options.slot_ms(), options.speed, options.tick_s is not None),
            progress,
            stop or threading.Event(),
        )
        if sending.run(columns, planned, held):
            journal.write(store.folder, sha256, replace(entry, done=True))
        return Report(
            options.source,
            sha256,
            already_sent=False,
            readings=len(columns),
            frames=len(planned),
            frames_sent=sending.frames,
            first_end=int(columns.end.min()),
            last_end=int(columns.end.max()),
            seconds=time.monotonic() - began,
        )
    finally:
        store.close()


def shifted(columns: Columns, days: int) -> Columns:
    """All times moved by whole days. Raises LoadRefused where that leads out of what a time may be."""
    for name, at in (("first", int(columns.end.min())), ("last", int(columns.end.max()))):
        try:
            check_span("time", at + days * DAY_MS)
        except InvalidReading as error:
            raise LoadRefused([f"--shift-days {days}: of the {name} reading {error}"]) from error
    start = None if columns.start is None else columns.start + days * DAY_MS
    return replace(columns, start=start, end=columns.end + days * DAY_MS)


def _topic_id(settings: Settings) -> str:
    name = settings.topic(topics.READINGS)
    found = kafka.topic_ids(settings, [name]).get(name)
    if found is None:
        raise NotReady(f"topic {name} does not exist; create the topics with `carbonstream topics`")
    topic_id, partitions = found
    if partitions != settings.partitions_of(topics.READINGS):
        raise LayoutChanged(
            f"{name} has {partitions} partitions, CARBONSTREAM_PARTITIONS says {settings.partitions}; "
            "set it to what the topic has"
        )
    return topic_id


def _frame_options(options: Options) -> dict[str, Any]:
    return {
        "format": options.format.value,
        "meter": options.meter,
        "shift_days": options.shift_days,
        "mode": options.mode.value,
        "slot_ms": options.slot_ms(),
    }


def _begin(
    settings: Settings,
    store: SequenceStore,
    path: Path,
    sha256: str,
    topic_id: str,
    options: Options,
    planned: list[Piece],
    now: int,
) -> journal.Entry:
    other = journal.unfinished(store.folder, topic_id)
    if other is not None:
        raise NotReady(
            f"source {options.source!r} has not finished {other}, and its sequence cannot go back: "
            "finish that file first, or name another source for this one"
        )
    offsets = journal.partition_ends(settings)
    first_seq = {
        str(shard): store.take(options.mode, shard, count)
        for shard, count in frames_by_shard(planned).items()
    }
    entry = journal.Entry(path.name, topic_id, _frame_options(options), now, first_seq, offsets)
    journal.write(store.folder, sha256, entry)
    return entry
