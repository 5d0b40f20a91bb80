"""A body is held in memory within limits only, however it is sent."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.connectors.sources.http.body import MAX_BYTES, read_body
from carbonstream.connectors.sources.http.problems import Refused
from carbonstream.schemas.codes import Edge


def read(chunks: list[bytes], encoding: str = "", length: str | None = None) -> tuple[bytes, int]:
    """The body, and how many chunks were asked for."""
    asked = 0

    async def sent() -> AsyncIterator[bytes]:
        nonlocal asked
        for chunk in chunks:
            asked += 1
            yield chunk

    try:
        return asyncio.run(read_body(sent(), encoding, length)), asked
    except Refused as refusal:
        refusal.add_note(str(asked))
        raise


def code(chunks: list[bytes], encoding: str = "", length: str | None = None) -> tuple[Edge, int]:
    with pytest.raises(Refused) as refusal:
        read(chunks, encoding, length)
    return refusal.value.faults[0].code, int(refusal.value.__notes__[0])


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 50), st.booleans())
def test_gzip_in_any_pieces_gives_what_was_packed(members: list[bytes], size: int, empty_last: bool) -> None:
    packed = b"".join(gzip.compress(member) for member in members) or gzip.compress(b"")
    pieces = [packed[i : i + size] for i in range(0, len(packed), size)]
    assert read(pieces + [b""] * empty_last, "gzip")[0] == b"".join(members)


def test_a_long_body_is_refused_before_it_is_read() -> None:
    assert code([b"x"], length=str(MAX_BYTES + 1)) == (Edge.TOO_LARGE, 0)


def test_a_body_without_a_length_is_read_no_further_than_the_limit() -> None:
    mega = b"x" * (1 << 20)
    assert len(read([mega] * 4)[0]) == MAX_BYTES
    assert code([mega] * 100) == (Edge.TOO_LARGE, 5)


def test_a_small_gzip_that_unpacks_to_much_is_refused() -> None:
    bomb = gzip.compress(bytes(200 << 20))
    assert len(bomb) < MAX_BYTES
    assert code([bomb[i : i + 4_096] for i in range(0, len(bomb), 4_096)], "gzip")[0] is Edge.TOO_LARGE
    assert code([gzip.compress(b"x" * (1 << 20)) * 5], "gzip")[0] is Edge.TOO_LARGE


@pytest.mark.parametrize("chunks", [[b"{}"], [gzip.compress(b"{}")[:-4]], [gzip.compress(b"{}"), b"{}"], []])
def test_damaged_gzip_is_not_readable(chunks: list[bytes]) -> None:
    assert code(chunks, "gzip")[0] is Edge.NOT_JSON


def test_other_encodings_are_refused() -> None:
    assert code([zlib.compress(b"{}")], "deflate") == (Edge.MEDIA_TYPE, 0)
