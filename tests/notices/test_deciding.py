"""The decisions behind notices, for any input."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors import notices_signing
from carbonstream.processors.notices import (
    CHANGES_A_NOTICE,
    Change,
    Last,
    Open,
    Subscription,
    closes_at,
    enqueue,
    matches,
    notice_id,
    quiet_until,
)
from carbonstream.processors.notices_addresses import channel_kind, is_allowed, is_outward
from carbonstream.processors.notices_delivery import (
    FAILURES_TO_OPEN,
    LONGEST_PAUSE_S,
    TRIED_FOR,
    Answer,
    Outcome,
    delay,
    http_answer,
    pause,
    retry_at,
    step,
)

from .changes import START, change

TIMES = st.datetimes(datetime(2024, 1, 1), datetime(2025, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # a bound
LOCAL_TIMES = st.times().map(lambda t: t.replace(second=0, microsecond=0))
ENTITIES = {"site:a": "enterprise:A", "enterprise:A": "enterprise:A", "site:b": "enterprise:B"}


def subscription(id_: str = "s", **other: Any) -> Subscription:
    given_: dict[str, Any] = {
        "enterprise": "enterprise:A", "operator_group": None, "entities": (), "rules": (), "severity": "notice",
        "quiet": None, "language": "zh", "group_s": 0,
    }  # fmt: skip
    return Subscription(id=id_, **(given_ | other))


SUBSCRIPTIONS = st.lists(
    st.builds(
        subscription,
        st.sampled_from("rstuv"),
        enterprise=st.sampled_from([None, "enterprise:A", "enterprise:B"]),
        severity=st.sampled_from(["notice", "alert", "alarm"]),
        quiet=st.none() | st.tuples(LOCAL_TIMES, LOCAL_TIMES).filter(lambda q: q[0] != q[1]),
        group_s=st.integers(0, 600),
    ),
    unique_by=lambda s: s.id,
    max_size=4,
)
CHANGES = st.lists(
    st.builds(
        change,
        st.sampled_from("wxyz"),
        st.integers(1, 3),
        entity=st.sampled_from([*ENTITIES, "region:330502"]),
        severity=st.sampled_from(["notice", "alert", "alarm"]),
        backfill=st.booleans(),
        state=st.sampled_from(["active", "cleared"]),
    ),
    max_size=12,
).map(lambda changes: sorted(changes, key=lambda c: c.version))


@given(CHANGES, SUBSCRIPTIONS, TIMES)
def test_each_matching_change_is_in_one_notice_of_its_subscription_and_nothing_else_is(
    changes: list[Change], subscriptions: list[Subscription], now: datetime
) -> None:
    added = enqueue(changes, subscriptions, ENTITIES, [], (), {}, (), now)
    wanted = {
        (s.id, c.warning, c.version)
        for s in subscriptions
        for c in changes
        if matches(s, c, ENTITIES.get(c.entity))
    }
    follows = {  # what is told beside that follows a raise that was told
        (j.subscription, j.change.warning, j.change.version)
        for n, j in enumerate(added.joined)
        for before in added.joined[:n]
        if (before.subscription, before.change.warning) == (j.subscription, j.change.warning)
        and before.change.is_active
        and before.change.version < j.change.version
    }
    told = [(j.subscription, j.change.warning, j.change.version) for j in added.joined]
    assert len(told) == len(set(told))
    assert wanted <= set(told) <= wanted | follows
    assert not [j for j in added.joined if j.change.backfill and j.change.is_active]
    owners = {s.id: s.enterprise for s in subscriptions}
    of_notice = {n.id: n.subscription for n in added.notices}
    for joined in added.joined:
        assert of_notice[joined.notice] == joined.subscription
        assert owners[joined.subscription] in (None, ENTITIES.get(joined.change.entity))


@given(CHANGES, SUBSCRIPTIONS, TIMES)
def test_the_same_changes_again_add_nothing(
    changes: list[Change], subscriptions: list[Subscription], now: datetime
) -> None:
    first = enqueue(changes, subscriptions, ENTITIES, [], (), {}, (), now)
    known = {(j.subscription, j.change.warning, j.change.version) for j in first.joined}
    lasts = {
        (j.subscription, j.change.warning): Last(j.change.version, j.change.is_active)
        for j in sorted(first.joined, key=lambda j: j.change.version)
    }
    again = enqueue(
        changes, subscriptions, ENTITIES, first.notices, known, lasts, (), now + timedelta(seconds=1)
    )
    assert again.joined == again.notices == ()


@given(CHANGES, SUBSCRIPTIONS, TIMES, st.data())
def test_no_change_waits_longer_than_its_own_window(
    changes: list[Change], subscriptions: list[Subscription], now: datetime, data: st.DataObject
) -> None:
    open_ = [
        Open(f"open-{s.id}", s.id, now + timedelta(seconds=data.draw(st.integers(-5, 90_000))))
        for s in subscriptions
    ]
    added = enqueue(changes, subscriptions, ENTITIES, open_, (), {}, (), now)
    closing = {n.id: n.closes_at for n in (*open_, *added.notices)}
    by_id = {s.id: s for s in subscriptions}
    for joined in added.joined:
        latest = closes_at(by_id[joined.subscription], joined.change.severity, now)
        assert closing[joined.notice] <= latest
        assert joined.notice not in {o.id for o in open_ if o.closes_at <= now}


@given(CHANGES, SUBSCRIPTIONS, st.sets(st.tuples(st.sampled_from("wxyz"), st.integers(1, 3))), TIMES)
def test_what_is_cleared_is_never_left_as_raised_with_a_subscription(
    changes: list[Change], subscriptions: list[Subscription], quiet: set[tuple[str, int]], now: datetime
) -> None:
    one_state = {(c.warning, c.version): c for c in reversed(changes)}  # the first copy is what happened
    changes = sorted(one_state.values(), key=lambda c: c.version)
    owners = {c.entity: "enterprise:A" for c in changes}
    told = enqueue(changes, subscriptions, owners, [], (), {}, quiet, now).joined
    assert not [j for j in told if j.change.is_active and (j.change.warning, j.change.version) in quiet]
    of_everybody = [s for s in subscriptions if s.enterprise != "enterprise:B"]
    for subscription in of_everybody:
        for warning in {c.warning for c in changes}:
            lasts = [
                j.change for j in told if (j.subscription, j.change.warning) == (subscription.id, warning)
            ]
            newest = [c for c in changes if c.warning == warning][-1]
            assert newest.is_active or not lasts or not lasts[-1].is_active


def test_a_notice_holds_so_many_changes_and_no_more() -> None:
    many = [change(f"w{n}") for n in range(CHANGES_A_NOTICE + 1)]
    everybody = subscription(enterprise=None, group_s=60)
    added = enqueue(many, [everybody], {}, [], (), {}, (), START)
    assert [n.id for n in added.notices] == [
        notice_id("s", "w0", 1),
        notice_id("s", f"w{CHANGES_A_NOTICE}", 1),
    ]


@given(st.tuples(LOCAL_TIMES, LOCAL_TIMES).filter(lambda q: q[0] != q[1]), TIMES)
def test_quiet_hours_end_within_a_day_and_nothing_is_quiet_at_their_end(
    quiet: tuple[time, time], now: datetime
) -> None:
    until = quiet_until(quiet, now)
    if until is not None:
        assert now < until <= now + timedelta(days=1)
        assert quiet_until(quiet, until) is None
    else:
        assert quiet_until((quiet[1], quiet[0]), now) is not None


def test_in_quiet_hours_only_an_alarm_is_told_at_once() -> None:
    night = subscription(quiet=(time(22), time(7)))
    at = datetime(2024, 3, 5, 18, 30, tzinfo=UTC)  # 02:30 local
    assert closes_at(night, "alert", at) == datetime(2024, 3, 5, 23, 0, tzinfo=UTC)
    assert closes_at(night, "alarm", at) == at


@given(st.text(max_size=40), st.integers(1, 200))
def test_delays_double_and_stay_between_half_and_whole(key: str, attempts: int) -> None:
    whole = min(5.0 * 2 ** (attempts - 1), 3_600.0)
    assert whole / 2 <= delay(key, attempts).total_seconds() <= whole
    assert delay(key, attempts) == delay(key, attempts)


@given(
    st.sampled_from(Outcome), st.integers(1, 99), st.timedeltas(timedelta(0), timedelta(hours=30)),
    st.integers(0, 99), TIMES,
)  # fmt: skip
def test_a_delivery_that_was_not_accepted_waits_within_a_day_or_is_dead(
    outcome: Outcome, attempts: int, age: timedelta, failures: int, now: datetime
) -> None:
    since = now - age
    after = step(Answer(outcome, None, ""), "k", attempts, since, failures, now)
    if outcome is Outcome.ACCEPTED:
        assert (after.state, after.failures, after.pause_until) == ("sent", 0, None)
    elif after.state == "waiting":
        assert now < after.next_at <= since + TRIED_FOR
    else:
        assert after.state == "dead"
        assert outcome in (Outcome.GONE, Outcome.REFUSED) or after.next_at > since + TRIED_FOR
    assert (after.disable is not None) == (outcome is Outcome.GONE)
    if after.pause_until is not None:
        assert now < after.pause_until <= now + TRIED_FOR


def test_a_circuit_opens_after_three_failures_for_a_quarter_of_an_hour_at_most() -> None:
    assert pause(FAILURES_TO_OPEN - 1) is None
    assert [pause(n) for n in (3, 4, 7, 8, 99)] == [
        timedelta(seconds=s) for s in (30, 60, 480, LONGEST_PAUSE_S, LONGEST_PAUSE_S)
    ]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), (" 0 ", 0), ("99999999999999", 86_400), ("Tue, 05 Mar 2024 02:01:00 GMT", 60),
     ("Tue, 05 Mar 2024 01:00:00 GMT", 0), ("Tue, 05 Mar 2054 01:00:00 GMT", 86_400),
     ("-5", None), ("soon", None), ("1.5", None), (None, None)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date_and_a_day_at_most(header: str | None, seconds: int | None) -> None:
    expected = None if seconds is None else START + timedelta(seconds=seconds)
    assert retry_at(header, START) == expected


@given(st.integers(100, 599), st.none() | st.text(max_size=30))
def test_every_status_has_one_meaning(code: int, header: str | None) -> None:
    answer = http_answer(code, header, START)
    assert (answer.outcome is Outcome.ACCEPTED) == (200 <= code < 300)
    assert (answer.outcome is Outcome.GONE) == (code == 410)
    assert answer.outcome is not Outcome.LATER or code in (429, 503)


@given(st.binary(min_size=24, max_size=64), st.binary(max_size=300))
def test_a_signature_is_the_standards(key: bytes, body: bytes) -> None:
    secret = notices_signing.secret_text(key)
    made = notices_signing.headers("ntc_1", START, body, [secret])
    signed = f"ntc_1.{int(START.timestamp())}.".encode() + body
    assert made["webhook-signature"] == "v1," + b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert b64decode(secret.removeprefix("whsec_")) == key


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "whsec_%%%", b64encode(bytes(32)).decode()])
def test_a_secret_of_another_shape_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        notices_signing.secret_key(secret)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",  # noqa: S104
     "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
     "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::", "198.18.0.1"],
)  # fmt: skip
def test_an_address_that_is_not_public_is_not_outward(address: str) -> None:
    assert not is_outward(address)


def test_public_addresses_are_outward_and_networks_are_opened_by_name() -> None:
    assert all(map(is_outward, ["93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]))
    assert is_allowed("10.2.3.4", ["10.2.0.0/16"])
    assert is_allowed("::ffff:10.2.3.4", ["10.2.0.0/16"])
    assert not is_allowed("10.3.0.1", ["10.2.0.0/16", "fd00::/8"])


@pytest.mark.parametrize(
    ("address", "kind"),
    [("https://a.example/hook?x=1", "webhook"), ("mailto:a@b.example", "mail"), ("dingtalk://token/", "service")],
)  # fmt: skip
def test_an_address_says_its_kind(address: str, kind: str) -> None:
    assert channel_kind(address) == kind


@pytest.mark.parametrize(
    "address",
    ["", "a.example", "ftp://a.example", "json://10.0.0.1/", "https://", "https://me:pw@a.example/",
     "https://a.example:x/", "https://a.example/#f", "https://a.example/\nx", "mailto:", "mailto:a@b.c?bcc=x@y.z",
     "mailto:a@b.c,d@e.f", "wecombot://key?verify=no", "dingtalk://token/?redirect=yes",
     "https://a.example/" + "x" * 2_000],
)  # fmt: skip
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        channel_kind(address)
