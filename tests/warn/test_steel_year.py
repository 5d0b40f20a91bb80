"""A real plant's year through the whole pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from carbonstream.connectors.sources.replay import Format, Options
from carbonstream.ops.load.in_force import wait_until_in_force
from carbonstream.schemas.codes import Mode
from tests.warn import steel
from tests.warn.conftest import running


@pytest.mark.timeout(900)
def test_a_backfilled_year_gives_each_warning_once_though_warn_is_killed(
    servers: tuple[str, str], tmp_path: Path
) -> None:
    wanted = steel.expected()
    with running(servers, tmp_path, steel.targets_csv(), virtual_time=False) as pipeline:
        wait_until_in_force(pipeline.settings)
        options = Options("replay/steel", Format.UCI_STEEL, steel.METER, 2_191, Mode.BACKFILL)
        pipeline.replay(steel.FILE, options)
        for changes in (10, len(wanted) // 3, 2 * len(wanted) // 3):
            pipeline.until_told(changes)
            pipeline.kill("warn")
        pipeline.settle()
        pipeline.until_told(len(wanted))
        assert pipeline.history() == wanted
        assert pipeline.relayed() == wanted
        assert pipeline.query("select distinct backfill from warning_history") == [(True,)]
