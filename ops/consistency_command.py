"""`carbonstream consistency`: the indicators of T/CES 6.4.3 and their checks, computed now."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Annotated, Any, Final

import numpy as np
import psycopg
import typer

from carbonstream.schemas.codes import Grain
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.periods import SHANGHAI, bucket_start, local_iso, to_ms
from carbonstream.schemas.settings import Settings, settings

EVERYTHING: Final = "region:CN"
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]


def consistency(
    entity: Annotated[
        str, typer.Option(help="region:CODE, enterprise:ID, park:ID or site:ID; default everything")
    ] = EVERYTHING,
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="local day; default that of the clock")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The consistency indicators of a day and the sum checks behind them; exit 1 when a target is missed."""
    result = compute_now(settings(), entity, day.date() if day is not None else None)
    if as_json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        print(as_text(result))
    missed = [i for i in (*result["indicators"], *result["checks"]) if i["met"] is False]
    raise typer.Exit(1 if missed else 0)


def compute_now(config: Settings, entity: str, day: date | None) -> dict[str, Any]:
    """Read and compute one day in one snapshot; writes nothing.

    Raises typer.BadParameter for an unknown entity or a day to come, NotReady before the first tick is stored.
    """
    from carbonstream.connectors.database import connect
    from carbonstream.processors.consistency_warnings import is_closed
    from carbonstream.streams.consistency import measures_of
    from carbonstream.streams.warn_totals import stored_clock

    with connect(config, application="consistency command") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        now = stored_clock(connection, config.partitions)
        if now <= 0:
            raise NotReady("no tick is stored yet: start the services with `carbonstream up`")
        found = connection.execute("select number, kind from entity where id = %s", (entity,)).fetchone()
        if found is None or found[1] not in {"site", "enterprise", "park", "region"}:
            raise typer.BadParameter(
                f"{entity!r} is no site, enterprise, park or region that is loaded", param_hint="--entity"
            )
        number, kind = found
        start = int(bucket_start(Grain.DAY, np.array([now]))[0])
        if day is not None:
            start = to_ms(datetime(day.year, day.month, day.day, tzinfo=SHANGHAI))
        if start >= now:
            raise typer.BadParameter(
                f"{day} is still to come: the clock stands at {local_iso(now)}", param_hint="--day"
            )
        measured, checks = measures_of(connection, start, now, [number] if kind == "site" else ())
    shown = [
        {
            "indicator": m.indicator.id,
            "name_zh": m.indicator.name_zh,
            "name_en": m.indicator.name_en,
            "part": str(m.part),
            "whole": str(m.whole),
            "value": None if m.value is None else str(m.value),
            "unit": m.indicator.unit,
            "aim": m.indicator.aim.value,
            "target": str(m.indicator.target),
            "met": m.met,
            "clause": f"T/CES {m.indicator.clause}",
        }
        for m in measured
        if m.entity == number
    ]
    return {
        "entity": entity,
        "day": local_iso(start)[:10],
        "at": local_iso(now),
        "closed": is_closed(start, now),
        "indicators": [i for i in shown if i["clause"] == "T/CES 6.4.3"],
        "checks": [i for i in shown if i["clause"] != "T/CES 6.4.3"],
        "sum_checks": [
            {
                "parent": parent,
                "supplied": str(check.supplied),
                "accounted": str(check.accounted),
                "difference": str(check.supplied - check.accounted),
                "children": check.children,
                "verdict": check.verdict.value,
            }
            for parent, check in sorted(checks.items())
        ],
    }


def as_text(result: dict[str, Any]) -> str:
    """For people: one line an indicator, what is missed marked."""
    signs = {"at_least": ">=", "at_most": "<=", "below": "<"}
    lines = [
        f"{result['entity']}, {result['day']}{'' if result['closed'] else ' so far'} (at {result['at']})"
    ]
    for i in (*result["indicators"], *result["checks"]):
        value = "nothing to judge" if i["value"] is None else f"{i['value']} {i['unit']}"
        mark = "MISSED" if i["met"] is False else ""
        aim = f"{signs[i['aim']]} {i['target']} {i['unit']}"
        lines.append(f"  {i['name_zh']} {i['name_en']:<36} {value:>18}  {aim:<10} {mark}".rstrip())
    lines += [
        f"  {c['parent']}: {c['verdict']}; supplied {c['supplied']}, accounted {c['accounted']} (1/1000)"
        for c in result["sum_checks"]
    ]
    return "\n".join(lines)
