"""Where a site's readings go. The one place that turns a site into a shard and a shard into a partition."""

from __future__ import annotations

import re
import zlib
from typing import Final

from carbonstream.schemas.codes import Edge
from carbonstream.schemas.errors import InvalidReading

# Of a site or a meter: what can be registered, keyed and listed. Others are refused where they come in.
ID: Final = re.compile(r"[^\s|,;]{1,150}")
SHARDS: Final = 64  # for ever: part of every meter number and every total's key


def site_of(meter_id: str) -> str:
    """The site is all before the last slash of SITE/METER.

    Raises InvalidReading where there is none: without a site an unknown meter would have no shard.
    """
    site, slash, meter = meter_id.rpartition("/")
    if not slash or not site or not meter:
        raise InvalidReading("meter", Edge.METER, f"{meter_id!r} is not SITE/METER, e.g. 330502-0001/E01")
    return site


def shard_of(site_id: str) -> int:
    """CRC-32 (IEEE 802.3) of the site's UTF-8 bytes, mod 64: the same in every language."""
    return zlib.crc32(site_id.encode()) % SHARDS


def partition_of(shard: int, partitions: int) -> int:
    """Every producer passes this explicitly: librdkafka and aiokafka hash keys differently."""
    return shard % partitions


def meter_number(shard: int, slot: int) -> int:
    """A meter's dense number: its slot within the shard, and the shard in the low six bits."""
    return slot * SHARDS + shard
