"""`python -m tests.board [port]`: the board on recorded answers, for a look by hand."""

import sys
import threading
from pathlib import Path

from .fixture_server import FixtureServer

dist = Path(__file__).parents[2] / "api/board/dist"
port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
server = FixtureServer(dist, port)
print(server.address)
threading.Event().wait()
