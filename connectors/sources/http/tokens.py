"""Which source a bearer token stands for."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping

from carbonstream.connectors.sources.http.problems import refused
from carbonstream.schemas.codes import Edge


class Tokens:
    """Compares keyed digests, so that time tells nothing of a token and 1,000 tokens cost as one."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._key = os.urandom(32)
        self._sources = {self._digest(token): source for token, source in sources.items()}

    def _digest(self, token: str) -> bytes:
        return hmac.digest(self._key, token.encode(), "sha256")

    def source(self, authorization: str) -> str:
        """The source of an Authorization header. Raises Refused."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise refused(
                "Authorization", Edge.UNAUTHORISED, "send `Authorization: Bearer <token of the source>`"
            )
        digest = self._digest(token.strip())
        source = self._sources.get(digest)
        if source is None:
            raise refused(
                "Authorization", Edge.UNAUTHORISED, "this token belongs to no source; ask for a valid one"
            )
        return source
