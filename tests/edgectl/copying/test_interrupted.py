"""Copies that were cut off, and those that continue them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from edgectl.copying.results import exit_code, failure_lines
from tests.edgectl.copying.copies import MIB, Copier, Heard, random_bytes

CONTENT = random_bytes(8 * MIB + 5)
PART = ".file.edgectl-part"
HALF = 4 * MIB


class Cutting(Heard):
    """Breaks the connection in the middle."""

    def __init__(self, copier: Copier) -> None:
        super().__init__(act_after=HALF)
        self._copier = copier

    def act(self) -> None:
        """Break it."""
        self._copier.transports[-1].close()


class Interrupting(Heard):
    """Types Ctrl-C in the middle."""

    def act(self) -> None:
        """Type it."""
        os.kill(os.getpid(), signal.SIGINT)


class Changing(Heard):
    """Changes what was copied already."""

    def __init__(self, path: Path) -> None:
        super().__init__(act_after=HALF)
        self._path = path

    def act(self) -> None:
        """Change a byte at the beginning."""
        with self._path.open("r+b") as file:
            file.write(b"X")


@pytest.fixture(params=["push", "pull"])
def sides(request: pytest.FixtureRequest, home: Path, here: Path) -> tuple[Path, Path, list[str]]:
    """Where from, where to, and the words."""
    if request.param == "push":
        return here, home, ["file", "n1:file"]
    return home, here, ["n1:file", "file"]


Sides = tuple[Path, Path, list[str]]


def test_a_broken_connection_leaves_a_part_that_is_continued(copier: Copier, sides: Sides) -> None:
    source, target, words = sides
    (source / "file").write_bytes(CONTENT)
    cut = copier.copy(*words, listener=Cutting(copier))
    assert (cut.outcome, exit_code([cut])) == ("no_contact", 4)
    assert "--resume" in failure_lines([cut])[0]
    assert os.listdir(target) == [PART]
    left = (target / PART).stat().st_size
    assert 0 < left < len(CONTENT)
    resumed = copier.must(*words, resume=True)
    assert left <= resumed.resumed_bytes < len(CONTENT)  # the node still writes what had arrived before the cut
    assert resumed.resumed_bytes + resumed.bytes == len(CONTENT)
    assert os.listdir(target) == ["file"]
    assert (target / "file").read_bytes() == CONTENT


def test_ctrl_c_keeps_the_part_and_says_so(copier: Copier, sides: Sides) -> None:
    source, target, words = sides
    (source / "file").write_bytes(CONTENT)
    stopped = copier.copy(*words, listener=Interrupting(act_after=HALF))
    assert (stopped.outcome, exit_code([stopped])) == ("cancelled", 130)
    assert failure_lines([stopped])[0].startswith("edgectl: n1: copy_interrupted: interrupted; what was begun is kept")
    assert os.listdir(target) == [PART]
    copier.must(*words, resume=True)
    assert (target / "file").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "left",
    [b"", b"something else", CONTENT[:HALF] + b"x", CONTENT + b"longer", b"X" + CONTENT[1:HALF]],
    ids=["nothing", "other", "wrong end", "longer", "wrong start"],
)
def test_what_is_no_beginning_of_the_file_is_not_continued(copier: Copier, sides: Sides, left: bytes) -> None:
    source, target, words = sides
    (source / "file").write_bytes(CONTENT)
    (target / PART).write_bytes(left)
    resumed = copier.must(*words, resume=True)
    assert (resumed.resumed_bytes, resumed.bytes) == (0, len(CONTENT))
    assert (target / "file").read_bytes() == CONTENT


def test_a_part_that_is_complete_only_gets_its_name(copier: Copier, sides: Sides) -> None:
    source, target, words = sides
    (source / "file").write_bytes(CONTENT)
    (target / PART).write_bytes(CONTENT)
    resumed = copier.must(*words, resume=True)
    assert (resumed.resumed_bytes, resumed.bytes) == (len(CONTENT), 0)
    assert (target / "file").read_bytes() == CONTENT


def test_without_being_asked_a_copy_begins_anew(copier: Copier, sides: Sides) -> None:
    source, target, words = sides
    (source / "file").write_bytes(CONTENT)
    (target / PART).write_bytes(CONTENT[:HALF])
    assert copier.must(*words).bytes == len(CONTENT)


def test_content_that_differs_is_a_mismatch_and_replaces_nothing(copier: Copier, sides: Sides) -> None:
    source, target, words = sides
    (source / "file").write_bytes(CONTENT)
    (target / "file").write_text("old")
    far = target / PART if words[0] == "file" else source / "file"
    spoiled = copier.copy(*words, listener=Changing(far))
    assert (spoiled.outcome, spoiled.errors[0].code, exit_code([spoiled])) == ("failed", "copy_mismatch", 3)
    assert (target / "file").read_text() == "old"
    assert (target / PART).stat().st_size == 0


@pytest.mark.root
def test_what_somebody_else_left_is_not_continued(copier: Copier, home: Path, here: Path) -> None:
    (home / "file").write_bytes(CONTENT)
    (here / PART).write_bytes(CONTENT[:HALF])
    os.chown(here / PART, 65534, 65534)
    result = copier.copy("n1:file", "file", resume=True)
    assert result.errors[0].message == "file: what an earlier copy left is no file of yours"


def test_a_link_in_the_place_of_the_part_is_not_written_through(copier: Copier, sides: Sides, tmp_path: Path) -> None:
    source, target, words = sides
    (tmp_path / "victim").write_text("untouched")
    (source / "file").write_bytes(b"content")
    for resume in (False, True):
        (target / PART).symlink_to(tmp_path / "victim")
        copier.copy(*words, resume=resume)
        assert (tmp_path / "victim").read_text() == "untouched"
        (target / PART).unlink(missing_ok=True)
