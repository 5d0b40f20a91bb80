"""A command that changes something: on a connection of its own, its refusal said as the caller reads it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.settings import settings

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")


def with_connection(application: str, work: Callable[[psycopg.Connection[Any]], T], as_json: bool) -> T:
    """What `work` gives. A refusal is printed, every error of it, and ends the process with 2."""
    from carbonstream.connectors.database import connect

    try:
        with connect(settings(), application=application, autocommit=True) as connection:
            return work(connection)
    except LoadRefused as refused:
        if as_json:
            print(json.dumps({"errors": refused.errors}, ensure_ascii=False))
        else:
            print("\n".join(refused.errors), file=sys.stderr)
        raise typer.Exit(2) from None
