"""What `edgectl exec` says and returns when nodes are offline."""

from __future__ import annotations

import json
import shutil

from edge_agent.enroll import Wishes
from edge_agent.enroll import enroll as enroll_agent
from edge_wire.private_files import open_data_dir
from edge_wire.v1 import node_pb2
from tests.support.eventually import eventually
from tests.support.harness import Installation


async def test_an_offline_node_fails_at_once_or_is_skipped(pair: Installation) -> None:
    await pair.stop_agent("edge02")
    failed = await pair.edgectl("exec", "--all", "--", "echo", "here")
    assert (failed.code, failed.lines) == (4, ["edge01: here"])
    assert "offline: edge02" in failed.err
    skipped = await pair.edgectl("exec", "--all", "--offline", "skip", "--", "true")
    assert skipped.code == 0
    alone = await pair.edgectl("exec", "edge02", "-o", "json", "--", "true")
    error = json.loads(alone.text)
    assert (alone.code, error["code"], error["started"], error["retryable"]) == (255, "node_offline", False, True)
    assert "edge02 is offline, last seen" in alone.err
    assert error["summary"]["counts"]["offline"] == 1


async def test_a_set_that_happens_to_hold_one_node_keeps_its_prefix(pair: Installation) -> None:
    await pair.stop_agent("edge02")
    done = await pair.edgectl("exec", "--cluster", "default", "--offline", "skip", "--", "echo", "x")
    assert done.lines == ["edge01: x"]


async def test_one_offline_node_that_may_be_skipped_is_no_failure(pair: Installation) -> None:
    await pair.stop_agent("edge02")
    done = await pair.edgectl("exec", "edge02", "--offline", "skip", "--", "true")
    assert (done.code, done.text, done.err) == (0, "", "edgectl: edge02: offline, skipped\n")
    document = json.loads((await pair.edgectl("exec", "edge02", "--offline", "skip", "-o", "json", "--", "true")).text)
    assert (document["schema"], document["counts"]["offline"], document["exit_code"]) == (
        "edgectl.exec.summary/v1",
        1,
        0,
    )


async def test_a_node_that_was_never_seen_is_called_so_and_the_next_command_means_it(site: Installation) -> None:
    await site.edgectl("cluster", "create", "oslo")
    for cluster in ("default", "oslo"):
        open_data_dir(site.directory / cluster)
        await enroll_agent(
            site.directory / cluster, await site.enrollment_key(cluster), Wishes(alias="web-1", labels={})
        )
    done = await site.edgectl("exec", "web-1.oslo", "--", "true")
    hint = "edgectl node show web-1.oslo"
    assert (done.code, done.err) == (255, f"edgectl: node_offline: web-1.oslo is offline, never seen. {hint}\n")
    assert (await site.edgectl(*hint.split()[1:])).code == 0
    near = await site.edgectl("exec", "web-2", "--", "true")
    assert near.err == "edgectl: node_not_found: there is no node 'web-2'. did you mean web-1?\n"


async def test_a_node_in_conflict_is_called_so_with_the_way_out(site: Installation) -> None:
    await site.add_agent("edge01")
    ignored = shutil.ignore_patterns("runner", "lock")
    shutil.copytree(site.directory / "edge01", site.directory / "clone", ignore=ignored)
    await site.start_agent_without_wait("clone")
    await site.wait_status("edge01", node_pb2.NODE_STATUS_CONFLICT)
    for name in ("clone", "edge01"):
        await site.agents.pop(name).stop()

    async def says_so() -> bool:
        done = await site.edgectl("exec", "edge01", "--", "true")
        expected = (
            "edgectl: node_offline: edge01 is in conflict: two machines claim its identity. "
            "give one of the two machines an empty data directory and enroll it anew\n"
        )
        return (done.code, done.err) == (255, expected)

    await eventually(says_so, within=20.0)
