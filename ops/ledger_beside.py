"""What the ledger tells beside the hops it balances: numbers sources gave, refusals at the edge, estimates."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any, Final

import psycopg

from carbonstream.processors.ledger import ELECTRICITY
from carbonstream.processors.total_records import EXACT, exact
from carbonstream.schemas.codes import Grain

SEQUENCES: Final = "select s.key from ledger_position, jsonb_object_keys(sequences) as s (key)"
GAPS: Final = """
select source, mode, shard, first_seq, last_seq, partition, source_offset, day from ledger_gap
order by source, mode, shard, first_seq
"""
REFUSED: Final = "select source, code, day, requests from edge_refusal order by day, source, code"
# Months say which sites have estimates, so that the hours of all others are not looked at.
ESTIMATED: Final = """
select s.site_id, (h.bucket at time zone 'Asia/Shanghai')::date, sum(h.estimated)::bigint
from (select distinct entity, bucket, class, carrier, shard from total_period
      where grain = %s and carrier = %s and estimated <> 0) p
join site s on s.entity = p.entity
join total_hour h on h.entity = p.entity and h.class = p.class and h.carrier = p.carrier and h.shard = p.shard
  and h.bucket >= p.bucket and h.bucket < (p.bucket at time zone 'Asia/Shanghai' + interval '1 month') at time zone
    'Asia/Shanghai'
where h.estimated <> 0 group by 1, 2 order by 1, 2
"""


def kwh(wh: int) -> str:
    """Wh as an exact decimal of kWh."""
    return exact(EXACT.scaleb(Decimal(wh), -3))


def beside_the_lines(connection: psycopg.Connection) -> dict[str, Any]:
    """`sent`, `refused_at_edge` and `estimated`, in the caller's snapshot."""
    estimated = connection.execute(ESTIMATED, (int(Grain.MONTH), ELECTRICITY)).fetchall()
    return {
        "sent": _sent(connection),
        "refused_at_edge": [
            {"source": source, "code": code, "day": str(day), "requests": requests}
            for source, code, day, requests in connection.execute(REFUSED)
        ],
        "estimated": {
            "kwh": kwh(sum(wh for *_, wh in estimated)),
            "by": [{"site": site, "day": str(day), "kwh": kwh(wh)} for site, day, wh in estimated],
        },
    }


def _sent(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """By source and mode: how many shards it sends to, and which of its numbers are not in their place.

    A number that is missing names a frame that Kafka never got, or one that a source skipped when it was killed.
    """
    shards: defaultdict[tuple[str, str], int] = defaultdict(int)
    gaps: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for (key,) in connection.execute(SEQUENCES):
        source, mode, _ = key.rsplit("|", 2)
        shards[source, mode] += 1
    for source, mode, shard, first, last, partition, offset, day in connection.execute(GAPS):
        gaps[source, mode].append(
            {
                "shard": shard,
                "from": first,
                "to": last,
                "partition": partition,
                "before": offset,
                "day": str(day),
            }
        )
    return [
        {
            "source": source,
            "mode": mode,
            "shards": shards[source, mode],
            "missing_frames": sum(gap["to"] - gap["from"] + 1 for gap in gaps[source, mode]),
            "gaps": gaps[source, mode],
        }
        for source, mode in sorted(shards.keys() | gaps.keys())
    ]
