"""`--outdir`: a file per node beside every view: the real command line, a real admin, real agents."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.harness import Installation

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPEAK = ("--", "sh", "-c", "echo out; echo err >&2; exit 1")


@pytest.mark.parametrize("view", ["stream", "grouped", "diff", "summary", "none"])
async def test_every_view_can_keep_a_file_per_node(fleet: Installation, tmp_path: Path, view: str) -> None:
    done = await fleet.edgectl("exec", "--all", "--view", view, "--outdir", str(tmp_path / "out"), *SPEAK)
    assert done.code == 3, done.err
    kept = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert kept == {"edge01": "out\n", "edge01.err": "err\n", "edge02": "out\n", "edge02.err": "err\n"}


@pytest.mark.parametrize("form", ["json", "jsonl"])
async def test_files_go_with_machine_output(fleet: Installation, tmp_path: Path, form: str) -> None:
    done = await fleet.edgectl("exec", "edge01", "-o", form, "--outdir", str(tmp_path), "--", "printf", "\\000\\377")
    assert done.code == 0
    assert json.loads(done.lines[-1] if form == "jsonl" else done.text)["exit_code"] == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"edge01": b"\x00\xff"}


async def test_a_large_output_is_kept_byte_for_byte(fleet: Installation, tmp_path: Path) -> None:
    script = "import sys\nfor n in range(20): sys.stdout.buffer.write(bytes([n]) * 1_000_000)"
    words = ("exec", "edge01", "--view", "none", "--outdir", str(tmp_path), "--", "python3", "-c", script)
    assert (await fleet.edgectl(*words)).code == 0
    assert (tmp_path / "edge01").read_bytes() == b"".join(bytes([n]) * 1_000_000 for n in range(20))


async def test_a_directory_that_cannot_be_made_is_said_before_anything_runs(
    fleet: Installation, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    words = ("--outdir", str(tmp_path / "file" / "out"), "--", "touch", str(tmp_path / "ran"))
    done = await fleet.edgectl("exec", "--all", *words)
    assert (done.code, len(done.err.splitlines())) == (10, 1)
    assert done.err.startswith(
        f"edgectl: directory_not_writable: {tmp_path}/file/out cannot be written (Not a directory)"
    )
    assert not (tmp_path / "ran").exists()


async def test_a_full_disk_is_one_clear_error(fleet: Installation, tmp_path: Path) -> None:
    words = ("exec", "--all", "--view", "none", "--outdir", str(tmp_path), "--", "head", "-c", "2000000", "/dev/zero")
    program = await fleet.start_program(
        "edgectl",
        *words,
        environ=fleet.operator_environment(),
        log="full.log",
        prefix=("prlimit", "--fsize=1000000"),  # no file may grow further, as if the disk were full
    )
    assert await program.wait() == 10
    [error] = [line for line in program.output.splitlines() if "edgectl: " in line]
    assert re.match(
        r"edgectl: directory_not_writable: \S+/edge0[12] cannot be written \(File too large\)\. edgectl command show ",
        error,
    )


async def test_files_of_a_detached_command_are_refused(fleet: Installation, tmp_path: Path) -> None:
    done = await fleet.edgectl("exec", "--all", "--detach", "--outdir", str(tmp_path / "out"), "--", "true")
    assert (done.code, "--outdir and --detach exclude each other" in done.err) == (2, True)
    assert not (tmp_path / "out").exists()
