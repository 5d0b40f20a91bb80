"""Loads reference data, all or nothing: sites, meters, coefficients, targets, activity, and what is packaged.

One file a table checks and writes it; `outbox` is the only one that publishes. Nothing here talks to Kafka
but `in_force`.
"""

from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.files import FILES, load_files
from carbonstream.ops.load.packaged import load_packaged

__all__ = ["FILES", "Counts", "load_files", "load_packaged"]
