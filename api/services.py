"""What the routes share: settings, the database, the stream, the clock. Made once by create_app."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

from fastapi import Request

from carbonstream.api.auth import UsedCodes
from carbonstream.api.coefficients import CoefficientBook
from carbonstream.api.database import Commands, Database
from carbonstream.api.once import Once
from carbonstream.api.stream.hub import Hub
from carbonstream.api.stream.resume import Rereader
from carbonstream.connectors.kafka import AcknowledgedProducer
from carbonstream.schemas.settings import Settings

FIGURES_S: Final = 1.0  # a shared figure may be this much older than the answer it stands in
PAGES: Final = 32  # encoded, of up to 2 MB each
MASTERS_S: Final = 10.0  # a newly registered meter is expected from then on


@dataclass(slots=True)
class Services:
    """One a process. `now_ms`: UTC milliseconds, the only clock of the API."""

    settings: Settings
    database: Database
    commands: Commands
    hub: Hub
    rereader: Rereader
    now_ms: Callable[[], int]
    used_codes: UsedCodes = field(default_factory=UsedCodes)
    coefficients: CoefficientBook = field(default_factory=CoefficientBook)
    figures: Once = field(default_factory=lambda: Once(FIGURES_S))
    pages: Once = field(default_factory=lambda: Once(FIGURES_S, PAGES))
    # of a statement under way: who asks the same meanwhile is answered by it, and nobody by one that has ended
    running: Once = field(default_factory=lambda: Once(0.0, PAGES))
    masters: Once = field(default_factory=lambda: Once(MASTERS_S))
    producer: AcknowledgedProducer | None = None  # of commands; made by the first


async def services(request: Request) -> Services:
    """The services of this process, as a dependency (async: FastAPI hands plain functions to threads)."""
    return cast(Services, request.app.state.services)
