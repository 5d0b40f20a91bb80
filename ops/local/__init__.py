"""Real Kafka and TimescaleDB on this machine without a container engine, in `.runtime/`, one profile a use.

Only servers live here: topics, tables and data are made by those who use them. The modules import third-party
clients where they call them, because `binaries` runs before any of them is installed.
"""

from carbonstream.ops.local.errors import LocalError
from carbonstream.ops.local.servers import Addresses, addresses, kill, reset, start, status, stop

__all__ = ["Addresses", "LocalError", "addresses", "kill", "reset", "start", "status", "stop"]
