"""Tables for people (rich)."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

PLACES = ("accepted", "stored", "rejected", "superseded", "held", "in_flight")


def ledger_table(result: dict[str, Any], console: Console | None = None) -> None:
    """The ledger's top figures, reject codes and differences."""
    console = console or Console()
    table = Table(title="Ledger", title_justify="left")
    for name in ("", "readings", "kWh"):
        table.add_column(name, justify="left" if not name else "right")
    for place in PLACES:
        table.add_row(place.replace("_", " "), f"{result[place]['readings']:,}", result[place]["kwh"])
    console.print(table)
    for code, readings in result["rejected_by_code"].items():
        console.print(f"  rejected as {code}: {readings:,}")
    for difference in result["differences"][:20]:
        where = difference["difference"]
        console.print(
            f"  [red]differs[/] at hop {where['hop']}: {where['readings']:,} readings, {where['kwh']} kWh of "
            f"{difference['source']}, {difference['site']}, {difference['day']}"
        )
    for at in result["breaks"]:
        console.print(
            f"  [red]broken chain[/]: carbon.emissions[{at['partition']}] has no answer to offsets {at['from']} to "
            f"{at['to']} before its offset {at['before']}; run `carbonstream repair`"
        )
    for sent in result["sent"]:
        for gap in sent["gaps"][:20]:
            console.print(
                f"  never got or out of place: {gap['from']} to {gap['to']} of {sent['source']} ({sent['mode']}, shard "
                f"{gap['shard']}) before offset {gap['before']} of meter.readings[{gap['partition']}]"
            )
    for refused in result["refused_at_edge"][-20:]:
        console.print(
            f"  refused at the edge: {refused['day']} {refused['source']}: {refused['requests']:,} x {refused['code']}"
        )
    if result["estimated"]["kwh"] != "0":
        console.print(f"  of what is stored, {result['estimated']['kwh']} kWh are estimates")
    console.print("[green]balanced[/]" if result["balanced"] else "[red]does NOT balance[/]")
