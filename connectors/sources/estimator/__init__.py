"""The estimator: what interval meters miss is estimated and sent like any source's readings, in mode estimate."""

from carbonstream.connectors.sources.estimator.service import Estimator

__all__ = ["Estimator"]
