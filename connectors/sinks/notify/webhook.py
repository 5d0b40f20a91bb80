"""Webhooks after Standard Webhooks, by connections that cannot be turned inwards.

The name is resolved here and the address that was judged is the one connected to, so a name that changes its answer
gains nothing. No redirect is followed, no proxy of the environment is asked, and the answer's body is not read.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final

import httpcore
import httpx

from carbonstream.connectors.sinks.notify.sending import Channel, Message
from carbonstream.processors.notices_addresses import why_closed
from carbonstream.processors.notices_delivery import Answer, Outcome, http_answer
from carbonstream.processors.notices_signing import headers

CONNECT_S: Final = 5.0
TOTAL_S: Final = 15.0  # from the connection to the status line, whatever trickles in
ADDRESSES: Final = 3  # of a name that are tried
FAILURES: Final = (OSError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)


class Inward(Exception):
    """The name leads to an address that notices may not reach."""


class OutwardBackend(httpcore.SyncBackend):
    """Connects to public addresses and allowed networks; the line can be cut from another thread."""

    def __init__(self, networks: Sequence[str], *, tls: bool) -> None:
        super().__init__()
        self._networks, self._tls = networks, tls
        self._line: socket.socket | None = None

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            if closed := why_closed(address, self._networks, tls=self._tls):
                raise Inward(f"{host}: {closed}")
        failure: Exception = OSError(f"{host} has no address")
        for address in addresses[:ADDRESSES]:
            try:
                stream = super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            # TLS takes the socket over; its double still cuts the same connection
            self._line = stream.get_extra_info("socket").dup()
            return stream
        raise failure

    def cut(self) -> None:
        """End the connection under whoever reads or writes."""
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the double back."""
        if self._line is not None:
            self._line.close()


def post(channel: Channel, message: Message, now: datetime, networks: Sequence[str]) -> Answer:
    """One attempt; never raises for what the receiver, the network or the name server does."""
    body = message.body()
    sent = headers(message.id, now, body, channel.secrets)
    sent |= {"content-type": "application/json", "user-agent": "carbonstream"}
    try:
        code, retry_after = _post(channel.address, body, sent, networks)
    except Inward as error:
        return Answer(Outcome.REFUSED, None, str(error))
    except FAILURES as error:
        return Answer(Outcome.FAILED, None, f"{type(error).__name__}: {error}"[:200])
    return http_answer(code, retry_after, now)


def _post(address: str, body: bytes, sent: dict[str, str], networks: Sequence[str]) -> tuple[int, str | None]:
    """Status and Retry-After."""
    url = httpx.URL(address)  # knows international names
    sent = {"host": url.netloc.decode(), "content-length": str(len(body))} | sent
    target = httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path or b"/"
    )
    backend = OutwardBackend(networks, tls=url.scheme == "https")
    limits = dict.fromkeys(("read", "write", "pool"), TOTAL_S) | {"connect": CONNECT_S}
    # connecting has limits of its own: one an address
    cutter = threading.Timer(CONNECT_S * ADDRESSES + TOTAL_S, backend.cut)
    cutter.start()
    try:
        with (
            httpcore.ConnectionPool(ssl_context=_tls(), network_backend=backend, retries=0) as pool,
            pool.stream(
                "POST",
                target,
                headers=list(sent.items()),
                content=body,
                extensions={"timeout": limits},
            ) as response,
        ):
            said = {name.lower(): value for name, value in response.headers}
            retry_after = said.get(b"retry-after")
            return response.status, retry_after.decode("latin-1") if retry_after else None
    finally:
        cutter.cancel()
        backend.close()


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Read once: the machine's certificates take 50 ms to parse."""
    return ssl.create_default_context()
