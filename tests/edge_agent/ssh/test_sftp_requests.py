"""Every request of the SFTP server as bytes in and bytes out: what clients cannot be made to ask."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from tests.edge_agent.ssh.sftp_conversation import (
    APPEND,
    ATTRS,
    CLOSE,
    CREATE,
    DATA,
    DENIED,
    END_OF_FILE,
    EXCLUSIVE,
    FAILURE,
    FSETSTAT,
    FSTAT,
    HELLO,
    LSTAT,
    MKDIR,
    NAME,
    NO_CAPABILITIES,
    NO_SUCH_FILE,
    OK,
    OPENDIR,
    READ,
    READDIR,
    READLINK,
    REALPATH,
    REMOVE,
    RENAME,
    RMDIR,
    SETSTAT,
    STAT,
    SYMLINK,
    TRUNCATE,
    WRITE,
    R,
    W,
    extension,
    handle,
    opening,
    talk,
    talk_bytes,
    text,
    u32,
    u64,
)

NO_ATTRIBUTES = u32(0)
SIZE, OWNER, MODE, TIMES, MORE = 1, 2, 4, 8, 0x80000000
NOBODY = 0xFFFFFFFF


def reading(number: int, offset: int, length: int) -> tuple[int, bytes]:
    return READ, handle(number) + u64(offset) + u32(length)


def writing(number: int, offset: int, content: bytes) -> tuple[int, bytes]:
    return WRITE, handle(number) + u64(offset) + text(content)


def test_the_version_names_the_extensions(tmp_path: Path) -> None:
    ended = talk_bytes(HELLO, cwd=tmp_path)
    assert ended.answers[0].body.startswith(u32(3) + text(b"posix-rename@openssh.com") + text(b"1"))
    assert text(b"check-file") in ended.answers[0].body


def test_reads_end_with_end_of_file_and_give_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    opened, middle, end, behind, nothing = talk(
        opening(b"f", R), reading(1, 4, 3), reading(1, 8, 100), reading(1, 10, 1), reading(1, 3, 0), cwd=tmp_path
    )
    assert opened.string == u64(1)
    assert (middle.string, end.string, behind.status) == (b"456", b"89", END_OF_FILE)
    assert (nothing.kind, nothing.string) == (DATA, b"")


def test_one_answer_never_carries_more_than_a_packet_may(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(300_000))
    _, answer = talk(opening(b"f", R), reading(1, 0, 0xFFFFFFFF), cwd=tmp_path)
    assert len(answer.string) == 261_120


def test_writes_land_where_they_are_sent_and_holes_stay_holes(tmp_path: Path) -> None:
    answers = talk(
        opening(b"f", W | CREATE), writing(1, 6, b"end"), writing(1, 0, b"abc"), (CLOSE, handle(1)), cwd=tmp_path
    )
    assert [answer.status for answer in answers[1:]] == [OK, OK, OK]
    assert (tmp_path / "f").read_bytes() == b"abc\0\0\0end"


def test_appending_ignores_offsets(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    talk(opening(b"f", W | APPEND), writing(1, 0, b"d"), writing(1, 0, b"e"), cwd=tmp_path)
    assert (tmp_path / "f").read_bytes() == b"abcde"


def test_opening_creates_with_a_mode_truncates_and_excludes(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"abc")
    made, cut, refused = talk(
        opening(b"new", W | CREATE | EXCLUSIVE, u32(MODE) + u32(0o100600)),
        opening(b"old", W | TRUNCATE),
        opening(b"old", W | CREATE | EXCLUSIVE),
        cwd=tmp_path,
    )
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "old").read_bytes() == b""
    assert (made.string, cut.string) == (u64(1), u64(2))
    assert (refused.status, refused.words) == (FAILURE, "File exists")


def test_a_pipe_that_nobody_reads_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    write, read, reads = talk(opening(b"pipe", W), opening(b"pipe", R), reading(1, 0, 10), cwd=tmp_path)
    assert (write.status, read.string, reads.status) == (FAILURE, u64(1), FAILURE)


def test_all_attributes_are_set_in_an_order_that_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abcdef")
    everything = u32(SIZE | OWNER | MODE | TIMES) + u64(3) + u32(os.getuid()) + u32(os.getgid()) + u32(0o104755)
    (answer,) = talk((SETSTAT, text(b"f") + everything + u32(5) + u32(7)), cwd=tmp_path)
    assert answer.status == OK
    found = (tmp_path / "f").stat()
    assert (found.st_size, found.st_mode & 0o7777, found.st_atime, found.st_mtime) == (3, 0o4755, 5, 7)


def test_attributes_that_are_not_named_stay(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    (tmp_path / "f").chmod(0o640)
    before = (tmp_path / "f").stat()
    nothing = u32(OWNER | MORE) + u32(NOBODY) + u32(NOBODY) + u32(1) + text(b"name") + text(b"value")
    opened, by_handle = talk(opening(b"f", W), (FSETSTAT, handle(1) + nothing), cwd=tmp_path)
    assert (opened.string, by_handle.status) == (u64(1), OK)
    after = (tmp_path / "f").stat()
    assert (after.st_uid, after.st_mode, after.st_size, after.st_mtime_ns) == (
        before.st_uid,
        before.st_mode,
        3,
        before.st_mtime_ns,
    )


def test_stat_follows_links_and_lstat_does_not(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    (tmp_path / "l").symlink_to("f")
    opened, followed, link, by_handle = talk(
        opening(b"f", R), (STAT, text(b"l")), (LSTAT, text(b"l")), (FSTAT, handle(1)), cwd=tmp_path
    )
    assert opened.string == u64(1)
    assert followed.kind == ATTRS
    assert followed.body == by_handle.body
    assert struct.unpack(">IQIII", link.body[:24])[1] == len("f")


def test_times_that_do_not_fit_become_the_nearest_that_do(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    os.utime(tmp_path / "f", (-5, 2**33))
    (answer, _, listed) = talk((STAT, text(b"f")), (OPENDIR, text(b".")), (READDIR, handle(1)), cwd=tmp_path)
    assert struct.unpack(">II", answer.body[-8:]) == (0, 0xFFFFFFFF)
    assert listed.kind == NAME


def test_a_directory_is_made_with_a_mode_and_removed_only_when_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/f").touch()
    answers = talk(
        (MKDIR, text(b"d") + u32(MODE) + u32(0o700)), (RMDIR, text(b"full")), (REMOVE, text(b"full/f")), cwd=tmp_path
    )
    assert [answer.status for answer in answers] == [OK, FAILURE, OK]
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_rename_replaces_nothing(tmp_path: Path, kind: str) -> None:
    (tmp_path / "old").mkdir() if kind == "folder" else (tmp_path / "old").touch()
    (tmp_path / "new").symlink_to("nowhere") if kind == "link" else (tmp_path / "new").write_text("new")
    refused, moved = talk((RENAME, text(b"old") + text(b"new")), (RENAME, text(b"old") + text(b"free")), cwd=tmp_path)
    assert (refused.status, refused.words, moved.status) == (FAILURE, "File exists", OK)
    assert sorted(os.listdir(tmp_path)) == ["free", "new"]


def test_the_first_name_of_a_symlink_request_is_where_it_points_to(tmp_path: Path) -> None:
    made, read = talk((SYMLINK, text(b"target") + text(b"link")), (READLINK, text(b"link")), cwd=tmp_path)
    assert (made.status, read.name) == (OK, b"target")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (b"", ""),
        (b".", ""),
        (b"d/..", ""),
        (b"new", "new"),
        (b"link", "d"),
        (b"link/../new", "new"),
    ],
)
def test_a_path_is_made_absolute_from_where_the_session_began(tmp_path: Path, asked: bytes, told: str) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("d")
    (answer,) = talk((REALPATH, text(asked)), cwd=tmp_path)
    assert answer.name == os.fsencode(tmp_path / told)


def test_there_is_nothing_above_the_root(tmp_path: Path) -> None:
    up, missing = talk((REALPATH, text(b"/../../..")), (REALPATH, text(b"no/such/file")), cwd=tmp_path)
    assert (up.name, missing.status) == (b"/", NO_SUCH_FILE)


def test_names_are_bytes(tmp_path: Path) -> None:
    name = b"a\xff\n b\xc3"
    opened, _, listed, real = talk(
        opening(name, W | CREATE), (OPENDIR, text(b".")), (READDIR, handle(2)), (REALPATH, text(name)), cwd=tmp_path
    )
    assert opened.string == u64(1)
    assert text(name) in listed.body
    assert real.name == os.fsencode(tmp_path) + b"/" + name
    assert os.listdir(os.fsencode(tmp_path)) == [name]


def test_a_listing_ends_with_end_of_file(tmp_path: Path) -> None:
    _, names, end, again = talk(
        (OPENDIR, text(b".")), (READDIR, handle(1)), (READDIR, handle(1)), (READDIR, handle(1)), cwd=tmp_path
    )
    assert names.body[:4] == u32(2)
    assert (end.status, again.status) == (END_OF_FILE, END_OF_FILE)


def test_what_the_account_may_not_do_is_denied(tmp_path: Path) -> None:
    (tmp_path / "secret").touch(mode=0)
    (tmp_path / "sealed").mkdir(mode=0o500)
    answers = talk(
        opening(b"secret", R),
        opening(b"sealed/new", W | CREATE),
        (MKDIR, text(b"sealed/new") + NO_ATTRIBUTES),
        extension(b"check-file-name", text(b"secret") + text(b"sha256") + u64(0) + u64(0) + u32(0)),
        cwd=tmp_path,
        prefix=NO_CAPABILITIES,
    )
    assert [answer.status for answer in answers] == [DENIED] * 4
