"""Copies both ways with one node: content, names, kinds, modes, and where things end up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgectl.copying.results import exit_code, failure_lines
from tests.edgectl.copying.copies import MIB, Copier, Heard, our_node, random_bytes
from tests.support.small_disk import SmallDisk

ODD_NAMES = [b"a b", b" ", b"line\nbreak", b"\xff\xfe", b"-r", b"*", b"'\"$(x)`", b"a:b", b"x" * 255, "é".encode()]


def tree_of(top: Path) -> dict[bytes, bytes | None]:
    """Every file with its content, every link with its target, every directory."""
    return dict(_walked(os.fsencode(top), b""))


def _walked(top: bytes, below: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    for entry in os.scandir(os.path.join(top, below)):
        name = os.path.join(below, entry.name)
        if entry.is_symlink():
            yield name, b"-> " + os.readlink(entry.path)
        elif entry.is_dir():
            yield name, None
            yield from _walked(top, name)
        else:
            yield name, Path(os.fsdecode(entry.path)).read_bytes()


@pytest.mark.parametrize("size", [0, 1, 128 * 1024, 128 * 1024 + 1, 5 * MIB + 7])
def test_content_is_exact_both_ways(copier: Copier, home: Path, here: Path, size: int) -> None:
    content = random_bytes(size)
    (here / "file").write_bytes(content)
    there = copier.must("file", "n1:there")
    back = copier.must("n1:there", "back")
    assert (home / "there").read_bytes() == (here / "back").read_bytes() == content
    assert (there.files, there.bytes, back.files, back.bytes) == (1, size, 1, size)


def test_a_file_of_100_mb_goes_there_and_back(copier: Copier, home: Path, here: Path) -> None:
    content = random_bytes(100_000_000)
    (here / "file").write_bytes(content)
    copier.must("file", "n1:there")
    copier.must("n1:there", "back")
    assert (here / "back").read_bytes() == content
    assert os.listdir(home) == ["there"]


@pytest.mark.slow
def test_a_directory_of_2000_files_goes_there_and_back(copier: Copier, home: Path, here: Path) -> None:
    (here / "many").mkdir()
    for number in range(2000):
        (here / f"many/{number}").write_text(str(number))
    assert copier.must("many", "n1:there", recursive=True).files == 2000
    assert copier.must("n1:there", "back", recursive=True).files == 2000
    assert tree_of(here / "back") == tree_of(home / "there") == tree_of(here / "many")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_are_bytes_that_mean_nothing(copier: Copier, home: Path, here: Path, name: bytes) -> None:
    Path(os.fsdecode(b"./" + name)).write_bytes(b"content")
    copier.must(b"./" + name, "n1:.")
    assert tree_of(home) == {name: b"content"}
    os.unlink(name)
    copier.must(b"n1:" + name, ".")
    assert tree_of(here) == {name: b"content"}


def test_a_tree_of_odd_names_links_and_empty_directories_is_the_same_there_and_back(
    copier: Copier, home: Path, here: Path
) -> None:
    (here / "tree/empty").mkdir(parents=True)
    for name in ODD_NAMES:
        directory = Path(os.fsdecode(os.fsencode(here / "tree") + b"/" + name))
        directory.mkdir()
        (directory / "file").write_bytes(name)
        (directory / "link").symlink_to("/nowhere")
    copier.must("tree", "n1:.", recursive=True)
    copier.must("n1:tree", "back", recursive=True)
    assert tree_of(home / "tree") == tree_of(here / "tree") == tree_of(here / "back")


def test_links_are_copied_as_links_and_those_that_are_named_are_followed(
    copier: Copier, home: Path, here: Path
) -> None:
    (here / "file").write_text("content")
    (here / "tree").mkdir()
    (here / "tree/link").symlink_to("../file")
    (here / "named").symlink_to("file")
    copier.must("tree", "named", "n1:.", recursive=True)
    assert (home / "tree/link").readlink() == Path("../file")
    assert not (home / "named").is_symlink()
    copier.must("tree", "n1:.", recursive=True)  # a link takes the place of one that is there
    copier.must("n1:tree", "back", recursive=True)
    assert (here / "back/link").readlink() == Path("../file")


def test_modes_and_times_are_kept_when_asked(copier: Copier, home: Path, here: Path) -> None:
    (here / "tree").mkdir()
    (here / "tree/file").touch()
    (here / "tree/file").chmod(0o405)
    os.utime(here / "tree/file", (1_000_000_000, 1_100_000_000))
    (here / "tree").chmod(0o750)
    os.utime(here / "tree", (1_000_000_000, 1_200_000_000))
    copier.must("tree", "n1:there", recursive=True, preserve=True)
    copier.must("n1:there", "back", recursive=True, preserve=True)
    for top in (home / "there", here / "back"):
        assert ((top / "file").stat().st_mode & 0o7777, (top / "file").stat().st_mtime) == (0o405, 1_100_000_000)
        assert (top.stat().st_mode & 0o7777, top.stat().st_mtime) == (0o750, 1_200_000_000)


def test_without_asking_a_new_file_has_the_mode_that_is_usual_and_an_old_one_keeps_its_own(
    copier: Copier, home: Path, here: Path
) -> None:
    (here / "file").touch(mode=0o755)
    (home / "old").touch(mode=0o600)
    copier.must("file", "n1:new")
    copier.must("file", "n1:old")
    assert (home / "new").stat().st_mode & 0o777 == 0o755
    assert (home / "old").stat().st_mode & 0o777 == 0o600
    (here / "mine").touch(mode=0o600)
    copier.must("n1:new", "mine")
    assert (here / "mine").stat().st_mode & 0o777 == 0o600


def test_what_comes_from_a_node_never_runs_as_its_owner(copier: Copier, home: Path, here: Path) -> None:
    (home / "file").touch()
    (home / "file").chmod(0o6755)
    copier.must("n1:file", ".", preserve=True)
    assert (here / "file").stat().st_mode & 0o7777 == 0o755


def test_a_directory_that_is_there_is_copied_into_and_another_name_is_made(
    copier: Copier, home: Path, here: Path
) -> None:
    (here / "tree").mkdir()
    (here / "tree/file").touch()
    for _ in range(2):
        copier.must("tree", "n1:new", recursive=True)
    assert set(tree_of(home)) == {b"new", b"new/file", b"new/tree", b"new/tree/file"}
    copier.must("n1:new/tree/", "./got", recursive=True)
    assert set(tree_of(here / "got")) == {b"file"}


def test_a_source_without_a_name_fills_the_destination(copier: Copier, home: Path, here: Path) -> None:
    (home / "a").mkdir()
    (home / "a/file").touch()
    (here / "filled").mkdir()
    copier.must("n1:.", "filled", recursive=True)
    assert set(tree_of(here / "filled")) == {b"a", b"a/file"}


def test_a_file_takes_the_place_of_another_at_once(copier: Copier, home: Path, here: Path) -> None:
    (here / "file").write_text("new")
    (home / "file").write_text("old")
    with (home / "file").open() as open_before:
        copier.must("file", "n1:file")
        assert open_before.read() == "old"
    assert (home / "file").read_text() == "new"


def test_a_file_that_claims_to_be_empty_is_read_to_its_end(copier: Copier, here: Path) -> None:
    copier.must("n1:/proc/version", "version")
    assert (here / "version").read_text() == Path("/proc/version").read_text()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nothing", "n1:."], "nothing: no such file or directory"),
        (["n1:nothing", "."], "nothing: no such file or directory"),
        (["folder", "n1:."], "folder: is a directory"),
        (["n1:folder", "."], "folder: is a directory"),
        (["file", "n1:no/such/"], "no/such/: is no directory"),
        (["file", "n1:no/such"], "no/such: no such file or directory"),
        (["n1:file", "no/such"], "no/such: no such file or directory"),
        (["file", "file", "n1:file"], "file: is no directory"),
        (["file", "n1:pipe"], "pipe: is there, and is no file"),
        (["n1:file", "pipe"], "pipe: is there, and is no file"),
        (["n1:pipe", "new"], "pipe: is neither a file, a directory nor a link"),
        (["pipe", "n1:new"], "pipe: is neither a file, a directory nor a link"),
    ],
)
def test_what_cannot_be_copied_is_said_with_its_path(
    copier: Copier, home: Path, here: Path, words: list[str], why: str
) -> None:
    for top in (home, here):
        (top / "folder").mkdir()
        (top / "file").write_text("content")
        os.mkfifo(top / "pipe")
    result = copier.copy(*words)
    assert (result.outcome, result.files, exit_code([result])) == ("failed", 0, 3)
    assert why in result.errors[0].message
    assert all(not name.endswith("edgectl-part") for top in (home, here) for name in os.listdir(top))


def test_what_the_account_may_not_do_is_said_with_its_path(home: Path, here: Path) -> None:
    without = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    copier = Copier(our_node(home, prefix=without))
    (here / "file").touch()
    (home / "sealed").mkdir(mode=0o500)
    (home / "secret").touch(mode=0)
    put, got = copier.copy("file", "n1:sealed"), copier.copy("n1:secret", ".")
    assert [result.errors[0].message for result in (put, got)] == [
        "sealed/file: permission denied",
        "secret: permission denied",
    ]
    assert (exit_code([put]), exit_code([got])) == (3, 3)


def test_one_file_that_cannot_be_copied_stops_no_other(copier: Copier, home: Path, here: Path) -> None:
    (here / "tree").mkdir()
    for name in ("a", "z"):
        (here / "tree" / name).write_text(name)
    os.mkfifo(here / "tree/m")
    (home / "tree/a").mkdir(parents=True)
    heard = Heard()
    result = copier.copy("tree", "n1:.", recursive=True, listener=heard)
    assert (result.outcome, result.files, result.failures, exit_code([result])) == ("failed", 1, 2, 3)
    assert (home / "tree/z").read_text() == "z"
    said = failure_lines([result])
    assert "edgectl: n1: copy_failed: tree/m: is neither a file, a directory nor a link" in said
    assert "edgectl: n1: copy_failed: ./tree/a: is there, and is no file" in said
    assert heard.events.count(("failed", "n1", "copy_failed")) == 2


@pytest.mark.root
def test_a_full_disk_ends_everything_and_is_said(copier: Copier, home: Path, here: Path, small_disk: SmallDisk) -> None:
    small_disk.fill()
    for top, words in ((here, ["a", "b", f"n1:{small_disk.path}"]), (home, ["n1:a", "n1:b", str(small_disk.path)])):
        for name in ("a", "b"):
            (top / name).write_bytes(bytes(MIB))
        result = copier.copy(*words)
        assert (result.outcome, result.files, result.failures, exit_code([result])) == ("failed", 0, 1, 3)
        assert result.errors[-1].message == f"{small_disk.path}/a: no space left on device"


def test_a_listener_hears_of_everything(copier: Copier, here: Path) -> None:
    (here / "a").write_text("12345")
    heard = Heard()
    copier.copy("a", "n1:.", listener=heard)
    assert heard.events == [("planned", "n1", "1", "5"), ("started", "n1", "a"), ("done", "n1", "a")]
    assert heard.bytes == 5
