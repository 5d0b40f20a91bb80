"""Sequence numbers never come twice, whatever ends a source."""

import shutil
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.connectors.sources.sequence import BLOCK, SequenceStore
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.errors import NotReady, SourceInUse

NOW = 1_717_171_717_000

takes = st.tuples(
    st.sampled_from(Mode), st.integers(0, 63), st.integers(1, 3) | st.sampled_from([BLOCK, 2 * BLOCK])
)
ends = st.sampled_from(["stop", "crash"])


@given(st.lists(st.tuples(st.lists(takes, max_size=8), ends), max_size=8))
@settings(max_examples=25, deadline=None)
def test_no_number_comes_twice_and_a_clean_stop_skips_none(runs: list) -> None:
    last: dict[tuple[Mode, int], int] = {}
    exact = True
    with TemporaryDirectory() as parent:
        state = Path(parent) / "0"
        for i, (wanted, end) in enumerate(runs):
            store = SequenceStore(state, "http/gw-7", NOW)
            for mode, shard, count in wanted:
                first = store.take(mode, shard, count)
                before = last.get((mode, shard))
                if before is None:
                    assert first == NOW << 10
                elif exact:
                    assert first == before + 1
                else:
                    assert first > before
                last[mode, shard] = first + count - 1
            exact = exact and end == "stop"
            if end == "crash":  # what a crash leaves is the folder as it stands
                shutil.copytree(state, Path(parent) / str(i + 1))
                state = Path(parent) / str(i + 1)
            store.close()


def test_a_lost_state_folder_starts_above_everything_sent_before(tmp_path: Path) -> None:
    before = SequenceStore(tmp_path / "a", "gw", NOW)
    sent = [before.take(Mode.LIVE, 3) for _ in range(5_000)]
    before.close()
    after = SequenceStore(tmp_path / "b", "gw", NOW + 5_000)
    assert after.take(Mode.LIVE, 3) > max(sent)
    after.close()
    assert all(b == a + 1 for a, b in pairwise(sent))


def test_a_sequence_fits_into_the_exact_integers_of_json(tmp_path: Path) -> None:
    store = SequenceStore(tmp_path, "gw", 4_102_444_800_000)  # 2100
    assert store.take(Mode.LIVE, 0) < 2**53
    store.close()


def test_two_processes_cannot_send_under_one_source(tmp_path: Path) -> None:
    store = SequenceStore(tmp_path, "http/gw-7", NOW)
    with pytest.raises(SourceInUse, match=r"source 'http/gw-7' is in use by process \d+"):
        SequenceStore(tmp_path, "http/gw-7", NOW)
    store.close()
    SequenceStore(tmp_path, "http/gw-7", NOW).close()


def test_a_damaged_file_says_how_to_go_on_and_leaves_no_lock(tmp_path: Path) -> None:
    store = SequenceStore(tmp_path, "gw", NOW)
    store.close()
    (store.folder / "sequence.json").write_bytes(b'{"live/3": 17')
    for _ in range(2):
        with pytest.raises(NotReady, match="delete it"):
            SequenceStore(tmp_path, "gw", NOW)


@pytest.mark.parametrize("source", ["..", "a/../../b", "湖州/网关 7", "replay/" + "表" * 193])
def test_any_source_name_stays_within_the_state_folder(tmp_path: Path, source: str) -> None:
    store = SequenceStore(tmp_path / "state", source, NOW)
    assert store.folder.resolve().parent == (tmp_path / "state").resolve()
    store.close()


def test_long_names_that_begin_alike_have_folders_of_their_own(tmp_path: Path) -> None:
    first, second = (SequenceStore(tmp_path, "表" * 100 + year, NOW) for year in ("2023", "2024"))
    assert first.folder != second.folder
    first.close()
    second.close()


@pytest.mark.parametrize("source", ["", "a\nb", "x" * 201])
def test_a_name_that_no_frame_may_bear_is_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(NotReady, match="1 to 200 printable characters"):
        SequenceStore(tmp_path, source, NOW)
    assert not list(tmp_path.iterdir())
