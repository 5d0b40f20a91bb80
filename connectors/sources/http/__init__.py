"""HTTP push: `POST /v1/readings` on a port of its own, answered with 202 only after Kafka has acknowledged.

`parse`, `rows` and `frame` are pure: bytes into columns, or faults that name their field. `body` reads what
comes within limits, `delivery` sends, `app` is the FastAPI face, `server` starts and stops it all.
"""

from carbonstream.connectors.sources.http.server import serve

__all__ = ["serve"]
