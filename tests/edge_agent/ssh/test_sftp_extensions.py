"""The extensions of the SFTP server as bytes in and bytes out."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

from tests.edge_agent.ssh.sftp_conversation import (
    BAD_MESSAGE,
    CREATE,
    EXTENDED_REPLY,
    FAILURE,
    NO_SUCH_FILE,
    OK,
    UNSUPPORTED,
    R,
    W,
    extension,
    handle,
    opening,
    talk,
    text,
    u32,
    u64,
)

SIZE, MODE, TIMES = 1, 4, 8


def test_renames_and_links_of_openssh(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    answers = talk(
        extension(b"posix-rename@openssh.com", text(b"a") + text(b"b")),
        extension(b"hardlink@openssh.com", text(b"b") + text(b"c")),
        opening(b"b", W),
        extension(b"fsync@openssh.com", handle(1)),
        cwd=tmp_path,
    )
    assert [answers[n].status for n in (0, 1, 3)] == [OK, OK, OK]
    assert ((tmp_path / "b").read_text(), (tmp_path / "c").read_text()) == ("a", "a")


def test_lsetstat_changes_the_link_itself(tmp_path: Path) -> None:
    (tmp_path / "f").touch(mode=0o600)
    (tmp_path / "l").symlink_to("f")
    before = (tmp_path / "f").stat().st_mtime_ns
    name = b"lsetstat@openssh.com"
    times, mode, size, of_file = talk(
        extension(name, text(b"l") + u32(TIMES) + u32(5) + u32(7)),
        extension(name, text(b"l") + u32(MODE) + u32(0o777)),
        extension(name, text(b"l") + u32(SIZE) + u64(0)),
        extension(name, text(b"f") + u32(MODE) + u32(0o640)),
        cwd=tmp_path,
    )
    assert [times.status, mode.status, size.status, of_file.status] == [OK, UNSUPPORTED, BAD_MESSAGE, OK]
    assert (tmp_path / "l").lstat().st_mtime == 7
    assert ((tmp_path / "f").stat().st_mode & 0o777, (tmp_path / "f").stat().st_mtime_ns) == (0o640, before)


def test_file_systems_and_limits_are_described(tmp_path: Path) -> None:
    _, by_name, by_handle, limits = talk(
        opening(b"f", W | CREATE),
        extension(b"statvfs@openssh.com", text(b".")),
        extension(b"fstatvfs@openssh.com", handle(1)),
        extension(b"limits@openssh.com", b""),
        cwd=tmp_path,
    )
    here = os.statvfs(tmp_path)
    for answer in (by_name, by_handle):
        assert answer.kind == EXTENDED_REPLY
        told = struct.unpack(">11Q", answer.body)
        assert (told[0], told[1], told[2], told[10]) == (here.f_bsize, here.f_frsize, here.f_blocks, here.f_namemax)
    assert struct.unpack(">4Q", limits.body)[:3] == (262_144, 261_120, 261_120)


def test_tildes_are_expanded(tmp_path: Path) -> None:
    name = b"expand-path@openssh.com"
    home, below, plain, other, nobody = talk(
        extension(name, text(b"~")),
        extension(name, text(b"~/f")),
        extension(name, text(b"f")),
        extension(name, text(b"~root")),
        extension(name, text(b"~no-such-account/f")),
        cwd=tmp_path,
    )
    assert home.name == os.fsencode(tmp_path)
    assert below.name == plain.name == os.fsencode(tmp_path / "f")
    assert other.name == b"/root"
    assert nobody.status == NO_SUCH_FILE


def test_content_is_copied_on_the_node(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"0123456789")
    copy = b"copy-data"
    answers = talk(
        opening(b"from", R),
        opening(b"to", W | CREATE),
        extension(copy, handle(1) + u64(2) + u64(3) + handle(2) + u64(0)),
        extension(copy, handle(1) + u64(8) + u64(0) + handle(2) + u64(3)),
        extension(copy, handle(1) + u64(0) + u64(0) + handle(1) + u64(3)),
        cwd=tmp_path,
    )
    assert [answer.status for answer in answers[2:]] == [OK, OK, FAILURE]
    assert (tmp_path / "to").read_bytes() == b"23489"


def test_content_is_checked_by_name(tmp_path: Path) -> None:
    content = bytes(range(256)) * 3
    (tmp_path / "f").write_bytes(content)
    name = b"check-file-name"
    whole, blocks, behind, small, folder = talk(
        extension(name, text(b"f") + text(b"md5,sha256") + u64(0) + u64(0) + u32(0)),
        extension(name, text(b"f") + text(b"sha256") + u64(1) + u64(300) + u32(256)),
        extension(name, text(b"f") + text(b"sha256") + u64(5000) + u64(0) + u32(0)),
        extension(name, text(b"f") + text(b"sha256") + u64(0) + u64(0) + u32(255)),
        extension(name, text(b".") + text(b"sha256") + u64(0) + u64(0) + u32(0)),
        cwd=tmp_path,
    )
    head = text(b"check-file") + text(b"sha256")
    assert whole.body == head + hashlib.sha256(content).digest()
    parts = (content[1:257], content[257:301])
    assert blocks.body == head + b"".join(hashlib.sha256(part).digest() for part in parts)
    assert behind.body == head + hashlib.sha256(b"").digest()
    assert (small.status, folder.status) == (FAILURE, FAILURE)
