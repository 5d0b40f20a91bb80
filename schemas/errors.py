"""Every exception Carbonstream raises on purpose. Each message names the thing, the value and the remedy."""


class CarbonstreamError(Exception):
    """Base of all errors a caller may want to catch."""


class InvalidReading(CarbonstreamError):
    """Input refused at the edge.

    `field` is a path into the caller's document (``end[3]``), `code` one of schemas.codes.Edge.
    """

    def __init__(self, field: str, code: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.code = code
        self.detail = detail


class BrokenChain(CarbonstreamError):
    """A carbon.emissions frame does not follow the one stored before it; `carbonstream repair` mends it."""


class LayoutChanged(CarbonstreamError):
    """A topic was recreated or re-partitioned under us; `carbonstream repair --new-epoch` accepts that."""


class LoadRefused(CarbonstreamError):
    """A reference file has errors; nothing of it was loaded. `errors` holds one line per error."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class SourceInUse(CarbonstreamError):
    """Another process sends under this source name; two would give out the same sequence numbers."""


class NotReady(CarbonstreamError):
    """A server or topic this command needs is not there yet; the message says how to start it."""
