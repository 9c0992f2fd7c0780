"""What `edgectl exec` says and returns when nodes are offline."""

from __future__ import annotations

import json

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
