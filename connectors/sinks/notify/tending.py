"""What notify does by the clock: fail-over and escalation every second, digests and deadlines every minute
(APScheduler).

A job that an outage of the database ended is made up for by the next: each looks at what is due.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from carbonstream.connectors import telemetry
from carbonstream.connectors.database import connect
from carbonstream.connectors.rounds import OUTAGES
from carbonstream.connectors.sinks.notify.deadlines import tell_deadlines
from carbonstream.connectors.sinks.notify.digests import make_digests
from carbonstream.connectors.sinks.notify.second_ways import escalate, fail_over
from carbonstream.schemas.periods import SHANGHAI
from carbonstream.schemas.settings import Settings

Clock = Callable[[], datetime]
Job = Callable[[Any, datetime], int]
EVERY_S: Final = 1


def tending(config: Settings, clock: Clock, log: Any) -> BackgroundScheduler:
    """The scheduler, not started yet. Late runs are made up for by one."""

    def run(jobs: tuple[Job, ...]) -> None:
        try:
            with connect(config, application="notify tending", autocommit=True) as connection:
                for job in jobs:
                    if made := job(connection, clock()):
                        log.info("notices", job=job.__name__, made=made)
        except OUTAGES as error:
            log.warning("tending put off", error=str(error))
        except Exception:  # the scheduler calls again, and the channels must not stand still for it
            telemetry.FAULTS.labels("notify", "tending").inc()
            log.exception("tending failed")

    logging.getLogger("apscheduler").setLevel(logging.WARNING)  # it tells of every run, one a second
    scheduler = BackgroundScheduler(
        timezone=SHANGHAI, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    scheduler.add_job(run, IntervalTrigger(seconds=EVERY_S), args=((fail_over, escalate),))
    scheduler.add_job(run, CronTrigger(minute="*", timezone=SHANGHAI), args=((make_digests,),))
    scheduler.add_job(run, CronTrigger(minute="*", timezone=SHANGHAI), args=((tell_deadlines,),))
    return scheduler
