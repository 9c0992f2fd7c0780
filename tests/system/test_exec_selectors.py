"""`edgectl exec` with every kind of selector, as scripts type it, on six real nodes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.harness import Installation, installation

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = [f"edge{number:02}" for number in range(1, 7)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edges(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """edge01 to edge06; the odd ones at site oslo, the even ones at bergen, edge06 a database; all in rack 7."""
    async with installation(tmp_path_factory.mktemp("edges")) as made:
        await made.start_admin()
        for place, name in enumerate(NAMES, start=1):
            await made.add_agent(name, node_labels={"rack": "7"})
            label = f"site={'oslo' if place % 2 else 'bergen'}"
            done = await made.edgectl("node", "set", name, "--label", label)
            assert done.code == 0, done.err
        await made.edgectl("node", "set", "edge06", "--label", "role=db")
        yield made


async def targets(site: Installation, *words: str, stdin: bytes = b"") -> list[str]:
    """Who a dry run says would run it."""
    done = await site.edgectl("exec", *words, "--dry-run", "-o", "json", "--", "false", stdin=stdin)
    assert done.code == 0, done.err
    return [row["node"]["name"].removeprefix("edge") for row in json.loads(done.text)]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("edge[01-03]",), "01 02 03"),
        (("edge[01-06]!edge02",), "01 03 04 05 06"),
        (("edge[01-04]&edge[03-06]",), "03 04"),
        (("edge01,edge05", "edge06"), "01 05 06"),
        (("-l", "site=oslo"), "01 03 05"),
        (("-l", "site!=oslo,role!=db"), "02 04"),
        (("-l", "role"), "06"),
        (("-l", "!role", "-l", "site=bergen"), "02 04"),
        (("-l", "node/rack=7", "-x", "edge[01-05]"), "06"),
        (("edge[01-06]", "-l", "site=oslo", "-x", "edge01"), "03 05"),
        (("--all", "-x", "edge01", "-x", "edge02,edge03"), "04 05 06"),
        (("--cluster", "default", "--online"), "01 02 03 04 05 06"),
    ],
)
async def test_a_selector_means_what_is_written(edges: Installation, words: tuple[str, ...], found: str) -> None:
    assert await targets(edges, *words) == found.split()


async def test_nodes_may_come_from_a_file_or_from_stdin(edges: Installation, tmp_path: Path) -> None:
    listed = tmp_path / "nodes"
    listed.write_text("# the first two\nedge01   # this one\n\nedge[02-03]!edge03\n")
    assert await targets(edges, "--from", str(listed)) == ["01", "02"]
    assert await targets(edges, "edge06", "--from", "-", stdin=b"edge05\n") == ["05", "06"]


async def test_pick_takes_so_many_and_freezes_them(edges: Installation) -> None:
    assert len(await targets(edges, "--all", "--pick", "2")) == 2
    ran = await edges.edgectl("exec", "--all", "--pick", "1", "-o", "jsonl", "--", "true")
    assert json.loads(ran.lines[-1])["counts"]["total"] == 1


async def test_the_outcomes_of_an_earlier_command_are_a_set_like_any_other(edges: Installation) -> None:
    ran = await edges.edgectl("exec", "edge[01-04]", "-o", "jsonl", "--shell", "--", 'case "$PWD" in *) exit 0; esac')
    command = json.loads(ran.lines[-1])["command"]
    failing = await edges.edgectl("exec", "edge[02-03]", "-o", "jsonl", "--", "false")
    failed = json.loads(failing.lines[-1])["command"]
    assert await targets(edges, f"@command:{command[:8]}=ok!@command:{failed}=failed") == ["01", "04"]
    assert await targets(edges, f"@command:{failed}=failed,lost", "-x", "edge02") == ["03"]
    assert await targets(edges, "edge01", f"@command:{failed}") == ["01", "02", "03"]


@pytest.mark.parametrize(
    ("words", "code", "error", "says"),
    [
        (("edge1",), 5, "node_not_found", "there is no node 'edge1'"),
        (("edge[01-09]",), 5, "node_not_found", "there are no nodes edge[07-09]"),
        (("edge[01-",), 2, "selector_invalid", "a bracket is not closed"),
        (("edge[1-10001]",), 2, "selector_invalid", "at most 10000"),
        (("edge[00001-10000]",), 5, "node_not_found", "10000 of the names are no nodes"),
        (("-l", "sit=oslo"), 5, "label_unknown", "did you mean site?"),
        (("-l", "sit!=oslo"), 5, "label_unknown", "did you mean site?"),
        (("-l", "site=olso"), 5, "nodes_not_matched", "did you mean site=oslo?"),
        (("-l", "site>oslo"), 2, "selector_invalid", "says nothing about a label"),
        (("edge01", "-x", "edge1"), 5, "node_not_found", "'edge1'"),
        (("edge01", "-x", "edge01"), 5, "nodes_not_matched", "outside of edge01"),
        (("@command:ffff0000=failed",), 5, "command_not_found", "ffff0000"),
        (("@command:ffff0000=broken",), 2, "selector_invalid", "is no outcome"),
        (("@web",), 2, "selector_invalid", "is no set"),
        (("--online",), 2, "selector_empty", "add --all"),
        ((), 2, "selector_empty", "edgectl node list"),
        (("--all", "--pick", "0"), 2, "usage", "pick"),
        (("--from", "/nonexistent"), 2, "value_invalid", "No such file"),
    ],
)
async def test_a_mistake_is_one_line_with_its_code_and_what_to_do(
    edges: Installation, words: tuple[str, ...], code: int, error: str, says: str
) -> None:
    done = await edges.edgectl("exec", *words, "-o", "json", "--exit-policy", "fleet", "--", "true")
    assert (done.code, json.loads(done.text)["code"]) == (code, error)
    assert len(done.err.splitlines()) == 1
    assert says in done.err


async def test_lists_of_nodes_take_the_same_selectors(edges: Installation) -> None:
    listed = await edges.edgectl("node", "list", "-l", "site=oslo", "-x", "edge01", "-o", "json")
    assert [row["name"] for row in json.loads(listed.text)] == ["edge03", "edge05"]
    online = await edges.edgectl("node", "list", "--online", "-o", "json")
    assert len(json.loads(online.text)) == 6
