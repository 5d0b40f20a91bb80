"""`carbonstream demo`: real servers, all services, one real plant's year, then a live park."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import psycopg
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from carbonstream.api.auth import one_time_link
from carbonstream.connectors.database import connect, one_row
from carbonstream.connectors.migrations import migrate
from carbonstream.connectors.sources.replay import Format, Options, replay
from carbonstream.connectors.sources.simulate import DEMO_PARK, live_park, meters_csv, sites_csv
from carbonstream.ops.balance import ledger
from carbonstream.ops.here import HERE, PROFILE, settings_here
from carbonstream.ops.load import load_files, load_packaged
from carbonstream.ops.load.in_force import wait_until_in_force
from carbonstream.ops.local.servers import start, stop
from carbonstream.ops.report import ledger_table
from carbonstream.ops.services import NAMES
from carbonstream.ops.supervisor import Supervisor
from carbonstream.ops.topics import create_topics, record_layout
from carbonstream.processors.total_records import EXACT, exact
from carbonstream.schemas.codes import Grain, Mode
from carbonstream.schemas.periods import bucket_start, to_ms
from carbonstream.schemas.settings import Settings, as_environment

STEEL_METER: Final = "330502-steel/E01"
STEEL_SITE: Final = "site:330502-steel"
STEEL_SHIFT_DAYS: Final = 2_191  # 2018 becomes 2024, Mondays stay Mondays
STEEL_SOURCE: Final = "replay/steel"
STEEL_READINGS: Final = 35_040
STEEL_KWH: Final = "959640.31"
STEEL_CO2_KG: Final = "477325.090194"  # by the packaged factors: Zhejiang's 0.4974 of data year 2023
PUBLISHED: Final = "select exists (select from publication)"
READY_S: Final = 60.0
STEEL_ROWS: Final = """
with by_month as (
  select s.class, m.carrier, date_trunc('month', r.start at time zone 'Asia/Shanghai')::date as month,
         sum(r.quantity) as quantity, count(*) as readings
  from reading r join meter m on m.number = r.meter join site s using (site_id) where m.meter_id = %s group by 1, 2, 3)
select sum(b.quantity), sum(b.quantity * k.value * 0.001), coalesce(sum(b.readings), 0)::int
from by_month b join carrier c on c.number = b.carrier
left join lateral coefficient_for(b.class, b.carrier, c.co2_kind, b.month, 'infinity') k on true
"""
STEEL_TOTALS: Final = """
select sum(t.quantity), sum(t.co2_kg) from entity e
cross join totals_of(array[e.number], %s::smallint, '2000-01-01', '2100-01-01') t where e.id = %s
"""


@dataclass(frozen=True, slots=True)
class Steel:
    """The plant's year, summed four ways."""

    readings: int
    kwh: tuple[str, ...]  # from rows, hours, days, months
    co2_kg: tuple[str, ...]
    is_published: bool = False  # somebody has published other factors than the packaged ones

    @property
    def is_whole(self) -> bool:
        """Whether every reading is there and all four say what the year amounts to."""
        co2_kg = set(self.co2_kg)
        right = len(co2_kg) == 1 if self.is_published else co2_kg == {STEEL_CO2_KG}
        return self.readings == STEEL_READINGS and set(self.kwh) == {STEEL_KWH} and right


def demo(runtime: Path, once: bool) -> int:
    """Run the demo; returns the exit code. `once`: stop after the replay, 0 only if the ledger balances."""
    console = Console()
    for name in ("CARBONSTREAM_KAFKA", "CARBONSTREAM_DATABASE"):
        os.environ.pop(name, None)  # the demo has servers of its own
    with console.status("starting Kafka and TimescaleDB"):
        start(PROFILE)
    settings = settings_here(runtime)
    environment = os.environ | as_environment(settings, HERE)
    with console.status("creating tables and topics, loading reference data"):
        migrate(settings)
        create_topics(settings)
        record_layout(settings)
        load_reference(settings)
    supervisor = Supervisor(NAMES, environment, logs=runtime / PROFILE / "logs")
    supervisor.start()
    watching = threading.Event()
    watcher = threading.Thread(target=_watch, args=(supervisor, watching), daemon=True)
    watcher.start()
    try:
        with console.status("waiting for reference data to be in force"):
            wait_until_in_force(settings)
        replay_steel(settings, console)
        result = ledger(settings, 120.0)
        ledger_table(result, console)
        steel = sums(settings)
        say_steel(steel, console)
        good = result["balanced"] and not result["in_flight"]["readings"] and steel.is_whole
        if once or not good:
            return 0 if good else 1
        return carry_on(settings, console, runtime / PROFILE / "logs")
    finally:
        watching.set()
        watcher.join()
        with console.status("stopping the services"):
            supervisor.end()
        if once:
            with console.status("stopping Kafka and TimescaleDB"):
                stop(PROFILE)
        else:
            console.print("Kafka and TimescaleDB go on; [bold]carbonstream local down[/bold] stops them")


def load_reference(settings: Settings) -> None:
    """Packaged regions, industries and coefficients, and the plant with its meter and targets."""
    now = datetime.now(UTC)
    folder = Path(str(files("carbonstream.schemas") / "reference" / "demo"))
    tables = {name: folder / f"{name}.csv" for name in ("sites", "meters", "targets")}
    with connect(settings, application="demo") as connection, connection.transaction():
        load_packaged(connection, now)
        load_files(connection, tables, now)
        load_park(connection, now)


def load_park(connection: psycopg.Connection, now: datetime) -> None:
    """The simulated park; its meters have been there since local midnight of the first demo."""
    known = connection.execute("select min(valid_from) from meter where meter_id like 'sim-%'").fetchone()
    since = to_ms(known[0]) if known and known[0] else int(bucket_start(Grain.DAY, np.array([to_ms(now)]))[0])
    with tempfile.TemporaryDirectory() as folder:
        sites, meters = Path(folder) / "sites.csv", Path(folder) / "meters.csv"
        sites.write_text(sites_csv(DEMO_PARK), encoding="utf-8")
        meters.write_text(meters_csv(DEMO_PARK, since), encoding="utf-8")
        load_files(connection, {"sites": sites, "meters": meters}, now)


def replay_steel(settings: Settings, console: Console) -> None:
    """One real plant's year of quarter-hours, as fast as it goes; nothing when it was sent before."""
    path = Path(str(files("carbonstream.schemas") / "reference" / "steel" / "Steel_industry_data.csv.gz"))
    options = Options(
        source=STEEL_SOURCE,
        format=Format.UCI_STEEL,
        meter=STEEL_METER,
        shift_days=STEEL_SHIFT_DAYS,
        mode=Mode.BACKFILL,
    )
    bars = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*bars, console=console) as progress:
        sent = progress.add_task("a steel plant's year into Kafka")
        stored = progress.add_task("... checked, converted, kept", total=None)
        report = replay(
            settings, path, options, progress=lambda n, of: progress.update(sent, completed=n, total=of)
        )
        if report.already_sent:
            progress.update(sent, description="a steel plant's year: sent before", total=1, completed=1)
        until = time.monotonic() + 120
        while (done := stored_readings(settings)) < STEEL_READINGS and time.monotonic() < until:
            progress.update(stored, completed=done, total=STEEL_READINGS)
            time.sleep(0.2)
        progress.update(stored, completed=done, total=STEEL_READINGS)


def stored_readings(settings: Settings) -> int:
    """Readings of the plant that were decided about: stored, or kept with the reason why not."""
    with connect(settings, application="demo") as connection:
        (readings,) = one_row(
            connection,
            "select coalesce(sum(readings), 0) from ledger where source = %s and hop = 'outcome'",
            (STEEL_SOURCE,),
        )
    return int(readings)


def sums(settings: Settings) -> Steel:
    """The plant's year from rows, hours, days and months, exact."""
    with connect(settings, application="demo") as connection:
        quantity, co2_kg, readings = one_row(connection, STEEL_ROWS, (STEEL_METER,))
        found = [(quantity, co2_kg)]
        found += [one_row(connection, STEEL_TOTALS, (grain, STEEL_SITE)) for grain in (1, 2, 3)]
        [is_published] = one_row(connection, PUBLISHED)
    none = Decimal(0)
    kwh = tuple(exact(EXACT.scaleb(q or none, -3)) for q, _ in found)
    return Steel(readings, kwh, tuple(exact(co2 or none) for _, co2 in found), is_published)


def say_steel(steel: Steel, console: Console) -> None:
    """What the year amounts to, four ways; each of them where they differ."""
    kwh, co2_kg = (" / ".join(dict.fromkeys(values)) for values in (steel.kwh, steel.co2_kg))
    console.print(
        f"[bold]{steel.readings:,}[/] quarter-hours, [bold]{kwh}[/] kWh from rows, hours, days and months: "
        f"[bold]{co2_kg}[/] kg CO2",
        soft_wrap=True,
    )


def carry_on(settings: Settings, console: Console, logs: Path) -> int:
    """The live simulated park, until Ctrl-C; the exit code."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with console.status("waiting for the board and the HTTP source"):
        for name, port in (("api", settings.api_port), ("http", settings.http_port)):
            if not is_ready(settings.host, port, stopping):
                console.print(
                    f"[red]{name} does not answer at {settings.host}:{port}[/]: see {logs / f'{name}.log'}"
                )
                return 1
    console.print("the board, by a link that is valid once, for 10 minutes:")
    console.print(one_time_link(settings, time.time()), soft_wrap=True, highlight=False)
    console.print(
        f"readings of your own: POST http://{settings.host}:{settings.http_port}/v1/readings, the token `push` is in "
        f"{logs.parent / 'secrets.json'}",
        soft_wrap=True,
        highlight=False,
    )
    live_park(settings, stopping)
    return 0


def is_ready(host: str, port: int, stopping: threading.Event) -> bool:
    """Whether the service there says that it is ready, within READY_S."""
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        with suppress(httpx.HTTPError, ValueError, AttributeError):
            answer = httpx.get(f"http://{host}:{port}/health/ready", timeout=5, trust_env=False)
            said = answer.json()
            if answer.status_code == 200 and (said.get("ready") or said.get("status") == "ready"):
                return True
        if stopping.wait(0.2):
            break
    return False


def _watch(supervisor: Supervisor, ending: threading.Event) -> None:
    while not ending.wait(0.2):
        supervisor.watch()
