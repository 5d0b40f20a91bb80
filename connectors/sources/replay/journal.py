"""What a source remembers of each file it replays: before the first frame is sent, and when the last is
acknowledged.

A file is known by the sha256 of its uncompressed content. Between the two entries Kafka itself says how far a
replay came: `held` looks for its frames there, so a replay killed at any instant neither repeats nor skips
one.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.sequence import write_durably
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.frames import TYPE_READINGS
from carbonstream.schemas.settings import Settings

# framing.frame_id, of a source of that name: what others write into the topic may have any id
OF_FRAME: Final = re.compile(rb"(?P<mode>[a-z]+)/(?P<shard>[0-9]{1,4})/(?P<seq>[0-9]{1,19})")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file's replay."""

    file: str  # its name, for people
    topic_id: str  # of meter.readings: in a recreated topic nothing of the file is left
    options: dict[str, Any]  # all that its frames depend on
    sent: int  # UTC ms, stamped on every frame
    first_seq: dict[str, int]  # shard -> seq of its first frame
    offsets: dict[str, int]  # partition -> where it ended before the first frame
    done: bool = False


def find(folder: Path, sha256: str) -> Entry | None:
    """What is known of a file; None where it is new."""
    try:
        return Entry(**orjson.loads(_path(folder, sha256).read_bytes()))
    except FileNotFoundError:
        return None


def write(folder: Path, sha256: str, entry: Entry) -> None:
    """Remember, durably."""
    path = _path(folder, sha256)
    path.parent.mkdir(exist_ok=True)
    write_durably(path, orjson.dumps(asdict(entry), option=orjson.OPT_INDENT_2))


def unfinished(folder: Path, topic_id: str) -> str | None:
    """Name of a file whose replay into this topic has begun and not ended."""
    for path in sorted((folder / "files").glob("*.json")):
        entry = Entry(**orjson.loads(path.read_bytes()))
        if not entry.done and entry.topic_id == topic_id:
            return entry.file
    return None


def _path(folder: Path, sha256: str) -> Path:
    return folder / "files" / f"{sha256}.json"


def partition_ends(settings: Settings) -> dict[str, int]:
    """Where each partition of meter.readings ends now."""
    consumer = kafka.reader(settings)
    try:
        topic = settings.topic(topics.READINGS)
        count = settings.partitions_of(topics.READINGS)
        return {str(p): kafka.end_offsets_of(consumer, topic, p)[1] for p in range(count)}
    finally:
        consumer.close()


def held(settings: Settings, source: str, mode: Mode, entry: Entry) -> dict[int, int]:
    """Highest seq of this replay that Kafka holds, by shard. Each shard's frames go in order and without gaps
    (kafka.GAPLESS), so all below are there too."""
    highest: dict[int, int] = {}
    consumer = kafka.reader(settings)
    try:
        topic = settings.topic(topics.READINGS)
        for partition, since in entry.offsets.items():
            first, end = kafka.end_offsets_of(consumer, topic, int(partition))
            for message in kafka.read_range(consumer, topic, int(partition), max(first, since), end):
                headers: Any = message.headers() or ()
                found = dict(headers)
                if (
                    kafka.type_of(headers) != TYPE_READINGS
                    or _bytes(found.get("ce_source")) != source.encode()
                ):
                    continue
                of = OF_FRAME.fullmatch(_bytes(found.get("ce_id")))
                if of is None or of["mode"].decode() != mode:
                    continue
                shard, seq = of["shard"].decode(), int(of["seq"])
                if seq >= entry.first_seq.get(shard, 1 << 62):
                    highest[int(shard)] = max(seq, highest.get(int(shard), -1))
    finally:
        consumer.close()
    return highest


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
