"""What the SSH server counts and remembers between connections, without any connection."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration

from edge_agent.ssh.deeds import Deeds
from edge_agent.ssh.failed_logins import FailedLogins
from edge_agent.ssh.limits import Limits
from edge_agent.ssh.offline_keys import OfflineKeys
from edge_agent.ssh.settings import SshSettings
from edge_wire.v1 import ssh_pb2 as pb
from tests.edge_agent.ssh.ssh_node import Clock
from tests.support.eventually import eventually

START = datetime(2026, 1, 1, tzinfo=UTC)


def failed_logins(window: timedelta) -> tuple[FailedLogins, list[pb.SshLoginFailed]]:
    reports: list[pb.SshLoginFailed] = []
    return FailedLogins(lambda report: reports.append(report.failed), lambda: START, window=window), reports


async def test_a_flood_is_one_report_and_one_count() -> None:
    logins, reports = failed_logins(timedelta(seconds=0.1))
    for number in range(10_000):
        logins.count(pb.SshOrigin(address="203.0.113.9"), f"user-{number}", "refused")
    assert [report.count for report in reports] == [1]
    await eventually(lambda: len(reports) == 2)
    assert [(report.user, report.count) for report in reports] == [("user-0", 1), ("", 9_999)]
    logins.flush()
    assert len(reports) == 2


async def test_kinds_are_counted_by_themselves_and_the_same_user_is_named() -> None:
    logins, reports = failed_logins(timedelta(hours=1))
    for address in ("203.0.113.9", "203.0.113.10"):
        for reason in ("refused", "garbage"):
            for _ in range(3):
                logins.count(pb.SshOrigin(address=address), "alice", reason)
    assert len(reports) == 4
    logins.flush()
    assert [(report.user, report.count) for report in reports[4:]] == [("alice", 2)] * 4


async def test_a_flood_from_everywhere_is_bounded_too() -> None:
    logins, reports = failed_logins(timedelta(hours=1))
    for number in range(10_000):
        logins.count(pb.SshOrigin(address=f"203.0.{number // 256}.{number % 256}"), "", "garbage")
    logins.flush()
    assert len(reports) <= 300
    assert sum(report.count for report in reports) == 10_000


async def test_after_a_quiet_window_the_next_failure_is_told_at_once() -> None:
    logins, reports = failed_logins(timedelta(seconds=0.01))
    logins.count(pb.SshOrigin(address="203.0.113.9"), "alice", "refused")
    await eventually(lambda: not logins._held)
    logins.count(pb.SshOrigin(address="203.0.113.9"), "alice", "refused")
    assert len(reports) == 2
    logins.flush()


def question(user: str = "alice", key: bytes = b"key", address: str = "10.0.0.1", **who: str) -> pb.SshQuestion:
    return pb.SshQuestion(user=user, public_key=key, origin=pb.SshOrigin(address=address, **who))


ANSWER = pb.SshAnswer(is_verified=True, local_account="www", credential_id="key/1")


def test_a_verified_key_is_good_for_the_same_user_and_address_only() -> None:
    keys = OfflineKeys(timedelta(hours=1), Clock())
    keys.remember(question(), ANSWER)
    assert keys.find(question()) == ANSWER
    for other in (question(user="bob"), question(key=b"other"), question(address="10.0.0.2")):
        assert keys.find(other) is None


def test_a_key_is_good_from_its_last_verification_on() -> None:
    clock = Clock()
    keys = OfflineKeys(timedelta(hours=1), clock)
    keys.remember(question(), ANSWER)
    clock.offset = timedelta(minutes=50)
    keys.remember(question(), pb.SshAnswer(is_verified=True, local_account="www", credential_id="key/1"))
    clock.offset = timedelta(minutes=100)
    found = keys.find(question())
    assert found == ANSWER
    assert found is not None
    keys.remember(question(), found)
    clock.offset = timedelta(minutes=120)
    assert keys.find(question()) is None
    clock.offset = timedelta(minutes=-10)
    assert keys.find(question()) is None, "a clock that went back proves nothing"


def test_passwords_and_what_came_through_tunnels_are_not_remembered() -> None:
    keys = OfflineKeys(timedelta(hours=1), Clock())
    password = pb.SshQuestion(user="alice", password="secret", origin=pb.SshOrigin(address="10.0.0.1"))
    for asked in (password, question(principal="carol")):
        keys.remember(asked, ANSWER)
        assert keys.find(asked) is None


def test_what_is_good_for_one_login_only_is_not_remembered() -> None:
    keys = OfflineKeys(timedelta(hours=1), Clock())
    for credential_id in ("admission/1", "token/1", "", "1"):
        keys.remember(question(), pb.SshAnswer(is_verified=True, credential_id=credential_id))
    assert keys.find(question()) is None
    assert keys.credential_ids() == []


@pytest.mark.parametrize(
    ("seconds", "minutes_later", "is_good"),
    [(1800, 20, True), (1800, 40, False), (2**40, 50, True), (2**40, 70, False), (0, 1, False), (-5, 1, False)],
)
def test_a_key_is_remembered_for_no_longer_than_it_lasts(seconds: int, minutes_later: int, is_good: bool) -> None:
    clock = Clock()
    keys = OfflineKeys(timedelta(hours=1), clock)
    answer = pb.SshAnswer(is_verified=True, credential_id="key/1", valid_for=Duration(seconds=seconds))
    keys.remember(question(), answer)
    clock.offset = timedelta(minutes=minutes_later)
    assert (keys.find(question()) is not None) == is_good
    assert keys.credential_ids() == (["key/1"] if is_good else [])


def test_a_no_is_about_the_user_and_the_key_wherever_it_comes_from() -> None:
    keys = OfflineKeys(timedelta(hours=1), Clock())
    for asked in (question(), question(address="10.0.0.2"), question(user="bob"), question(key=b"other")):
        keys.remember(asked, ANSWER)
    keys.deny(question(address="10.0.0.3"))
    assert keys.find(question()) is keys.find(question(address="10.0.0.2")) is None
    assert keys.find(question(user="bob")) == keys.find(question(key=b"other")) == ANSWER
    keys.forget(["key/1"])
    assert keys.credential_ids() == []


def test_the_keys_that_are_remembered_are_bounded_and_off_by_default() -> None:
    keys = OfflineKeys(timedelta(hours=1), Clock())
    for number in range(65):
        keys.remember(question(key=str(number).encode()), ANSWER)
    assert keys.find(question(key=b"0")) is None
    assert keys.find(question(key=b"1")) == ANSWER
    off = OfflineKeys(SshSettings().offline_grace, Clock())
    off.remember(question(), ANSWER)
    assert off.find(question()) is None


def port(address: str) -> pb.SshOrigin:
    return pb.SshOrigin(address=address)


def tunnel(address: str) -> pb.SshOrigin:
    return pb.SshOrigin(address=address, principal="carol", tunnel_id="t-1")


def test_places_are_given_back() -> None:
    limits = Limits(SshSettings(max_sessions=3, max_unauthenticated=3, max_unauthenticated_per_address=2))
    a, b, c = port("192.0.2.1"), port("192.0.2.2"), port("192.0.2.3")
    assert [limits.enter(origin) for origin in (a, a, a, b, b)] == [True, True, False, True, False]
    assert limits.log_in(a)
    assert limits.log_in(b)
    assert not limits.log_in(a)
    assert not limits.enter(c), "there are as many sessions as there may be"
    limits.leave(b, has_logged_in=True)
    assert limits.log_in(a)
    limits.leave(a, has_logged_in=True)
    assert limits.enter(c)


def test_strangers_on_the_port_leave_tunnels_their_places() -> None:
    limits = Limits(SshSettings(max_sessions=8, max_unauthenticated=3, max_unauthenticated_per_address=2))
    assert [limits.enter(port(f"192.0.2.{number}")) for number in range(4)] == [True, True, True, False]
    assert [limits.enter(tunnel("192.0.2.1")) for _ in range(3)] == [True, True, False]
    assert limits.enter(tunnel("192.0.2.2"))
    assert not limits.enter(tunnel("192.0.2.3"))


def test_a_quarter_of_the_sessions_is_for_tunnels() -> None:
    limits = Limits(SshSettings(max_sessions=8))
    here, there = port("192.0.2.1"), tunnel("192.0.2.1")

    def sessions(origin: pb.SshOrigin) -> int:
        count = 0
        while limits.enter(origin) and limits.log_in(origin):
            count += 1
        return count

    assert (sessions(here), sessions(there)) == (6, 2)
    for _ in range(6):
        limits.leave(here, has_logged_in=True)
    assert (sessions(there), sessions(here)) == (6, 0), "tunnels may have all of them"


def test_the_only_session_may_come_through_the_port() -> None:
    limits = Limits(SshSettings(max_sessions=1))
    assert limits.enter(port("192.0.2.1"))
    assert limits.log_in(port("192.0.2.1"))
    assert not limits.enter(tunnel("192.0.2.1"))


@pytest.mark.parametrize(
    ("first", "second", "are_one"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("127.0.0.1", "127.9.9.9", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("no address", "no address", True),
    ],
)
def test_what_one_holder_of_addresses_has_is_counted_as_one(first: str, second: str, are_one: bool) -> None:
    limits = Limits(SshSettings(max_unauthenticated_per_address=1))
    assert limits.enter(port(first))
    assert limits.enter(port(second)) != are_one
    limits.leave(port(first), has_logged_in=False)
    assert limits.enter(port(first))


async def test_deeds_are_bounded_and_readable() -> None:
    deeds = Deeds()
    for number in range(101):
        deeds.add_program("exec", b"\xff\0\x1b[2J" + str(number).encode() + b"x" * 300_000)
        deeds.add_forwarding("local", f"host:{number}")
        deeds.add_forwarding("local", "host:0")
    await asyncio.gather(*[asyncio.to_thread(deeds.count, received=1, sent=2) for _ in range(50)])
    copy = deeds.copy()
    assert (len(copy.programs), len(copy.forwardings), copy.is_cut) == (100, 100, True)
    assert max(len(text.encode()) for text in copy.programs) <= 1024
    assert all(text.isprintable() for text in copy.programs)
    assert (copy.bytes_received, copy.bytes_sent) == (50, 100)
