"""A factor is published while readings flow: by which factor every answer was computed, and when subscribers had it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

import httpx
import orjson
from confluent_kafka import TopicPartition

from carbonstream.connectors import kafka
from carbonstream.connectors.database import connect
from carbonstream.ops.bench.fleet import BEGIN_MS
from carbonstream.schemas import topics
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.periods import DAY_MS, local_iso, to_datetime
from carbonstream.schemas.settings import Settings

PROVINCE: Final = "330000"  # every site of the load is in it
SUBMITTED, APPROVED = "submitted by the benchmark", "approved by the benchmark"
ENDS_MS: Final = BEGIN_MS + 31 * DAY_MS
MONTH: Final = to_datetime(BEGIN_MS), to_datetime(ENDS_MS)
ASKED: Final = {
    "entity": f"region:{PROVINCE}",
    "grain": "month",
    "from": local_iso(BEGIN_MS)[:7],
    "to": local_iso(ENDS_MS)[:7],
}
SITES: Final = """
select quantity, co2_kg from totals_of(array(select entity from site), 3::smallint, %s, %s)
"""
WHOLES: Final = """
select quantity, co2_kg from totals_of(
  array(select number from entity where kind in ('region', 'domain', 'industry')), 3::smallint, %s, %s)
"""
READERS: Final = {"sites": SITES, "sites again": SITES, "wholes": WHOLES}
PAUSE_S: Final = 0.02
ANSWERS: Final = 5  # of each reader before the factor is approved
TOLD_S: Final = 60.0
Factor = Literal["old", "new", "mixed"]
Pairs = Iterable[tuple[Decimal, Decimal | None]]  # Wh, kg of CO2


def factor_of(pairs: Pairs, old: Decimal, new: Decimal) -> Factor:
    """By which factor (kg/kWh) one answer was computed; mixed: by both, by another, or by none as it is empty."""
    found: set[Factor] = set()
    for quantity, co2 in pairs:
        if not quantity and co2 == 0:
            continue  # by either
        kg = None if co2 is None else co2 * 1_000
        found.add("old" if kg == old * quantity else "new" if kg == new * quantity else "mixed")
    return found.pop() if len(found) == 1 else "mixed"


@dataclass
class Publication:
    """Readers of the database and the API, and a subscriber of carbon.totals, around one approval.

    old, new: kg/kWh. Times are monotonic seconds.
    """

    settings: Settings
    old: Decimal
    new: Decimal
    answers: dict[str, list[tuple[float, Factor]]] = field(default_factory=dict)  # asked when, computed by
    told: dict[str, float] = field(default_factory=dict)  # site -> when its month was told by the new factor
    approved: float = float("inf")
    _ending: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _errors: list[BaseException] = field(default_factory=list)
    _closing: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Read from now on."""
        for name, statement in READERS.items():
            self._run(name, self._rows(statement))
        self._run("api", self._api())
        self._threads.append(threading.Thread(target=self._guarded, args=(self._subscribe,), daemon=True))
        for thread in self._threads:
            thread.start()

    def approve(self, client: httpx.Client) -> None:
        """Submit the new factor and approve it, as two persons over HTTP."""
        self._until(lambda: all(len(found) >= ANSWERS for found in self.answers.values()), "readers answer")
        row = {"carrier": "electricity", "kind": "electricity_average", "scope": PROVINCE, "month": ASKED["from"],
               "value": str(self.new), "unit": "kgCO2/kWh", "document": "the benchmark"}  # fmt: skip
        submitted = client.post("/coefficients/publications", json={"by": SUBMITTED, "rows": [row]})
        submitted.raise_for_status()
        client.post(
            f"/coefficients/publications/{submitted.json()['id']}/approve", json={"by": APPROVED}
        ).raise_for_status()
        self.approved = time.monotonic()

    def until_told(self, sites: int) -> None:
        """Return when the month of so many sites was told by the new factor. Raises NotReady."""
        self._until(lambda: len(self.told) >= sites, f"{sites} sites are told by the new factor")

    def stop(self) -> None:
        """End and wait. Raises what ended a reader."""
        self._ending.set()
        for thread in self._threads:
            thread.join()
        self._closing.close()
        if self._errors:
            raise self._errors[0]

    def report(self) -> dict[str, Any]:
        """`answers` in all, `mixed` of them; `old_after_s`: the last old one was asked for so long after the approval
        (negative: before); `told_s`: until the last site's month was told by the new factor."""
        answers = [answer for found in self.answers.values() for answer in found]
        return {
            "answers": len(answers),
            "mixed": sum(used == "mixed" for _, used in answers),
            "old_after_s": round(max(asked for asked, used in answers if used == "old") - self.approved, 3),
            "told_s": round(max(self.told.values()) - self.approved, 3),
        }

    def _run(self, name: str, read: Callable[[], Pairs]) -> None:
        found = self.answers.setdefault(name, [])

        def work() -> None:
            while not self._ending.wait(PAUSE_S):
                asked = time.monotonic()
                found.append((asked, factor_of(read(), self.old, self.new)))

        self._threads.append(threading.Thread(target=self._guarded, args=(work,), daemon=True))

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._errors.append(error)

    def _rows(self, statement: str) -> Callable[[], Pairs]:
        connection = self._closing.enter_context(
            connect(self.settings, application="bench reader", autocommit=True)
        )
        return lambda: connection.execute(statement, MONTH).fetchall()

    def _api(self) -> Callable[[], Pairs]:
        client = self._closing.enter_context(api_client(self.settings))

        def read() -> Pairs:
            answer = client.get("/totals", params=ASKED).raise_for_status()
            figures = orjson.loads(answer.content)["sum"]
            kwh = Decimal(figures["quantity"]["electricity"]["value"])
            return [(kwh * 1_000, Decimal(figures["co2_kg"]))]

        return read

    def _subscribe(self) -> None:
        consumer = kafka.reader(self.settings, **kafka.STAYING)
        topic, n = self.settings.topic(topics.TOTALS), self.settings.partitions_of(topics.TOTALS)
        ends = [kafka.end_offsets_of(consumer, topic, p)[1] for p in range(n)]
        consumer.assign([TopicPartition(topic, p, end) for p, end in enumerate(ends)])
        while not self._ending.is_set():
            for message in consumer.consume(500, 0.1):
                kafka.check(message)
                key = (message.key() or b"").decode()
                if message.error() is None and key.startswith("site:") and "|month|" in key:
                    total = orjson.loads(message.value() or b"{}")
                    pair = Decimal(total["carriers"][0]["quantity"]) * 1_000, Decimal(total["co2_kg"])
                    if factor_of([pair], self.old, self.new) == "new":
                        self.told.setdefault(total["entity"], time.monotonic())
        consumer.close()

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + TOLD_S
        while not condition():
            if self._errors or time.monotonic() > until:
                raise NotReady(f"within {TOLD_S:.0f} s it was not so that {what}") from next(
                    iter(self._errors), None
                )
            time.sleep(PAUSE_S)


def api_client(settings: Settings) -> httpx.Client:
    """The API, as a program that may command."""
    return httpx.Client(
        base_url=f"http://127.0.0.1:{settings.api_port}/v1",
        headers={"Authorization": f"Bearer {settings.api_token}"},
        timeout=30,
    )


def factor_in_force(client: httpx.Client) -> Decimal:
    """kg/kWh of the province's month before anything is published."""
    used = client.get("/totals", params=ASKED).raise_for_status().json()["coefficients"]
    [value] = [c["value"] for c in used if c["kind"] == "electricity_average"]
    return Decimal(value)
