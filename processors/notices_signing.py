"""Signatures of webhooks after Standard Webhooks 1.0: HMAC-SHA256 over id, time and body, in base64."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable
from datetime import datetime
from typing import Final

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = range(24, 65)


def secret_text(key: bytes) -> str:
    """A key as receivers are given it. Raises ValueError where it has not 24 to 64 bytes."""
    if len(key) not in SECRET_BYTES:
        raise ValueError(f"a webhook's key has 24 to 64 bytes, not {len(key)}")
    return PREFIX + b64encode(key).decode()


def secret_key(secret: str) -> bytes:
    """The key of a secret. Raises ValueError where it is not whsec_ and base64 of 24 to 64 bytes."""
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook's secret is whsec_ and base64") from error
    if not secret.startswith(PREFIX) or len(key) not in SECRET_BYTES:
        raise ValueError("a webhook's secret is whsec_ and base64 of 24 to 64 bytes")
    return key


def headers(id_: str, at: datetime, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """webhook-id, webhook-timestamp and webhook-signature with one v1 signature a secret, the newest first."""
    stamp = str(int(at.timestamp()))
    signed = b".".join((id_.encode(), stamp.encode(), body))
    signatures = (b64encode(hmac.digest(secret_key(secret), signed, "sha256")).decode() for secret in secrets)
    return {
        "webhook-id": id_,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
