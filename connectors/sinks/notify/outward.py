"""POSTs that cannot be turned inwards, with limits of time and size.

The name is resolved here and the address that was judged is the one connected to, so a name that changes its answer
gains nothing. No redirect is followed and no proxy of the environment is asked.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import httpcore
import httpx

from carbonstream.processors.notices_addresses import why_closed

CONNECT_S: Final = 5.0
TOTAL_S: Final = 15.0  # from the connection to the answer, whatever trickles in
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


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    code: int
    retry_after: str | None
    body: bytes  # as much of it as was asked for


def call(
    address: str, body: bytes, headers: Mapping[str, str], networks: Sequence[str], *, read_bytes: int = 0
) -> Reply:
    """POST JSON. Raises Inward or one of FAILURES."""
    url = httpx.URL(address)  # knows international names
    sent = {
        "host": url.netloc.decode(), "content-length": str(len(body)), "content-type": "application/json",
        "user-agent": "carbonstream", **headers,
    }  # fmt: skip
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
            return Reply(
                response.status,
                retry_after.decode("latin-1") if retry_after else None,
                _beginning(response.iter_stream(), read_bytes) if read_bytes else b"",
            )
    finally:
        cutter.cancel()
        backend.close()


def _beginning(parts: Iterable[bytes], most_bytes: int) -> bytes:
    """What comes first, and no more than that is read."""
    found = b""
    for part in parts:
        found += part
        if len(found) >= most_bytes:
            break
    return found[:most_bytes]


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Read once: the machine's certificates take 50 ms to parse."""
    return ssl.create_default_context()
