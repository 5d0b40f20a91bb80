"""`carbonstream totals`, `explain`, `periods`: figures, where they come from, and those that were reported."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from carbonstream.schemas.errors import CarbonstreamError
from carbonstream.schemas.settings import settings

if TYPE_CHECKING:
    from carbonstream.api.services import Services

T = TypeVar("T")
periods = typer.Typer(no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]
AsOf = Annotated[
    str, typer.Option("--as-of", help="as it was known then, e.g. 2026-01-31 or an instant with offset")
]
Indicator = Annotated[str, typer.Option(help="co2 or energy")]


def totals(
    entity: Annotated[str, typer.Argument(help="e.g. enterprise:ENT-1")],
    grain: Annotated[str, typer.Option(help="hour, day, month, quarter or year")] = "month",
    from_: Annotated[str, typer.Option("--from", help="e.g. 2024 or 2024-03-05")] = "",
    to: str = "",
    as_of: AsOf = "",
    as_json: AsJson = False,
) -> None:
    """An entity's quantities, CO2 and standard coal by period, as the API tells them."""
    from carbonstream.api.totals import TotalsQuery, read_totals

    query = _query(
        TotalsQuery, entity=entity, grain=grain, **{"from": from_ or None}, to=to or None, as_of=as_of or None
    )
    result = _run(lambda here: read_totals(query, here)).model_dump(exclude_unset=True)
    if as_json:
        print(json.dumps(result, ensure_ascii=False))
        return
    for bucket in result["buckets"]:
        co2, kgce = (bucket[name] or "unknown" for name in ("co2_kg", "kgce"))
        mark = " provisional" if bucket["provisional"] else ""
        print(f"{bucket['bucket'][:16]}  {co2:>28} kg  {kgce:>28} kgce{mark}")


def explain(
    meter: Annotated[str, typer.Option(help="SITE/METER, with --time")] = "",
    time: Annotated[str, typer.Option(help="an instant within a stored interval, or its end")] = "",
    entity: Annotated[str, typer.Option(help="e.g. enterprise:ENT-1, with --grain and --bucket")] = "",
    grain: Annotated[str, typer.Option(help="hour, day, month, quarter or year")] = "month",
    bucket: Annotated[str, typer.Option(help="e.g. 2024-03")] = "",
    indicator: Indicator = "co2",
    as_of: AsOf = "",
    as_json: AsJson = False,
) -> None:
    """Where one reading's or total's figure comes from, recomputed from its rows; exit 1 where it differs."""
    from carbonstream.api.explain import ReadingQuery, TotalQuery, explain_reading, explain_total

    if bool(meter and time) == bool(entity and bucket):
        raise typer.BadParameter("give --meter and --time, or --entity and --bucket")
    if meter:
        reading = _query(ReadingQuery, meter=meter, time=time, indicator=indicator, as_of=as_of or None)
        result = _run(lambda here: explain_reading(here.database, reading))
    else:
        total = _query(
            TotalQuery, entity=entity, grain=grain, bucket=bucket, indicator=indicator, as_of=as_of or None
        )
        result = _run(lambda here: explain_total(here.database, total))
    print(json.dumps(result, ensure_ascii=False, indent=None if as_json else 2))
    raise typer.Exit(0 if result["equal"] else 1)


@periods.command()
def lock(
    entity: Annotated[str, typer.Argument(help="e.g. enterprise:ENT-1")],
    month: Annotated[str, typer.Argument(help="a closed month, e.g. 2026-10")],
    by: Annotated[str, typer.Option("--by", help="who locks, as it is recorded")],
    document: Annotated[str, typer.Option(help="the report it was submitted in")],
    as_json: AsJson = False,
) -> None:
    """Keep a month's totals as they were reported."""
    from carbonstream.api.locks import Locking, lock_period

    body = _query(Locking, entity=entity, month=month, by=by, document=document)
    kept = _run(lambda here: lock_period(here.database, here.commands, body)).model_dump()
    print(json.dumps(kept, ensure_ascii=False) if as_json else _locked(kept))


@periods.command("list")
def list_(
    entity: Annotated[str, typer.Option(help="of this entity only")] = "", as_json: AsJson = False
) -> None:
    """Locked months, beside what is known of them now."""
    from carbonstream.api.locks import locked

    found = [
        lock.model_dump() for lock in _run(lambda here: locked(here.database, entity or None, None, 1_000))
    ]
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for kept in found:
        print(_locked(kept))


def _locked(kept: dict[str, Any]) -> str:
    co2 = kept["co2_kg"]
    return (
        f"{kept['entity']} {kept['month']}: locked {co2['locked'] or 'unknown'} kg, now {co2['now'] or 'unknown'} kg, "
        f"difference {co2['difference'] or 'unknown'} kg ({kept['document']}, {kept['by']})"
    )


def _run(work: Callable[[Services], Coroutine[Any, Any, T]]) -> T:
    from carbonstream.ops.api_reads import services

    async def running() -> T:
        async with services(settings()) as here:
            return await work(here)

    return asyncio.run(running())


def _query(shape: Callable[..., T], **fields: Any) -> T:
    """A request of the API. Raises CarbonstreamError naming the faulty fields."""
    from pydantic import ValidationError

    try:
        return shape(**fields)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise CarbonstreamError(faults) from None
