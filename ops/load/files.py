"""One command's files, loaded in one transaction: all of them or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from psycopg import Connection

from carbonstream.ops.load import outbox
from carbonstream.ops.load.activity import load_activity
from carbonstream.ops.load.changes import load_exchanges, load_multipliers
from carbonstream.ops.load.check_parameters import load_check_parameters
from carbonstream.ops.load.coefficients import load_coefficients
from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.meters import load_meters
from carbonstream.ops.load.outbox import Rows
from carbonstream.ops.load.own_classes import move_to_own_classes
from carbonstream.ops.load.phases import load_phases, refuse_unphased
from carbonstream.ops.load.rows import Refusals
from carbonstream.ops.load.rules import load_rules
from carbonstream.ops.load.sites import load_sites
from carbonstream.ops.load.targets import load_targets
from carbonstream.ops.load.tree import load_tree
from carbonstream.ops.load.warning_rules import load_warning_rules

Loader = Callable[[Rows, Path, Refusals, datetime], Counts]

# In this order: meters and enterprises' coefficients need their sites, the tree and what changes at meters these,
# targets and activity their entities.
FILES: Final[dict[str, Loader]] = {
    "sites": load_sites,
    "coefficients": load_coefficients,
    "meters": load_meters,
    "multipliers": load_multipliers,
    "exchanges": load_exchanges,
    "tree": load_tree,
    "targets": load_targets,
    "phases": load_phases,
    "activity": load_activity,
    "rules": load_rules,
    "warning_rules": load_warning_rules,
    "check_parameters": load_check_parameters,
}


def load_files(connection: Connection[Any], paths: Mapping[str, Path], now: datetime) -> dict[str, Counts]:
    """Load CSV files, by the keys of FILES; loading a file twice changes and publishes nothing.

    `now` is stamped on what changes; nothing may be published after it. Commits, or inside the caller's
    transaction leaves that to the caller. Raises LoadRefused with every error as
    FILE:LINE: FIELD: VALUE: REMEDY, and then nothing at all was loaded.
    """
    refusals = Refusals()
    counts: dict[str, Counts] = {}
    with connection.transaction(), connection.cursor() as cursor:
        outbox.begin(cursor)
        for name, load in FILES.items():
            if name in paths:
                counts[name] = load(cursor, paths[name], refusals, now)
        if "targets" in paths or "phases" in paths:
            refuse_unphased(cursor, refusals)
        refusals.raise_if_any()
        move_to_own_classes(cursor)
        outbox.publish(cursor)
    return counts
