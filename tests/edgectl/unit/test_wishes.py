"""Checks what one exec was asked to do: when it is about one node, what is refused, and the request it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from google.protobuf.duration_pb2 import Duration

from edge_wire.errors import SelectorEmpty, UsageError
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import selector_pb2
from edgectl.execution.portions import read_portion
from edgectl.execution.wishes import How, Pace, View, Wishes, check, check_display, to_request
from edgectl.selectors import SelectorWords

UPTIME = ["uptime"]
ONE = SelectorWords(nodes=["web-1"])


@pytest.mark.parametrize(
    "node", ["web-1", "WEB", "7", "web-1.oslo", "0f8f", "node-web-1.cluster-oslo.nm.internal", "0f8fad5b-d9cb"]
)
def test_one_plain_name_is_one_node(node: str) -> None:
    assert Wishes(selector=SelectorWords(nodes=[node])).is_one_node
    assert Wishes(selector=SelectorWords(nodes=[node])).passes_code


@pytest.mark.parametrize(
    "wishes",
    [
        Wishes(selector=SelectorWords(nodes=[])),
        Wishes(selector=SelectorWords(nodes=[""])),
        Wishes(selector=SelectorWords(nodes=["web-1", "web-1"])),
        Wishes(selector=SelectorWords(nodes=["edge[01-40]"])),
        Wishes(selector=SelectorWords(nodes=["edge[1]"])),
        Wishes(selector=SelectorWords(nodes=["web-1,web-2"])),
        Wishes(selector=SelectorWords(nodes=["web-*"])),
        Wishes(selector=SelectorWords(nodes=["@command:9f3c=failed"])),
        Wishes(selector=SelectorWords(nodes=["!web-1"])),
        Wishes(selector=SelectorWords(nodes=["-x"])),
        Wishes(selector=SelectorWords(nodes=["web-1\n"])),
        Wishes(selector=SelectorWords(nodes=["web-1"], clusters=["oslo"])),
        Wishes(selector=SelectorWords(nodes=["web-1"], is_all=True)),
        Wishes(selector=SelectorWords(nodes=[], is_all=True)),
    ],
)
def test_anything_else_is_a_fleet_however_many_nodes_it_matches(wishes: Wishes) -> None:
    assert not wishes.is_one_node
    assert not wishes.passes_code


@pytest.mark.parametrize("policy", ["fleet", "none"])
def test_an_exit_policy_keeps_the_remote_code_from_passing(policy: str) -> None:
    wishes = Wishes(selector=SelectorWords(nodes=["web-1"]), exit_policy="fleet" if policy == "fleet" else "none")
    assert wishes.is_one_node
    assert not wishes.passes_code


@pytest.mark.parametrize("view", ["grouped", "diff", "summary", "none"])
def test_a_view_beside_machine_output_would_do_nothing_and_is_refused(view: View) -> None:
    wishes = Wishes(selector=ONE, view=view)
    check_display(wishes, is_machine=False, is_detached=False)
    with pytest.raises(UsageError, match=f"--view {view} and -o json or jsonl exclude each other"):
        check_display(wishes, is_machine=True, is_detached=False)


def test_files_of_a_command_that_nobody_waits_for_are_refused() -> None:
    wishes = Wishes(selector=ONE, outdir=Path("out"))
    check_display(wishes, is_machine=True, is_detached=False)
    with pytest.raises(UsageError, match="--outdir and --detach exclude each other"):
        check_display(wishes, is_machine=False, is_detached=True)


@pytest.mark.parametrize(("view", "is_seen"), [("stream", True), ("diff", True), ("summary", False), ("none", False)])
def test_output_is_seen_in_a_view_or_in_files(view: View, is_seen: bool) -> None:
    assert Wishes(selector=ONE, view=view).shows_output == is_seen
    assert Wishes(selector=ONE, view=view, outdir=Path("out")).shows_output


def test_a_whole_wish_is_accepted() -> None:
    for words in (
        SelectorWords(nodes=["web-1"]),
        SelectorWords(clusters=["oslo"]),
        SelectorWords(is_all=True),
        SelectorWords(labels=["site=oslo"]),
        SelectorWords(listed=["web-1"]),
    ):
        check(Wishes(selector=words), UPTIME)


@pytest.mark.parametrize(("remote", "message"), [(None, "what to run is missing"), ([], "there is nothing behind --")])
def test_without_something_to_run_the_usage_is_shown(remote: Sequence[str] | None, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        check(Wishes(selector=SelectorWords(nodes=["web-1"])), remote)
    assert raised.value.hint == "edgectl exec NODE... -- PROGRAM [ARGUMENT...]"


def test_no_selector_is_an_error_and_never_all() -> None:
    with pytest.raises(SelectorEmpty):
        check(Wishes(selector=SelectorWords(nodes=[])), UPTIME)


def test_a_wrong_fanout_is_found_before_anything_is_sent() -> None:
    with pytest.raises(UsageError, match="--fanout '0'"):
        check(Wishes(selector=SelectorWords(nodes=["web-1"]), pace=Pace(fanout="0")), UPTIME)


@pytest.mark.parametrize(
    ("text", "fanout"),
    [
        ("1", pb.Portion(count=1)),
        ("64", pb.Portion(count=64)),
        ("999999", pb.Portion(count=999_999)),
        ("1%", pb.Portion(percent=1)),
        ("100%", pb.Portion(percent=100)),
    ],
)
def test_a_fanout_is_a_number_or_a_share(text: str, fanout: pb.Portion) -> None:
    assert read_portion("--fanout", text) == fanout


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "-1", "+1", "1.5", "%", "5%%", " 5", "5\n", "all", "1000000"])
def test_any_other_fanout_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is neither a number from 1 on nor 1% to 100%"):
        read_portion("--fanout", text)


def test_a_request_says_what_was_wished() -> None:
    wishes = Wishes(
        selector=SelectorWords(
            nodes=["web-1", "web-2"],
            clusters=["oslo"],
            labels=["site=oslo"],
            exclude=["web-3"],
            is_online=True,
            pick=3,
            listed=["web[7-9]"],
        ),
        argv=["sh", "-c", "", "a b"],
        pace=Pace(
            fanout="25%",
            batch="2",
            pause=timedelta(seconds=5),
            max_errors="0",
            timeout=timedelta(seconds=30),
            deadline=timedelta(hours=1),
            contact_timeout=timedelta(0),
            offline="queue",
            expires=timedelta(days=1),
        ),
        how=How(user="web", cwd="/srv", environment=["A=b=c"], stdin="-"),
        name="nightly",
        request_id="r-7",
    )
    assert to_request(wishes, is_exact=True) == pb.CreateCommandRequest(
        selector=selector_pb2.Selector(
            nodes=["web-1", "web-2", "web[7-9]"],
            clusters=["oslo"],
            labels=["site=oslo"],
            exclude=["web-3"],
            online=True,
            pick=3,
        ),
        spec=pb.CommandSpec(
            argv=pb.Argv(arguments=["sh", "-c", "", "a b"]),
            timeout=Duration(seconds=30),
            contact_timeout=Duration(),
            offline=pb.OFFLINE_POLICY_QUEUE,
            fanout=pb.Portion(percent=25),
            batch=pb.Portion(count=2),
            pause=Duration(seconds=5),
            max_errors=pb.Portion(count=0),
            deadline=Duration(seconds=3600),
            expires=Duration(seconds=86400),
            user="web",
            working_directory="/srv",
            environment=[pb.EnvironmentVariable(name="A", value="b=c")],
            has_stdin=True,
            exact_output=True,
            name="nightly",
        ),
        request_id="r-7",
    )


def test_what_was_not_wished_is_absent_from_the_request() -> None:
    spec = to_request(Wishes(selector=SelectorWords(nodes=["web-1"]), argv=UPTIME)).spec
    assert not any(spec.HasField(field) for field in ("timeout", "kill_after", "contact_timeout", "shell"))
    assert spec.offline == pb.OFFLINE_POLICY_FAIL
    assert spec.fanout.count == 64


def test_a_shell_is_involved_only_when_asked_for() -> None:
    words = ["df", "-h", "|", "tail", "-1"]
    assert list(to_request(Wishes(selector=SelectorWords(nodes=["web-1"]), argv=words)).spec.argv.arguments) == words
    spec = to_request(Wishes(selector=SelectorWords(nodes=["web-1"]), argv=words, how=How(is_shell=True))).spec
    assert spec.shell == "df -h | tail -1"
    assert not spec.HasField("argv")


def test_every_request_has_an_id_of_its_own() -> None:
    wishes = Wishes(selector=SelectorWords(nodes=["web-1"]), argv=UPTIME)
    ids = {to_request(wishes).request_id for _ in range(10)}
    assert len(ids) == 10
    assert all(UUID(found) for found in ids)
