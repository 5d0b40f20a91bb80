"""A request's body within limits: it is never held in memory beyond them, compressed or not, however it is
sent.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Final

from carbonstream.connectors.sources.http.problems import refused
from carbonstream.schemas.codes import Edge

MAX_BYTES: Final = 4 << 20  # 10,000 readings of 100-byte ids are 2 MB of JSON
READ_TIMEOUT_S: Final = 30.0  # a slow sender keeps one of the few places that requests have
TOO_LARGE: Final = f"more than {MAX_BYTES} bytes (uncompressed); send it in several requests"
GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


async def read_body(chunks: AsyncIterator[bytes], encoding: str, content_length: str | None) -> bytes:
    """The whole body, uncompressed.

    encoding: the Content-Encoding header's value. Raises Refused as soon as a limit is passed, without
    reading on.
    """
    if encoding not in ("", "identity", "gzip"):
        raise refused("Content-Encoding", Edge.MEDIA_TYPE, f"{encoding!r} is not taken; send gzip, or plain")
    if content_length is not None and content_length.isdecimal() and int(content_length) > MAX_BYTES:
        raise refused("body", Edge.TOO_LARGE, TOO_LARGE)
    unpack = Gunzip() if encoding == "gzip" else None
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            async for chunk in chunks:
                part = chunk if unpack is None else unpack.feed(chunk, MAX_BYTES - size + 1)
                size += len(part)
                if size > MAX_BYTES:
                    raise refused("body", Edge.TOO_LARGE, TOO_LARGE)
                parts.append(part)
    except TimeoutError as error:
        raise refused(
            "body", Edge.TOO_SLOW, f"not here after {READ_TIMEOUT_S:.0f} s; send it anew"
        ) from error
    if unpack is not None:
        unpack.finish()
    return b"".join(parts)


class Gunzip:
    """Unpacks gzip as it comes, members one after another."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(GZIP_WINDOW)

    def feed(self, packed: bytes, at_most: int) -> bytes:
        """What `packed` unpacks to, cut off after `at_most` bytes. Raises Refused for damaged data."""
        out = bytearray()
        try:
            while packed and len(out) < at_most:
                out += self._member.decompress(packed, at_most - len(out))
                packed = self._member.unconsumed_tail
                if self._member.eof:
                    packed = self._member.unused_data
                    if packed:
                        self._member = zlib.decompressobj(GZIP_WINDOW)
        except zlib.error as error:
            raise refused("body", Edge.NOT_JSON, f"damaged gzip data ({error}); compress it again") from error
        return bytes(out)

    def finish(self) -> None:
        """Raise Refused where the data ended before they were complete."""
        if not self._member.eof:
            raise refused("body", Edge.NOT_JSON, "the gzip data end too early; compress it again")
