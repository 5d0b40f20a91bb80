"""Where a source's sequence numbers come from: growing per mode and shard, for ever, across every kind of
end.

The file holds, per mode and shard, a number that was never given out. While running it lies a block ahead of
what is given out, so a crash skips numbers and repeats none; a clean stop writes the exact next one. A
sequence without an entry (first use, or a lost state folder) starts at the clock: UTC ms << 10 stays above
everything sent before as long as a source sends less than 1,024 frames a millisecond, and below 2**53, JSON's
exact integers, until 2248.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path
from typing import Final
from urllib.parse import quote

import orjson

from carbonstream.schemas.codes import Mode
from carbonstream.schemas.errors import NotReady, SourceInUse

# One fsync (1-5 ms) in 1,000 frames of 500 readings is nothing; a crash skips at most this many numbers.
BLOCK: Final = 1_000
CLOCK_SHIFT: Final = 10
FOLDER_CHARACTERS: Final = 200  # file systems take 255 bytes
MAX_SOURCE_CHARACTERS: Final = 200  # as schemas.frames has it


def source_folder(state_dir: Path, source: str) -> Path:
    """Where a source keeps what it must not forget; created by its SequenceStore."""
    name = quote(
        source, safe=""
    )  # nine letters for a Chinese one: a file's name of 27 would be too long for a folder
    if len(name) > FOLDER_CHARACTERS:
        name = f"{name[:FOLDER_CHARACTERS]}-{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    return state_dir / f"source-{name}"


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file whole or not at all; on return it survives a power cut."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class SequenceStore:
    """Sequence numbers of one source, held by one process at a time. Not thread-safe.

    now_ms: UTC ms, where new sequences start. Raises SourceInUse while another process holds the source,
    NotReady when the file cannot be read, or for a name that no frame may bear.
    """

    def __init__(self, state_dir: Path, source: str, now_ms: int) -> None:
        if not (source.isprintable() and 0 < len(source) <= MAX_SOURCE_CHARACTERS):
            raise NotReady(
                f"source {source[:60]!r}: name it with 1 to {MAX_SOURCE_CHARACTERS} printable characters"
            )
        self.source = source
        self.folder = source_folder(state_dir, source)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._first = now_ms << CLOCK_SHIFT
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
            os.close(self._lock)
            raise SourceInUse(
                f"source {source!r} is in use by process {holder or 'unknown'} ({self.folder}); "
                "stop that one, or give this one another source name"
            ) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, b"%d\n" % os.getpid(), 0)
        self._file = self.folder / "sequence.json"
        try:
            self._reserved = self._read()
        except NotReady:
            os.close(self._lock)
            raise
        self._next = dict(self._reserved)

    def _read(self) -> dict[str, int]:
        try:
            found = orjson.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except orjson.JSONDecodeError as error:
            raise NotReady(
                f"{self._file} is damaged ({error}); delete it: sequences then start above all sent before"
            ) from error
        return {str(key): int(seq) for key, seq in found.items()}

    def take(self, mode: Mode, shard: int, count: int = 1) -> int:
        """The first of `count` consecutive numbers that nobody was given before."""
        key = f"{mode.value}/{shard}"
        seq = self._next.get(key, self._first)
        self._next[key] = seq + count
        if self._next[key] > self._reserved.get(key, 0):
            self._reserved[key] = self._next[key] + BLOCK - 1
            write_durably(self._file, orjson.dumps(self._reserved))
        return seq

    def close(self) -> None:
        """Write the exact next numbers and let the source go."""
        write_durably(self._file, orjson.dumps(self._next))
        os.close(self._lock)  # which releases the flock
