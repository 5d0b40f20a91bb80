"""Where notices may go: webhooks outwards only, mail, and the services whose host nobody can choose."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import parse_qs, urlsplit

from carbonstream.processors.notices_robots import is_robot, robot_of

# Of these the host is known (https): the address holds tokens and receivers only.
SERVICES: Final = frozenset(
    {"wecombot", "dingtalk", "feishu", "lark", "twilio", "vonage", "clicksend", "sinch"}
)
MAILBOX: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
LONGEST: Final = 2_000
# An IPv4 address inside one of IPv6: NAT64 (RFC 6052) and 6to4 (RFC 3056) reach it.
NAT64: Final = IPv6Network("64:ff9b::/96")
ONLY_TLS: Final = "outside CARBONSTREAM_NOTIFY_NETWORKS only https is used"
SETTINGS_OF_SERVICES: Final = ("verify", "redirect")  # ours to decide


def channel_kind(address: str) -> str:
    """webhook, mail or service by an address as a subscriber gives it. Raises ValueError with the remedy."""
    if len(address) > LONGEST or not address.isprintable() or " " in address:
        raise ValueError("an address has at most 2000 printable characters and no spaces")
    parts = urlsplit(address)
    if parts.scheme in ("http", "https"):
        if not parts.hostname or parts.username is not None or parts.fragment:
            raise ValueError("a webhook is https://host/path without user name and fragment")
        _ = parts.port  # raises ValueError where it is none
        return "webhook"
    if parts.scheme == "mailto":
        if not MAILBOX.fullmatch(parts.path) or parts.query:
            raise ValueError("mail is mailto:name@domain")
        return "mail"
    if parts.scheme in SERVICES:
        if any(name in parse_qs(parts.query, keep_blank_values=True) for name in SETTINGS_OF_SERVICES):
            raise ValueError(f"{parts.scheme}: leave out {' and '.join(SETTINGS_OF_SERVICES)}")
        if is_robot(address):
            robot_of(address)  # raises
        return "service"
    known = ", ".join(sorted(SERVICES))
    raise ValueError(
        f"{parts.scheme or 'no'}: unknown kind of address; use https:, mailto: or one of {known}"
    )


def judged_kind(address: str, networks: Sequence[str]) -> str:
    """channel_kind of an address that can work. Raises ValueError with the remedy, also where a webhook never could.

    A webhook's name may lead anywhere, so where it leads is judged at each attempt; an IP address is judged here too.
    """
    kind = channel_kind(address)
    if kind != "webhook":
        return kind
    parts = urlsplit(address)
    host, tls = parts.hostname or "", parts.scheme == "https"
    closed = None if tls or networks else f"{host}: {ONLY_TLS}"
    if is_ip_address(host):
        closed = why_closed(host, networks, tls=tls)
    if closed is not None:
        raise ValueError(closed)
    return kind


def why_closed(address: str, networks: Sequence[str], *, tls: bool) -> str | None:
    """Why notices may not go to an IP address, with the remedy; None: they may."""
    if is_allowed(address, networks):
        return None
    if not is_outward(address):
        return f"{address} is not public; CARBONSTREAM_NOTIFY_NETWORKS opens other networks"
    return None if tls else f"{address}: {ONLY_TLS}"


def redacted(address: str) -> str:
    """An address as lists show it, without what lets its reader send there: tokens stand in path, query or host."""
    parts = urlsplit(address)
    if parts.scheme == "mailto":
        mailbox, _, domain = parts.path.rpartition("@")
        return f"mailto:{mailbox[:1]}***@{domain}"
    if parts.scheme in ("http", "https"):
        return f"{parts.scheme}://{parts.netloc}/..."
    return f"{parts.scheme}://..."


def is_ip_address(host: str) -> bool:
    """Whether a host is an IP address, not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_allowed(address: str, networks: Iterable[str]) -> bool:
    """Whether an IP address lies in one of the networks (CIDR) that the setting opens."""
    own = _unwrapped(ip_address(address))
    return any(own.version == (net := ip_network(one)).version and own in net for one in networks)


def is_outward(address: str) -> bool:
    """Whether an IP address is one of the public Internet: not private, loopback, link-local, shared, multicast."""
    own = _unwrapped(ip_address(address))
    return own.is_global and not (own.is_multicast or own.is_reserved or own.is_unspecified)


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return IPv6Address("fe80::1")  # with a zone it is of this link, whatever it looks like
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        return inner or address
    return address
