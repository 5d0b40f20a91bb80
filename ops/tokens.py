"""The API's token where none is set: made once, kept for its owner alone."""

from __future__ import annotations

import os
import secrets

from carbonstream.schemas.settings import Settings


def api_token(settings: Settings) -> str:
    """settings.api_token, or the one in state_dir/api-token (mode 0600), which is made where it is missing."""
    if settings.api_token:
        return settings.api_token
    path = settings.state_dir / "api-token"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        token = secrets.token_urlsafe(32)
        file.write(token)
    return token
