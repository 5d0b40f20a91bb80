"""Replay of a CSV file into meter.readings: parse all of it, plan the frames, send them, resume where it
died.

`formats` and `plan` are pure; `journal` remembers files; `run` sends.
"""

from carbonstream.connectors.sources.replay.formats import Format
from carbonstream.connectors.sources.replay.run import Options, Report, replay

__all__ = ["Format", "Options", "Report", "replay"]
