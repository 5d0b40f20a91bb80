"""`python -m tests.board [port]`: the board on recorded answers, for a look by hand."""

import sys
import threading
from pathlib import Path

from .fixture_server import FixtureServer

server = FixtureServer(Path(__file__).parents[2] / "api/board/dist", int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
print(server.address)
threading.Event().wait()
