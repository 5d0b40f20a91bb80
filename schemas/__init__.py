"""Every shape that crosses a boundary: frames, events, topics, codes, settings, SQL.

Imports nothing of ours and does no I/O beyond reading its own packaged files.
"""
