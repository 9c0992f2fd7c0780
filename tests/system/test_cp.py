"""`edgectl cp` through an admin, to real nodes and from them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.support.harness import Installation


async def test_a_file_goes_to_several_nodes_and_comes_back_apart(pair: Installation, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(os.urandom(3_000_000))
    there = tmp_path / "there"
    pushed = await pair.edgectl("cp", str(tmp_path / "big"), f"edge[01-02]:{there}", "-f", "1", "-o", "json")
    assert (pushed.code, {row["outcome"] for row in json.loads(pushed.text)}) == (0, {"ok"})
    pulled = await pair.edgectl("cp", f"edge[01-02]:{there}", str(tmp_path / "back"), "-o", "jsonl")
    assert (pulled.code, [json.loads(line)["bytes"] for line in pulled.lines]) == (0, [3_000_000, 3_000_000])
    for node in ("edge01", "edge02"):
        assert (tmp_path / "back" / node / "there").read_bytes() == (tmp_path / "big").read_bytes()


async def test_labels_pick_the_nodes_and_a_directory_goes_whole(pair: Installation, tmp_path: Path) -> None:
    await pair.edgectl("node", "set", "edge02", "--label", "site=oslo")
    site = tmp_path / "site"
    (site / "deep").mkdir(parents=True)
    (site / "deep" / "page").write_text("hello")
    done = await pair.edgectl("cp", "-r", str(site), f":{tmp_path}/copy", "-l", "site=oslo", "-o", "json")
    assert [(row["node"], row["files"]) for row in json.loads(done.text)] == [("edge02", 1)]
    assert (tmp_path / "copy" / "deep" / "page").read_text() == "hello"


async def test_what_cannot_be_copied_says_why(one_node: Installation, tmp_path: Path) -> None:
    missing = await one_node.edgectl("cp", "edge01:/no/such/file", str(tmp_path))
    assert (missing.code, "no such file" in missing.err) == (3, True)
    unknown = await one_node.edgectl("cp", "edge99:/etc/hostname", str(tmp_path))
    assert (unknown.code, "node_not_found" in unknown.err) == (5, True)
    nowhere = await one_node.edgectl("cp", str(tmp_path), str(tmp_path / "b"))
    assert (nowhere.code, "neither side is on a node" in nowhere.err) == (2, True)
