"""A published factor restates every total that is stored, at each level of the meter tree what counts there."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from carbonstream.api.publishing import examine, submit
from carbonstream.ops.api_reads import services
from carbonstream.ops.approval import approve
from carbonstream.processors.publication import Submitted
from carbonstream.schemas.periods import to_ms

from .conftest import FROM, NOW, TREE_ROWS, Park

OLD, NEW = Decimal("0.5"), Decimal("0.4")
PUBLISHED = "electricity,electricity_average,330000,2026-01,0.5,kgCO2/kWh,test,2026-02-01,test"
FACTOR = {
    "carrier": "electricity",
    "kind": "electricity_average",
    "scope": "330000",
    "month": "2026-02",
    "value": "0.4",
    "unit": "kgCO2/kWh",
    "document": "a notice",
}
Shown = dict[str, tuple[Decimal | None, Decimal | None]]


def submitted(park: Park, **changes: str) -> tuple[int, Shown]:
    """The pending publication of the factor, and what its preview shows of each entity."""

    async def work() -> tuple[int, Shown]:
        async with services(park.settings) as here:
            found = await examine(here.database, [Submitted(2, FACTOR | changes)], to_ms(NOW))
            assert found.preview is not None, found.faults
            shown = {d.entity: (d.old, d.new) for d in found.preview.differences}
            return await submit(here.commands, "factor.csv", "Li Na", found.entries), shown

    return asyncio.run(work())


def co2(park: Park, *entities: str) -> dict[str, Decimal | None]:
    """kg of the month as it is read now."""
    return dict(
        park.rows(
            "select e.id, sum(t.co2_kg) from totals_of(array(select number from entity where id = any(%s)), "
            "3::smallint, '2026-03-01 00:00+08', '2026-04-01 00:00+08') t join entity e on e.number = t.entity "
            "group by 1",
            list(entities),
        )
    )


def told_again(park: Park) -> set[str]:
    """Entities that wait for the relay."""
    return {
        entity
        for (entity,) in park.rows(
            "select e.id from restatement r cross join unnest(r.entities) as n (number) join entity e using (number) "
            "where e.kind <> 'class'"
        )
    }


@pytest.fixture
def metered(park: Park) -> Park:
    """The master measured 1,000 MWh, the tenants 900: 500 and 400."""
    park.load(tree=TREE_ROWS, coefficients=(PUBLISHED,))
    park.store("op/M", [1_000_000_000])
    park.store("a/E", [500_000_000])
    park.store("b/E", [400_000_000])
    return park


def test_each_level_is_shown_what_it_has_stored(metered: Park) -> None:
    id_, shown = submitted(metered)
    wanted = {
        "park:P-1": 1_000_000,
        "site:a": 500_000,
        "enterprise:ENT-A": 500_000,
        "enterprise:ENT-B": 400_000,
        "region:CN": 900_000,
        "region:330503": 400_000,
        "industry:C31": 500_000,
    }
    assert {e: shown[e] for e in wanted} == {e: (kwh * OLD, kwh * NEW) for e, kwh in wanted.items()}
    assert "enterprise:OP" not in shown
    approve(metered.settings, id_, "Wang Wei", "")
    assert co2(metered, *shown) == {entity: new for entity, (_, new) in shown.items()}


def test_a_park_with_nothing_but_its_master_is_shown_and_told_again(park: Park) -> None:
    park.load(tree=TREE_ROWS, coefficients=(PUBLISHED,))
    park.store("op/M", [1_000_000_000])
    id_, shown = submitted(park)
    assert shown == {"park:P-1": (500_000, 400_000)}
    restated = approve(park.settings, id_, "Wang Wei", "")
    assert restated["months"] == ["2026-03"]
    assert told_again(park) == {"park:P-1"}


def test_a_site_below_a_meter_of_another_class_is_told_again(park: Park) -> None:
    # b/E stands below a/E, so b's totals are its site's and its enterprise's alone
    park.load(tree=(f"b/E,tenant,a/E,{FROM},",), coefficients=(PUBLISHED,))
    park.store("b/E", [400_000_000])
    id_, shown = submitted(park, scope="330503")
    assert shown == dict.fromkeys(("site:b", "enterprise:ENT-B"), (200_000, 160_000))
    approve(park.settings, id_, "Wang Wei", "")
    assert told_again(park) == {"site:b", "enterprise:ENT-B"}


def test_a_first_own_coefficient_takes_its_enterprises_part_of_the_park_and_the_regions(
    metered: Park,
) -> None:
    metered.load(tree=(f"x/E,tenant,,{FROM},",))
    metered.store("x/E", [100_000_000])
    id_, shown = submitted(metered, scope="enterprise:OP")
    assert shown == {"park:P-1": (500_000, 400_000)}  # its master's meter counts there alone
    approve(metered.settings, id_, "Wang Wei", "")
    id_, shown = submitted(metered, scope="enterprise:ENT-A", value="0.3")
    wanted = {
        "site:a": (250_000, 150_000),
        "enterprise:ENT-A": (250_000, 150_000),
        "region:CN": (500_000, 400_000),
        "industry:C31": (300_000, 200_000),
    }
    assert {e: shown[e] for e in wanted} == wanted
    assert "park:P-1" not in shown
    approve(metered.settings, id_, "Wang Wei", "")
    assert co2(metered, *shown) == {entity: new for entity, (_, new) in shown.items()}
