"""The indicators over real tables: right while all is right, and each fault is seen, told, and cleared."""

from __future__ import annotations

import json

from carbonstream.processors.consistency import BY_ID
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS, to_datetime
from carbonstream.streams.consistency_figures import local_day
from tests.commands import Done, carbonstream

from .conftest import DAY, NEXT_DAY, TREE_ROWS, Park


def fill(park: Park, *, master: int = 2_010) -> None:
    """A day of every meter in which all agrees."""
    park.load(tree=TREE_ROWS)
    for meter, amount in (
        ("op/M", master),
        ("a/E", 1_000),
        ("b/E", 1_000),
        ("a/S", 990),
        ("b/G", 7),
        ("x/E", 5),
    ):
        park.store(meter, [amount] * 24)


def test_a_park_is_its_master_its_region_its_tenants_and_all_indicators_are_met(park: Park) -> None:
    fill(park)
    assert park.compute() == []
    assert park.total("park:P-1") == 24 * (2_010 + 7)
    assert park.total("region:CN") == 24 * (1_000 + 1_000 + 7 + 5)
    assert park.total("enterprise:OP") == 0
    found = {
        indicator: (part, whole, met)
        for indicator, part, whole, met in park.rows(
            "select indicator, part::int, whole::int, met from consistency where entity = 'region:CN' and period = %s",
            local_day(DAY),
        )
    }
    assert set(found) == set(BY_ID)
    assert {indicator for indicator, (_, _, met) in found.items() if met is False} == set()
    assert found["missing"] == (0, 4 * 24, True)
    assert found["sum-check"] == (2, 2, True)
    assert found["audit"] == (3 + 1, 4, True)
    assert park.rows(
        "select parent, supplied, accounted, verdict from sum_check where day = %s order by 1", local_day(DAY)
    ) == [
        ("a/E", 24_000, 23_760, "within"),
        ("op/M", 48_240, 48_000, "within"),
    ]


def test_a_pass_that_finds_nothing_new_writes_nothing(park: Park) -> None:
    fill(park)
    park.compute()
    park.compute()  # the warnings of the first pass count as open ones
    kept = "select indicator, entity, period, at, xmin::text from consistency order by 1, 2, 3"
    told = "select id, version from warning_history order by 1, 2"
    before = park.rows(kept), park.rows(told)
    park.compute()
    assert (park.rows(kept), park.rows(told)) == before


def test_a_total_that_differs_from_its_rows_is_told_and_cleared(park: Park) -> None:
    fill(park)
    tamper = "update total_hour t set quantity = quantity + %s from entity e where number = t.entity and id = 'site:a'"
    with park.connection.transaction():
        park.connection.execute(tamper, [50])
    told = park.compute()
    assert {
        ("enterprise:ENT-A", "consistency", "active"),
        ("enterprise:ENT-A", "repeat", "active"),
        ("enterprise:ENT-A", "difference", "active"),
        ("enterprise:ENT-A", "audit", "active"),
        ("region:CN", "difference", "active"),
    } <= set(told)
    assert not {entity for entity, _, _ in told} - {"enterprise:ENT-A", "region:CN"}
    with park.connection.transaction():
        park.connection.execute(tamper, [-50])
    cleared = park.compute(NEXT_DAY + HOUR_MS)
    assert sorted(cleared) == sorted((entity, indicator, "cleared") for entity, indicator, _ in told)
    id_ = "consistency:enterprise:ENT-A:repeat:2026-03-01"
    assert park.rows("select version, state, severity from warning where id = %s", id_) == [
        (2, "cleared", "alert")
    ]
    assert park.rows("select version, state from warning_history where id = %s order by 1", id_) == [
        (1, "active"),
        (2, "cleared"),
    ]
    published = park.rows(
        "select value from outbox where topic = %s and key = %s order by id", topics.WARNINGS, id_
    )
    assert [(value["version"], value["snapshot"]["kind"]) for (value,) in published] == [
        (1, "data quality"),
        (2, "data quality"),
    ]
    ((part, whole, met),) = park.rows(  # it was raised on the next day, as the day was closed then
        "select part::int, whole::int, met from consistency where period = %s and indicator = 'response' "
        "and entity = 'enterprise:ENT-A'", local_day(DAY + DAY_MS),
    )  # fmt: skip
    assert (part / whole, met) == (1.0, True)


def test_missing_questionable_rejected_and_corrected_data_are_counted(park: Park) -> None:
    park.load(tree=TREE_ROWS)
    park.store("a/E", [1_000] * 20)
    park.store("a/E", [1_000] * 2, start=DAY + 20 * HOUR_MS, quality=10)
    park.store("a/E", [1_000], start=DAY + 22 * HOUR_MS, quality=9)
    with park.connection.transaction(), park.connection.cursor() as cursor:
        for outcome, readings in ((Outcome.NEGATIVE, 3), (Outcome.DUPLICATE, 5), (Outcome.UNKNOWN_METER, 1)):
            cursor.execute(
                "insert into ledger values ('test', 'a', %s, 'outcome', %s, %s, 0)",
                [local_day(DAY), int(outcome), readings],
            )
        ((number,),) = cursor.execute("select number from meter where meter_id = 'a/E'").fetchall()
        cursor.execute(
            "insert into correction (tick_ms, time, meter, old_quantity, old_quality, new_quantity, new_quality, "
            "source_partition, source_offset) values (0, %s, %s, 1, 0, 1000, 0, 0, 1)",
            [to_datetime(DAY + HOUR_MS), number],
        )
        cursor.execute(
            "insert into reject (partition, source_offset, row, code, source, meter_id, end_ms) values "
            "(0, 1, 0, %s, 'test', 'a/E', %s), (0, 1, 1, %s, 'test', 'a/E', %s)",
            [int(Outcome.NEGATIVE), DAY + HOUR_MS, int(Outcome.NEGATIVE), DAY + DAY_MS],
        )
    park.compute()
    assert park.value("missing", "enterprise:ENT-A") == (2, 24, False)
    assert park.value("abnormal", "enterprise:ENT-A") == (2, 23, False)
    assert park.value("correction", "enterprise:ENT-A") == (1, 23, True)
    assert park.value("validation", "enterprise:ENT-A") == (23, 27, False)
    assert park.value("cleaning", "enterprise:ENT-A") == (5 + 1, 9, False)
    assert park.value("audit", "enterprise:ENT-A") == (0, 1, False)
    assert park.value("missing") == (2 + 3 * 24, 4 * 24, False)


def test_totals_agree_after_a_tenant_gets_coefficients_of_its_own(park: Park) -> None:
    fill(park)
    before = {
        entity: park.total(entity)
        for entity in ("park:P-1", "region:CN", "region:330502", "enterprise:ENT-A")
    }
    park.load(
        coefficients=(
            "electricity,electricity_average,enterprise:ENT-A,2026-01,0.4,kgCO2/kWh,绿电合同,2026-02-01,me",
        )
    )
    ((classes,),) = park.rows("select count(distinct class) from site where site_id in ('a', 'op', 'x')")
    assert classes == 2
    assert {entity: park.total(entity) for entity in before} == before
    assert park.compute() == []
    assert park.value("space-roll-up")[2] is True


def test_a_parent_that_disagrees_with_its_children_is_found(park: Park) -> None:
    fill(park, master=2_100)
    park.compute()
    assert park.rows("select verdict from sum_check where parent = 'op/M' and day = %s", local_day(DAY)) == [
        ("short",)
    ]
    assert park.value("sum-check", "enterprise:OP") == (0, 1, False)
    assert park.rows(
        "select state from warning where id = 'consistency:enterprise:OP:sum-check:2026-03-01'"
    ) == [("active",)]


def test_timeliness_is_measured_while_time_passes(park: Park) -> None:
    park.load(tree=TREE_ROWS)
    noon = DAY + 12 * HOUR_MS
    park.store("a/E", [1_000] * 12)
    park.compute(noon)  # what was due before nobody can tell
    assert park.value("timeliness", "enterprise:ENT-A") == (0, 0, None)
    park.compute(noon + 20 * MINUTE_MS)  # the hour up to noon has been due for 20 minutes, and is there
    assert park.value("timeliness", "enterprise:ENT-A") == (1, 1, True)
    park.compute(noon + 20 * MINUTE_MS)
    assert park.value("timeliness", "enterprise:ENT-A") == (1, 1, True)
    park.compute(noon + 70 * MINUTE_MS)
    park.compute(noon + 80 * MINUTE_MS)
    park.store("a/E", [1_000], start=noon)  # it comes 20 minutes late
    park.compute(noon + 81 * MINUTE_MS)
    assert park.value("timeliness", "enterprise:ENT-A") == (1, 2, False)


def test_the_command_prints_what_the_service_keeps(park: Park) -> None:
    fill(park, master=2_100)
    park.compute()
    park.connection.commit()
    day = local_day(DAY)
    printed = run_command(park, "--entity", "enterprise:OP", "--day", str(day), "--json")
    assert printed.code == 1, printed.err  # a target is missed
    result = printed.told()
    assert [i["indicator"] for i in result["indicators"] + result["checks"]] == list(BY_ID)
    for shown in result["indicators"] + result["checks"]:
        kept = park.rows(
            "select value::text, met from consistency where (entity, indicator, period) = ('enterprise:OP', %s, %s)",
            shown["indicator"], day,
        )  # fmt: skip
        assert kept == [(shown["value"], shown["met"])]
    assert json.dumps(result["sum_checks"][1]) == json.dumps(
        {"parent": "op/M", "supplied": "50400", "accounted": "48000", "difference": "2400", "children": 2,
         "verdict": "short"}
    )  # fmt: skip
    for_people = run_command(park, "--entity", "site:a", "--day", str(day))
    assert for_people.code == 0
    assert "数据一致性率" in for_people.out
    assert "MISSED" not in for_people.out
    assert run_command(park, "--entity", "site:nowhere").code == 2


def run_command(park: Park, *words: str) -> Done:
    return carbonstream(park.settings, "consistency", *words)
