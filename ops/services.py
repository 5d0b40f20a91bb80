"""The services by name: what `carbonstream run NAME` does and what `carbonstream up` starts."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Final, Protocol

from carbonstream.schemas.errors import CarbonstreamError
from carbonstream.schemas.settings import Settings, settings

# In the order of starting: consumers of a topic before its producers, so that nothing waits long.
NAMES: Final = (
    "relay",
    "timescale",
    "convert",
    "watch",
    "ledger",
    "warn",
    "instant",
    "consistency",
    "notify",
    "api",
    "ticker",
    "http",
    "canary",
    "estimator",
)


class Stoppable(Protocol):
    """A service whose run() blocks until stop() is called from a signal."""

    def run(self) -> None: ...

    def stop(self) -> None: ...


# On a busy machine the way of a reading comes first: what only tells or counts what is stored catches up later.
NICENESS: Final = {
    "relay": 5,
    "watch": 5,
    "warn": 5,
    "instant": 5,
    "notify": 5,
    "ledger": 15,
    "canary": 5,
    "estimator": 15,
    "consistency": 15,
}
PR_SET_PDEATHSIG: Final = 1


def end_with_parent(parent: int) -> None:
    """SIGTERM for this process when the thread that started it ends: a killed supervisor leaves nothing (Linux).

    parent: the supervisor's pid; in a container it may be 1.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("the supervisor ended before this service began")


def run_service(name: str, settings: Settings) -> None:
    """Run one service in this process until SIGTERM or SIGINT. Imports only what that service needs."""
    os.nice(NICENESS.get(name, 0))
    _RUN[name](settings)


def _until_signal(service: Stoppable) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    service.run()


def _convert(_: Settings) -> None:
    # Faust reads its options from the command line, and chooses its event loop as it is imported
    sys.argv = ["convert", "--quiet", "--loop", "uvloop", "worker", "-l", "warn", "--without-web"]
    from carbonstream.streams.convert import create

    create().main()


def _relay(settings: Settings) -> None:
    from carbonstream.streams.relay import Relay

    _until_signal(Relay(settings))


def _timescale(settings: Settings) -> None:
    from carbonstream.connectors.sinks.timescale.sink import Sink

    _until_signal(Sink(settings))


def _watch(settings: Settings) -> None:
    from carbonstream.streams.watch import Watch

    _until_signal(Watch(settings))


def _ledger(settings: Settings) -> None:
    from carbonstream.streams.ledger import LedgerReader

    _until_signal(LedgerReader(settings))


def _estimator(settings: Settings) -> None:
    from carbonstream.connectors.sources.estimator import Estimator

    _until_signal(Estimator(settings))


def _warn(settings: Settings) -> None:
    from carbonstream.streams.warn import Warn

    _until_signal(Warn(settings))


def _instant(settings: Settings) -> None:
    from carbonstream.streams.instant import Instant

    _until_signal(Instant(settings))


def _consistency(settings: Settings) -> None:
    from carbonstream.streams.consistency import Consistency

    _until_signal(Consistency(settings))


def _notify(settings: Settings) -> None:
    from carbonstream.connectors.sinks.notify.service import Notify

    _until_signal(Notify(settings))


def _ticker(settings: Settings) -> None:
    from carbonstream.connectors.sources.ticker import serve

    asyncio.run(serve(settings))


def _http(settings: Settings) -> None:
    import uvloop

    from carbonstream.connectors.sources.http import serve

    uvloop.run(serve(settings))


def _canary(settings: Settings) -> None:
    from carbonstream.connectors.sources.canary import Canary

    _until_signal(Canary(settings))


def _api(settings: Settings) -> None:
    import uvloop

    from carbonstream.api import serve

    uvloop.run(serve(settings))


_RUN: Final[dict[str, Callable[[Settings], None]]] = {
    "relay": _relay,
    "timescale": _timescale,
    "convert": _convert,
    "watch": _watch,
    "ledger": _ledger,
    "warn": _warn,
    "instant": _instant,
    "consistency": _consistency,
    "notify": _notify,
    "api": _api,
    "ticker": _ticker,
    "http": _http,
    "canary": _canary,
    "estimator": _estimator,
}


def main() -> None:
    """`python -m carbonstream.ops.services NAME PARENT`: what `carbonstream up` starts for each service. It is
    `carbonstream run NAME` without the other commands, whose imports take longer than many a service's own."""
    name, parent = sys.argv[1:]
    end_with_parent(int(parent))
    try:
        run_service(name, settings())
    except CarbonstreamError as error:
        print(f"carbonstream {name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
