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
        console.print(f"  [red]differs[/]: {difference}")
    console.print("[green]balanced[/]" if result["balanced"] else "[red]does NOT balance[/]")
