"""A profile of its own on the runtime's shared binaries; its data is gone when these tests have run."""

from collections.abc import Iterator

import pytest

from carbonstream.ops import local
from carbonstream.ops.local import Addresses

PROFILE = "runtime-tests"


@pytest.fixture(scope="session")
def clean_profile() -> Iterator[str]:
    local.reset(PROFILE)
    yield PROFILE
    local.reset(PROFILE)


@pytest.fixture
def running(clean_profile: str) -> Addresses:
    """Both servers answer, whatever the test before did to them."""
    return local.start(clean_profile)
