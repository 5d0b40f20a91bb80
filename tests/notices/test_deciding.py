"""The decisions behind notices, for any input."""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from contextlib import nullcontext
from datetime import UTC, datetime, time, timedelta
from ipaddress import IPv4Address, IPv6Address
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
from carbonstream.processors.notices_addresses import (
    channel_kind,
    is_allowed,
    is_outward,
    judged_kind,
    redacted,
    why_closed,
)
from carbonstream.processors.notices_delivery import (
    FAILURES_TO_OPEN,
    LONGEST_PAUSE_S,
    OBEYED_FOR,
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


@pytest.mark.parametrize(
    ("comes", "due"),
    [((21, 0), (22, 0)), ((21, 1), (31, 0)), ((21, 59), (31, 0)), ((30, 30), (31, 30)), ((31, 0), (32, 0))],
)
def test_a_window_that_ends_in_quiet_hours_waits_for_their_end(
    comes: tuple[int, int], due: tuple[int, int]
) -> None:
    night = subscription(quiet=(time(22, 1), time(7)), group_s=3_600)
    midnight = datetime(2024, 3, 4, 16, 0, tzinfo=UTC)  # local
    at, until = (midnight + timedelta(hours=hour, minutes=minute) for hour, minute in (comes, due))
    assert closes_at(night, "alert", at) == until
    assert closes_at(night, "alarm", at) == at + timedelta(hours=1)


@given(
    st.tuples(LOCAL_TIMES, LOCAL_TIMES).filter(lambda q: q[0] != q[1]),
    st.integers(0, 86_400),
    st.lists(st.tuples(st.sampled_from(["notice", "alert", "alarm"]), st.integers(0, 7_200)), max_size=12),
    TIMES,
)
def test_nothing_that_quiet_hours_hold_is_ever_due_within_them(
    quiet: tuple[time, time], group_s: int, coming: list[tuple[str, int]], now: datetime
) -> None:
    everybody = subscription(enterprise=None, quiet=quiet, group_s=group_s)
    due: dict[str, Open] = {}
    for number, (severity, after_s) in enumerate(coming):
        now += timedelta(seconds=after_s)
        one = change(f"w{number}", severity=severity)
        added = enqueue([one], [everybody], {}, due.values(), (), {}, (), now)
        due |= {notice.id: notice for notice in added.notices}
        (joined,) = added.joined
        at = due[joined.notice].closes_at
        if severity == "alarm":
            assert at <= now + timedelta(seconds=group_s)
        else:
            assert quiet_until(quiet, at) is None


@given(st.text(max_size=40), st.integers(1, 200))
def test_delays_double_and_stay_between_half_and_whole(key: str, attempts: int) -> None:
    whole = min(5.0 * 2 ** (attempts - 1), 3_600.0)
    assert whole / 2 <= delay(key, attempts).total_seconds() <= whole
    assert delay(key, attempts) == delay(key, attempts)


@given(
    st.sampled_from(Outcome), st.integers(1, 99), st.timedeltas(timedelta(0), timedelta(hours=60)),
    st.integers(0, 99), st.none() | st.timedeltas(timedelta(0), TRIED_FOR), TIMES,
)  # fmt: skip
def test_a_delivery_that_was_not_accepted_waits_within_its_time_or_is_dead(
    outcome: Outcome, attempts: int, age: timedelta, failures: int, wait: timedelta | None, now: datetime
) -> None:
    since = now - age
    named = wait is not None and outcome is Outcome.LATER
    until = since + (OBEYED_FOR if named else TRIED_FOR)
    answer = Answer(outcome, None, "", now + wait if wait is not None and named else None)
    after = step(answer, "k", attempts, since, failures, now)
    if outcome is Outcome.ACCEPTED:
        assert (after.state, after.failures, after.pause_until) == ("sent", 0, None)
    elif after.state == "waiting":
        assert now < after.next_at <= until
    else:
        assert after.state == "dead"
        assert outcome in (Outcome.GONE, Outcome.REFUSED) or after.next_at > until
    assert (after.disable is not None) == (outcome is Outcome.GONE)
    if after.pause_until is not None:
        assert now < after.pause_until <= now + TRIED_FOR


@given(st.timedeltas(timedelta(0), TRIED_FOR), st.timedeltas(timedelta(minutes=1), TRIED_FOR))
def test_a_wait_named_within_the_day_is_obeyed_and_the_failure_after_it_is_the_end(
    age: timedelta, wait: timedelta
) -> None:
    named = Answer(Outcome.LATER, 429, "", START + age + wait)
    after = step(named, "k", 1, START, 0, START + age)
    assert (after.state, after.next_at) == ("waiting", START + age + wait)
    late = max(after.next_at, START + TRIED_FOR)
    assert step(Answer(Outcome.FAILED, 500, ""), "k", 2, START, 1, late).state == "dead"


@given(st.none() | st.timedeltas(timedelta(0), timedelta(minutes=15)), st.integers(0, 9))
def test_an_answer_to_come_later_counts_as_a_failure_in_a_row(wait: timedelta | None, failures: int) -> None:
    answer = Answer(Outcome.LATER, 429, "", None if wait is None else START + wait)
    assert step(answer, "k", 1, START, failures, START).failures == failures + 1


@given(st.timedeltas(timedelta(minutes=15, seconds=1), TRIED_FOR), st.integers(0, 9))
def test_a_long_wait_opens_the_circuit_at_once(wait: timedelta, failures: int) -> None:
    answer = Answer(Outcome.LATER, 429, "", START + wait)
    assert step(answer, "k", 1, START, failures, START).failures >= FAILURES_TO_OPEN


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
     "wecombot://", "feishu://a.b", "dingtalk://se%20cret@token", "lark://?token=%2F",
     "https://a.example/" + "x" * 2_000],
)  # fmt: skip
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        channel_kind(address)


@pytest.mark.parametrize(
    ("address", "networks"),
    [("https://8.8.8.8/x", []), ("https://[2606:4700::1111]/x", []), ("http://10.2.3.4:8080/x", ["10.2.0.0/16"]),
     ("https://10.2.3.4/x", ["10.2.0.0/16"]), ("https://a.example/x", []), ("http://a.example/x", ["10.2.0.0/16"])],
)  # fmt: skip
def test_a_webhook_that_can_work_is_taken(address: str, networks: list[str]) -> None:
    assert judged_kind(address, networks) == "webhook"


@pytest.mark.parametrize(
    ("address", "networks"),
    [("http://8.8.8.8/x", []), ("http://8.8.8.8/x", ["10.2.0.0/16"]), ("https://[::1]/x", []),
     ("https://10.3.0.1/x", ["10.2.0.0/16"]), ("https://169.254.169.254/x", []), ("https://[fe80::1%25eth0]/x", []),
     ("http://a.example/x", [])],
)  # fmt: skip
def test_a_webhook_that_can_never_work_is_refused_with_the_remedy(address: str, networks: list[str]) -> None:
    with pytest.raises(ValueError, match=r"https|CARBONSTREAM_NOTIFY_NETWORKS"):
        judged_kind(address, networks)


@given(st.ip_addresses(), st.booleans(), st.sampled_from([(), ("10.0.0.0/8",), ("::/0", "0.0.0.0/0")]))
def test_an_address_is_judged_at_subscribing_as_it_is_at_sending(
    address: IPv4Address | IPv6Address, tls: bool, networks: tuple[str, ...]
) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    closed = why_closed(str(address), networks, tls=tls)
    refusal = nullcontext() if closed is None else pytest.raises(ValueError, match=f"^{re.escape(closed)}$")
    with refusal:
        assert judged_kind(f"{'https' if tls else 'http'}://{host}/x", networks) == "webhook"


@pytest.mark.parametrize(
    ("address", "shown"),
    [("https://a.example:8443/hooks/TOKEN?key=TOKEN", "https://a.example:8443/..."),
     ("mailto:energy@steel.example", "mailto:e***@steel.example"),
     ("mailto:e@steel.example", "mailto:e***@steel.example"),
     ("dingtalk://SECRET@TOKEN/", "dingtalk://..."), ("wecombot://KEY", "wecombot://...")],
)  # fmt: skip
def test_an_address_is_shown_without_what_it_takes_to_send_there(address: str, shown: str) -> None:
    assert redacted(address) == shown
