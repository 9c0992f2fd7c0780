"""Checks a file per node: whole, private, inside its directory whatever nodes are called, and few open at once."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_wire.errors import DirectoryNotWritable
from edge_wire.v1 import command_pb2 as pb
from edgectl.execution.output_files import OPEN_LIMIT, OutputFiles, file_names
from edgectl.execution.sink import Sink
from edgectl.execution.tally import Tally
from tests.edgectl.unit.events import DB, STDERR, WEB, ended, gap, ok, output, says, tally_of


async def keep(directory: Path, tally: Tally, responses: Sequence[Sequence[pb.CommandEvent]]) -> None:
    """As an exec does it: every response through the tally, into the files, by the sink."""
    sink = Sink()
    files = OutputFiles(directory, tally)
    for events in [[], *responses]:
        await sink.put(files.show(tally.take(says(*events))))
    await sink.put(files.finish())


def read(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


async def test_each_stream_has_its_file_and_stderr_only_when_there_is_any(tmp_path: Path) -> None:
    first = [output(b"on"), output(b"warning\n", stream=STDERR), output(b"\x1b\xff", of=DB)]
    second = [output(b"e\n", at=2), ended(ok()), ended(ok(), of=DB)]
    await keep(tmp_path / "out", tally_of(WEB, DB), [first, second])
    assert read(tmp_path / "out") == {"web-1": b"one\n", "web-1.err": b"warning\n", "db-1": b"\x1b\xff"}


async def test_a_node_that_wrote_nothing_has_an_empty_file(tmp_path: Path) -> None:
    await keep(tmp_path, tally_of(WEB, DB), [])
    assert read(tmp_path) == {"web-1": b"", "db-1": b""}


async def test_what_was_made_is_private(tmp_path: Path) -> None:
    await keep(tmp_path / "a" / "b", tally_of(WEB), [])
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b" / "web-1").stat().st_mode & 0o777 == 0o600


async def test_files_hold_one_command_only(tmp_path: Path) -> None:
    await keep(tmp_path, tally_of(WEB), [[output(b"a long first one\n"), output(b"oops\n", stream=STDERR)]])
    (tmp_path / "notes").write_text("mine")
    await keep(tmp_path, tally_of(WEB), [[output(b"second\n")]])
    assert read(tmp_path) == {"web-1": b"second\n", "notes": b"mine"}


async def test_a_link_is_replaced_and_never_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "web-1").symlink_to(tmp_path / "precious")
    await keep(tmp_path / "out", tally_of(WEB), [[output(b"x")]])
    assert (tmp_path / "precious").read_text() == "precious"
    assert read(tmp_path / "out") == {"web-1": b"x"}


async def test_a_hole_is_marked_on_a_line_of_its_own(tmp_path: Path) -> None:
    events = [output(b"on"), gap(2, 10), output(b"e\n", at=10), gap(12, 13), gap(0, 3, stream=STDERR)]
    await keep(tmp_path, tally_of(WEB), [events])
    assert read(tmp_path) == {
        "web-1": b"on\n[8 bytes of stdout are missing]\ne\n[1 bytes of stdout are missing]\n",
        "web-1.err": b"[3 bytes of stderr are missing]\n",
    }


async def test_many_nodes_have_few_files_open(tmp_path: Path) -> None:
    targets = [pb.Target(execution_id=f"x{number}", node_name=f"edge{number:03}") for number in range(300)]
    tally = tally_of(*targets)
    sink = Sink()
    files = OutputFiles(tmp_path, tally)
    before = len(os.listdir("/proc/self/fd"))
    for round_number in range(3):
        events = [output(b"%d\n" % round_number, at=2 * round_number, of=target) for target in targets]
        await sink.put(files.show(tally.take(says(*events))))
        assert len(os.listdir("/proc/self/fd")) <= before + OPEN_LIMIT
    await sink.put(files.finish())
    assert len(os.listdir("/proc/self/fd")) < before
    assert read(tmp_path) == {target.node_name: b"0\n1\n2\n" for target in targets}


@pytest.fixture
def small_files() -> Iterator[None]:
    """A file may have a thousand bytes, as if the disk were full then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
async def test_a_disk_that_takes_no_more_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(DirectoryNotWritable) as caught:
        await keep(tmp_path, tally_of(WEB), [[output(b"x" * 2000)]])
    assert caught.value.message == f"{tmp_path}/web-1 cannot be written (File too large)"
    assert caught.value.started == "yes"


async def test_a_directory_in_the_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "web-1").mkdir()
    with pytest.raises(DirectoryNotWritable, match="web-1 cannot be written"):
        await keep(tmp_path, tally_of(WEB), [])


async def test_a_file_in_the_place_of_the_directory_is_an_error_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DirectoryNotWritable) as caught:
        OutputFiles(tmp_path / "file" / "out", Tally())
    assert caught.value.started == "no"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web-1", "web-1"),
        ("../../etc/passwd", "_._.._etc_passwd"),
        ("/etc/passwd", "_etc_passwd"),
        ("..", "_."),
        (".", "_"),
        ("", "_"),
        ("-rf", "_rf"),
        ("a\0b\nc d", "a_b_c_d"),
        ("ä" * 300, "_" * 150),
    ],
)
def test_a_name_is_never_a_path(name: str, expected: str) -> None:
    assert file_names([pb.Target(execution_id="x", node_name=name)]) == {"x": expected}


def test_names_that_are_used_twice_carry_their_cluster_or_their_execution() -> None:
    targets = [
        pb.Target(execution_id="1", node_name="web", cluster="oslo"),
        pb.Target(execution_id="2", node_name="web", cluster="rome"),
        pb.Target(execution_id="3", node_name="WEB.OSLO"),
        pb.Target(execution_id="4", node_name="web.rome.err"),
    ]
    assert file_names(targets) == {"1": "web.oslo", "2": "web.rome", "3": "WEB.OSLO.3", "4": "web.rome.err.4"}


names = st.one_of(
    st.text(max_size=5), st.sampled_from(["web", "WEB", "web.err", "web.err.err", "a/b", "a_b", "..", ""])
)


@settings(deadline=None, derandomize=True)
@given(st.lists(names, max_size=20))
def test_no_two_nodes_share_a_file(node_names: list[str]) -> None:
    targets = [pb.Target(execution_id=f"x{index}", node_name=name) for index, name in enumerate(node_names)]
    files = [file for name in file_names(targets).values() for file in (name, f"{name}.err")]
    assert len({file.casefold() for file in files}) == 2 * len(node_names)
    assert all(Path(file).name == file and file not in {".", ".."} and file.isascii() for file in files)
