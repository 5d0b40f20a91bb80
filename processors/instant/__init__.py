"""Instant rules: conditions of sources and meters, judged on carbon.emissions as it comes, pure.

Everything is decided by event time and ticks: what a rule says depends on readings that come within LATENESS_MS in any
order, and on no clock of this machine. Nothing here reads or writes anything.
"""
