"""The HTTP face: reads for the board and other systems, the live stream, sign-in. `board/` is the web page.

Everything here reads with the role carbonstream_read; commands are SQL functions granted to carbonstream_command,
of operators and enterprises records of warn.commands, and of notices what `carbonstream notices` calls, in that role.
Numbers are decided in schemas/sql and processors, never here.
"""

from __future__ import annotations

from carbonstream.schemas.settings import Settings


async def serve(settings: Settings) -> None:
    """Serve on settings.host:settings.api_port until SIGTERM or SIGINT.

    Raises NotReady where settings.api_token is empty or the port is taken.
    """
    from carbonstream.api import server  # a command that only prints a sign-in link starts without FastAPI

    await server.serve(settings)
