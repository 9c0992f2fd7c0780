"""The views that put nodes together: the real command line, a real admin, real agents."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.harness import Installation

pytestmark = pytest.mark.asyncio(loop_scope="module")

ONE_IS_ODD = "if mkdir {0} 2>/dev/null; then {1}; else {2}; fi"


def odd(directory: Path, first: str, other: str) -> tuple[str, ...]:
    """Two nodes do different things; which of them is the odd one is chance."""
    return ("--shell", "--", ONE_IS_ODD.format(directory, first, other))


async def test_identical_outputs_are_shown_once(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "--all", "--view", "grouped", "--", "uname", "-r")
    assert done.code == 0, done.err
    assert re.fullmatch(r"\S+   edge\[01-02\] \(2\)\n", done.text)
    assert done.err.startswith("2 ok · 0 failed · 0 offline · ")


async def test_groups_differ_by_their_exit_code_too(fleet: Installation, tmp_path: Path) -> None:
    words = odd(tmp_path / "a", "echo same", "echo same; exit 3")
    done = await fleet.edgectl("exec", "--all", "--view", "grouped", *words)
    assert done.code == 3
    good, bad = done.lines
    assert re.fullmatch(r"same   edge0[12] \(1\)", good)
    assert re.fullmatch(r"same   edge0[12] \(1\) · failed \(exit 3\)", bad)
    assert re.match(r"failed \(exit 3\): edge0[12]\n", done.err)


async def test_longer_outputs_are_blocks_with_stderr_behind(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "--all", "--view", "grouped", "--", "sh", "-c", "seq 1 3; echo oops >&2")
    rule, *body = done.lines
    assert rule.startswith("── edge[01-02] (2) ──")
    assert body == ["1", "2", "3", "stderr: oops"]
    assert "oops" not in done.err


async def test_a_diff_compares_with_the_largest_group(fleet: Installation, tmp_path: Path) -> None:
    words = odd(tmp_path / "a", "seq 1 20", "seq 1 20 | sed s/^10$/ten/; exit 1")
    done = await fleet.edgectl("exec", "--all", "--view", "diff", *words)
    assert re.match(r"── edge0[12] \(1\) ──", done.lines[0])
    assert done.lines[1:21] == [str(number) for number in range(1, 21)]
    assert re.match(r"── edge0[12] \(1\) · failed \(exit 1\) ──", done.lines[21])
    assert done.lines[22:] == ["@@ -7,7 +7,7 @@", " 7", " 8", " 9", "-10", "+ten", " 11", " 12", " 13"]


async def test_a_summary_says_who_ended_how_and_shows_no_output(fleet: Installation, tmp_path: Path) -> None:
    words = odd(tmp_path / "a", "echo noise", "echo noise; exit 3")
    done = await fleet.edgectl("exec", "--all", "--view", "summary", *words)
    good, bad = done.lines
    assert re.fullmatch(r"ok                edge0[12] \(1\)", good)
    assert re.fullmatch(r"failed \(exit 3\)   edge0[12] \(1\)", bad)
    assert re.fullmatch(r"1 ok · 1 failed · 0 offline · .* · command \w+\n", done.err)


@pytest.mark.parametrize(
    ("view", "text"),
    [
        ("grouped", "x   edge01 (1) · failed (exit 42)\n"),
        ("diff", "── edge01 (1) · failed (exit 42) ".ljust(64, "─") + "\nx\n"),
        ("summary", "failed (exit 42)   edge01 (1)\n"),
    ],
)
async def test_one_node_is_a_fleet_of_one_and_keeps_its_exit_code(fleet: Installation, view: str, text: str) -> None:
    done = await fleet.edgectl("exec", "edge01", "--view", view, "--", "sh", "-c", "echo x; exit 42")
    assert (done.code, done.text) == (42, text)
    assert "0 ok · 1 failed" in done.err


async def test_a_pipe_gets_the_bytes_as_they_are(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "--all", "--view", "grouped", "--", "printf", "\\033[31m\\377\\na\\n")
    assert done.out.split(b"\n", 1)[1] == b"\x1b[31m\xff\na\n"


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize("view", ["grouped", "diff", "summary", "none"])
async def test_a_view_and_machine_output_exclude_each_other(fleet: Installation, view: str, form: str) -> None:
    done = await fleet.edgectl("exec", "edge01", "--view", view, "-o", form, "--", "true")
    assert done.code == 2
    assert done.err.startswith(f"edgectl: usage: --view {view} and -o json or jsonl exclude each other")
    assert json.loads(done.text)["code"] == "usage"
