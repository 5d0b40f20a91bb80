"""Episodes of one alarm: what puts the alarm aside puts its later episodes aside too."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.alarm_commands import OF_ALARM, Kind, Order
from carbonstream.processors.alarm_desk import Card, Desk, Outcome
from carbonstream.processors.alarm_keys import alarm_key
from carbonstream.processors.alarm_states import Condition, OperatorState
from carbonstream.processors.instant.told import Told
from carbonstream.processors.warnings import State, Transition
from carbonstream.schemas.periods import MINUTE_MS, SECOND_MS
from carbonstream.schemas.warning_rules import RuleKind
from tests.instant.world import T0, rule

names = st.text("ab:/-0", min_size=1, max_size=12)
times = st.integers(0, 10**6).map(lambda s: T0 + s * SECOND_MS)
KINDS = [
    RuleKind.SILENCE, RuleKind.INTERVAL_LIMIT, RuleKind.MAXIMUM_DEMAND, RuleKind.DATA_QUALITY, RuleKind.HABIT,
]  # fmt: skip
NEEDED = {RuleKind.INTERVAL_LIMIT: "limit=1", RuleKind.MAXIMUM_DEMAND: "capacity=1"}


def id_of(kind: RuleKind, entity: str, about: str, begun: int) -> str:
    definition = rule(kind, "meter:S/*", NEEDED.get(kind, ""))
    return Told(definition, entity, about, begun, Transition(State.ACTIVE, begun), {}).id


@given(st.sampled_from(KINDS), names, names, times, times)
def test_the_episodes_of_a_condition_are_one_alarm_the_newest_with_the_greatest_id(
    kind: RuleKind, entity: str, about: str, one: int, other: int
) -> None:
    first, second = (id_of(kind, entity, about, begun) for begun in (one, other))
    assert alarm_key(first, kind.value) == alarm_key(second, kind.value) == f"{kind.value}:{entity}:{about}"
    assert (first < second) == (one < other)


@given(names, times)
def test_a_warning_of_a_target_is_an_alarm_of_its_own(name: str, at: int) -> None:
    id_ = f"target-level:site:{name}:co2:{at}:100"
    assert alarm_key(id_, "target-level") == id_


@dataclass(frozen=True)
class Raise:
    """A new episode; the one before has cleared."""


@dataclass(frozen=True)
class Clear:
    """The newest episode clears."""


events = st.lists(st.sampled_from([Raise(), Clear(), *sorted(OF_ALARM), Kind.ACKNOWLEDGE]), max_size=25)
SHELF_MS = 3 * MINUTE_MS


def episode(n: int) -> str:
    return id_of(RuleKind.INTERVAL_LIMIT, "site:S", "S/E01", T0 + n * MINUTE_MS)


@given(events, st.data())
def test_an_alarm_is_put_aside_with_all_that_follows_whichever_episode_a_command_names(
    events: list[object], data: st.DataObject
) -> None:
    """Against the alarm as one value: shelved until, out of service; a pass and a minute each."""
    stored: dict[str, Card] = {}
    shelved_until, is_out, is_active = 0, False, False
    for n, event in enumerate([Raise(), *events]):
        now = T0 + n * MINUTE_MS
        desk = Desk(now, [])
        for card in stored.values():
            desk.put(card)
        for id_ in stored:
            desk.look(id_)
        by_time = len(desk.written)  # a shelf that expires now annunciates, before what comes now
        assert not ((is_out or now < shelved_until) and any(w.annunciates for w in desk.written))
        if isinstance(event, Raise):
            if is_active:
                newest = max(stored)
                desk.condition(newest, Condition(2, False, now))
            is_active = True
            desk.put(Card(episode(n), "site:S", "interval-limit", 2, 2))
            desk.condition(episode(n), Condition(1, True, now))
        elif isinstance(event, Clear):
            if is_active:
                desk.condition(max(stored), Condition(2, False, now))
            is_active = False
        elif isinstance(event, Kind):
            named = data.draw(st.sampled_from(sorted(stored)))
            answer = desk.order(named, Order(event, "Li Na", "noise", 1, now + SHELF_MS), "c")
            assert answer.warning == named
            if answer.outcome is Outcome.APPLIED and event is not Kind.ACKNOWLEDGE:
                shelved_until = {Kind.SHELVE: now + SHELF_MS, Kind.UNSHELVE: 0}.get(event, shelved_until)
                is_out = {Kind.OUT_OF_SERVICE: True, Kind.RETURN_TO_SERVICE: False}.get(event, is_out)
        stored = dict(desk.cards)
        is_aside = is_out or now < shelved_until
        states = {id_: card.state for id_, card in stored.items()}
        expected = OperatorState.OUT_OF_SERVICE if is_out else OperatorState.SHELVED
        aside = [
            id_ for id_, s in states.items() if s in (OperatorState.OUT_OF_SERVICE, OperatorState.SHELVED)
        ]
        assert aside == ([max(states)] if is_aside else [])
        assert not is_aside or states[max(states)] is expected
        assert not (is_aside and any(w.annunciates for w in desk.written[by_time:]))


def test_the_shelf_of_an_alarm_expires_for_the_episode_that_is_active_then() -> None:
    first, second = (
        Card(episode(0), "site:S", "interval-limit", 2, 2),
        Card(episode(1), "site:S", "interval-limit", 2, 2),
    )
    desk = Desk(T0, [])
    desk.put(first)
    desk.condition(first.id, Condition(1, True, T0))
    desk.order(first.id, Order(Kind.SHELVE, "Li Na", "noise", until=T0 + SHELF_MS), "c")
    desk.condition(first.id, Condition(2, False, T0))
    desk.put(second)
    desk.condition(second.id, Condition(1, True, T0))
    assert [desk.cards[id_].state.value for id_ in (first.id, second.id)] == ["normal", "shelved"]
    then = Desk(T0 + SHELF_MS, [])
    then.put(desk.cards[first.id])
    then.put(desk.cards[second.id])
    then.look(second.id)
    assert [(w.card.id, w.operation, w.annunciates) for w in then.written] == [
        (second.id, "shelf-expired", True)
    ]
