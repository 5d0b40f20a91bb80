"""check_parameters.csv: versions are added and never changed, and what is wrong is named."""

from __future__ import annotations

import psycopg
import pytest

from carbonstream.ops.load import load_files
from carbonstream.processors.vee.parameters import DEFAULTS
from carbonstream.processors.vee.params import VERSION
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.reference_records import CheckParametersRecord

from .conftest import NOW, Connection, Write

HEADER = "name,carrier,kind,interval_s,parameters,state,owner,note"
FEEDERS = "feeders,electricity,interval,900,frozen_floor=8;spike=accept,on,dispatch,feeders start hard"


def load(connection: Connection, write: Write, *rows: str) -> tuple[int, int]:
    counts = load_files(connection, {"check_parameters": write("check_parameters", HEADER, *rows)}, NOW)
    return counts["check_parameters"].added, counts["check_parameters"].changed


def test_a_change_is_a_new_version_and_every_version_is_published_under_its_own_key(
    connection: Connection, write: Write
) -> None:
    assert load(connection, write, FEEDERS) == (1, 0)
    assert load(connection, write, FEEDERS) == (0, 0)
    assert load(connection, write, FEEDERS.replace("=8", "=9")) == (0, 1)
    assert load(connection, write, FEEDERS.replace(",on,", ",off,")) == (0, 1)
    rows = connection.execute(
        "select key, value from outbox where topic = 'ref.rules' order by id"
    ).fetchall()
    told = {key: CheckParametersRecord.model_validate(value) for key, value in rows}
    assert [(key, told[key].parameters["frozen_floor"], told[key].state) for key in told] == [
        ("parameters:feeders@1", "8", "on"),
        ("parameters:feeders@2", "9", "on"),
        ("parameters:feeders@3", "8", "off"),
    ]
    assert told["parameters:feeders@1"].parameters == DEFAULTS | {"frozen_floor": "8", "spike": "accept"}
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"), connection.transaction():
        connection.execute("update check_parameters set state = 'off'")


def test_every_error_names_its_field_and_a_second_set_of_the_same_meters_is_refused(
    connection: Connection, write: Write
) -> None:
    load(connection, write, FEEDERS)
    with pytest.raises(LoadRefused) as refused:
        load(
            connection,
            write,
            "packaged,,,,,on,dispatch,mine",
            "others,vapour,counter,0.5,frozen_floor=1,maybe,dispatch,many faults",
            FEEDERS.replace("feeders,", "again,"),
        )
    named = [": ".join(error.split(": ")[1:2]) for error in refused.value.errors]
    assert named == ["name", "carrier", "kind", "interval_s", "parameters", "state", "name"]
    assert refused.value.errors[-1].endswith(
        "feeders is about the same meters: change that one, or switch it off"
    )
    off = FEEDERS.replace(",on,", ",off,")
    assert load(connection, write, off, FEEDERS.replace("feeders,", "again,")) == (1, 1)


def test_what_is_packaged_is_kept_by_each_release_that_migrates(connection: Connection) -> None:
    rows = connection.execute("select name, version, parameters, state from check_parameters").fetchall()
    assert rows == [("packaged", VERSION, dict(DEFAULTS), "on")]
