"""Who may read: the bearer token, a session, a one-time code. Pure: the time is an argument.

All three rest on one secret, settings.api_token: codes and sessions are signed with keys derived from it, so
they hold across processes and restarts, and end with the token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Final

import orjson

from carbonstream.connectors.sources.sequence import write_durably
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings

CODE_S: Final = 600  # a link is opened right after it was printed
SESSION_S: Final = 12 * 3_600  # one shift of a control room
COOKIE: Final = "carbonstream_session"
CLOCK_SKEW_S: Final = 60  # the command that prints a link and the API may run on two machines


def one_time_link(settings: Settings, now: float, operator: str = "") -> str:
    """A link that signs a browser in once, within 10 minutes. `now` in UTC seconds; any process can make one.

    operator: a person's name; the session may then answer warnings, in that name. Empty: it only reads.

    Raises NotReady where settings.api_token is empty.
    """
    code = one_time_code(settings.api_token, now, operator)
    return f"http://{_host(settings.host)}:{settings.api_port}/login?code={code}"


def one_time_code(token: str, now: float, operator: str = "") -> str:
    """ISSUED.NONCE.OPERATOR.SIGNATURE for /login; OPERATOR in URL-safe base64, perhaps empty."""
    return _signed(token, b"carbonstream login code", now, operator)


def new_session(token: str, now: float, operator: str = "") -> str:
    """Value of the session cookie, good for 12 hours; in the name of an operator, or nobody's."""
    return _signed(token, b"carbonstream session", now, operator)


def operator_of(genuine: str) -> str:
    """The operator whom a code or session names, whose signature was found genuine; empty: nobody."""
    parts = genuine.split(".")
    if len(parts) != 4:  # made before links could name an operator
        return ""
    return base64.urlsafe_b64decode(parts[2] + "=" * (-len(parts[2]) % 4)).decode()


def code_expiry(token: str, code: str, now: float) -> float | None:
    """UTC second at which a genuine code expires; None where it is forged, expired, or from the future."""
    return _expiry(token, b"carbonstream login code", code, now, CODE_S)


def session_expiry(token: str, session: str, now: float) -> float | None:
    """UTC second at which a genuine session ends; None where it is forged, expired, or from the future."""
    return _expiry(token, b"carbonstream session", session, now, SESSION_S)


def token_matches(token: str, presented: str) -> bool:
    """Compare in constant time; an empty token matches nothing."""
    return bool(token) and hmac.compare_digest(token.encode(), presented.encode())


class UsedCodes:
    """Codes already swapped for a session, remembered until they expire by themselves; in `file` over a restart."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._until: dict[str, float] = {}
        if file is not None and file.exists():
            self._until = orjson.loads(file.read_bytes())

    def take(self, code: str, expiry: float, now: float) -> bool:
        """True the first time a code is taken, False ever after. Raises OSError where that cannot be written down."""
        used = hashlib.sha256(code.encode()).hexdigest()
        if self._until.get(used, now) > now:
            return False
        self._until = {c: t for c, t in self._until.items() if t > now} | {used: expiry}
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self._file, orjson.dumps(self._until))
        return True


def _signed(token: str, purpose: bytes, now: float, operator: str) -> str:
    if not token:
        raise NotReady(
            "CARBONSTREAM_API_TOKEN is empty: set it, or start with `carbonstream up`, which makes one"
        )
    name = base64.urlsafe_b64encode(operator.encode()).rstrip(b"=").decode()
    body = f"{int(now)}.{secrets.token_urlsafe(16)}.{name}"
    return f"{body}.{_signature(token, purpose, body)}"


def _expiry(token: str, purpose: bytes, text: str, now: float, lifetime_s: int) -> float | None:
    body, _, signature = text.rpartition(".")
    issued = body.partition(".")[0]
    if not token or not hmac.compare_digest(_signature(token, purpose, body).encode(), signature.encode()):
        return None
    expiry = float(issued) + lifetime_s
    return expiry if float(issued) - CLOCK_SKEW_S <= now < expiry else None


def _signature(token: str, purpose: bytes, body: str) -> str:
    key = hmac.digest(token.encode(), purpose, "sha256")
    return base64.urlsafe_b64encode(hmac.digest(key, body.encode(), "sha256")).rstrip(b"=").decode()


def _host(host: str) -> str:
    """An address a browser can open: a wildcard address means this machine."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  # compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
