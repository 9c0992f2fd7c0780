"""The schedule of faults: a pure function of the seed."""

from __future__ import annotations

from collections import Counter

from tests.chaos.faults import LONGEST_FREEZE, OF_DATABASE, Kind, schedule

NODES = ["edge01", "edge02", "edge03"]
ADMINS = ["admin1", "admin2"]


def test_the_same_seed_gives_the_same_faults_and_another_one_others() -> None:
    first = schedule(7, seconds=60, nodes=NODES, admins=ADMINS, has_server=True)
    assert first == schedule(7, seconds=60, nodes=NODES, admins=ADMINS, has_server=True)
    assert first != schedule(8, seconds=60, nodes=NODES, admins=ADMINS, has_server=True)


def test_faults_come_in_order_within_the_run_at_about_the_rate() -> None:
    faults = schedule(1, seconds=600, nodes=NODES, admins=ADMINS, has_server=True, per_second=2.0)
    times = [fault.at for fault in faults]
    assert times == sorted(times)
    assert 0 < times[0] < times[-1] < 600
    assert 1000 < len(faults) < 1400


def test_every_kind_happens_and_hits_everyone() -> None:
    faults = schedule(1, seconds=2000, nodes=NODES, admins=ADMINS, has_server=True)
    assert {fault.kind for fault in faults} == set(Kind)
    targets = Counter(fault.target for fault in faults)
    assert set(targets) == {"", *NODES, *ADMINS}


def test_without_a_server_the_database_is_left_alone() -> None:
    faults = schedule(1, seconds=2000, nodes=NODES, admins=ADMINS[:1], has_server=False)
    assert {fault.kind for fault in faults} == set(Kind) - OF_DATABASE


def test_freezes_last_from_half_a_second_to_twenty() -> None:
    faults = schedule(1, seconds=5000, nodes=NODES, admins=ADMINS, has_server=True)
    spans = [fault.seconds for fault in faults if fault.kind.value.startswith("freeze")]
    assert min(spans) >= 0.5
    assert LONGEST_FREEZE * 0.95 < max(spans) <= LONGEST_FREEZE
