"""Logs and metrics, the same in every process: structlog JSON lines on stderr, prometheus-client on a port."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import structlog
from prometheus_client import Counter, Gauge, Histogram, start_http_server

from carbonstream.schemas.settings import Settings

SERVICES: Final = (
    "http",
    "ticker",
    "convert",
    "watch",
    "timescale",
    "relay",
    "ledger",
    "warn",
    "api",
    "canary",
    "estimator",
    "consistency",
    "notify",
    "instant",
)

READINGS = Counter(
    "carbonstream_readings_total", "Readings handled, by service and outcome", ["service", "outcome"]
)
RECORDS = Counter("carbonstream_records_total", "Kafka records handled", ["service", "topic"])
FINDINGS = Counter("carbonstream_findings_total", "What the checks found beside outcomes", ["check"])
NOTICES = Counter(
    "carbonstream_notices_total",
    "Attempts to deliver a notice, by kind of channel and outcome",
    ["channel", "outcome"],
)
ANNUNCIATIONS = Counter(
    "carbonstream_annunciations_total",
    "Warnings put before operators, by priority of their rule",
    ["priority"],
)
STANDING = Gauge("carbonstream_warnings", "Warnings by their state with the operators", ["state"])
FAULTS = Counter("carbonstream_faults_total", "Things that should not happen, by kind", ["service", "kind"])
LAG = Gauge("carbonstream_lag_records", "Records behind the end of the topic", ["service", "partition"])
STANDING_STILL = Gauge(
    "carbonstream_standing_still",
    "1 where a broken chain keeps a partition from going on",
    ["service", "partition"],
)
CONSISTENCY = Gauge(
    "carbonstream_consistency", "Today's consistency indicators of everything, % or hours", ["indicator"]
)
CONSISTENCY_MET = Gauge(
    "carbonstream_consistency_met", "1 where an indicator meets its target", ["indicator"]
)
SECONDS = Histogram(
    "carbonstream_seconds",
    "Time taken by one step",
    ["service", "step"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


def configure(settings: Settings, service: str) -> Any:
    """Set up logs and, where this service has a port, /metrics. Returns the service's logger."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(stream=sys.stderr, level=max(level, logging.WARNING), format="%(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    log = structlog.get_logger(service=service)
    if settings.metrics_port and service in SERVICES:
        port = settings.metrics_port + SERVICES.index(service)
        try:
            start_http_server(port, addr=settings.host)
        except OSError as error:
            log.warning("metrics port taken", port=port, error=str(error))
    return log
