"""Nodes that lie, speak nonsense, or have another SFTP server than ours."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import ClassVar

import paramiko
import pytest
from paramiko.sftp import SFTP_FAILURE, SFTP_OK

from tests.edgectl.copying.copies import Copier, Heard, our_node, random_bytes
from tests.support.ssh_node import SshNode

FILE, FOLDER, LINK = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777


def attributes(name: str, mode: int, size: int = 5) -> paramiko.SFTPAttributes:
    made = paramiko.SFTPAttributes()
    made.filename, made.st_mode, made.st_size = name, mode, size
    return made


class EndlessFile(paramiko.SFTPHandle):
    """Gives as many bytes as anybody asks for."""

    def read(self, offset: int, length: int) -> bytes:
        """Always full."""
        return b"x" * length


class Lies(paramiko.SFTPServerInterface):
    """Lists what a test says."""

    listed: ClassVar[list[paramiko.SFTPAttributes]] = []
    target: ClassVar[str] = "/"

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        """The top is a directory."""
        return attributes("", FOLDER)

    lstat = stat

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        """The top has what is listed; a directory in it has one file."""
        return self.listed if path.count("/") == 1 else [attributes("inner", FILE)]

    def readlink(self, path: str) -> str | int:
        """Every link points there."""
        return self.target

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
        """Every file exists."""
        return EndlessFile(flags)


class Deep(Lies):
    """Every directory has another one."""

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        """Without end."""
        return [attributes("d", FOLDER)]


@pytest.fixture
def liar(home: Path, here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Copier:
    monkeypatch.setattr(Lies, "target", str(tmp_path))
    return Copier(SshNode(home, sftp=Lies))


def everything_below(top: Path) -> set[str]:
    return {str(path.relative_to(top)) for path in top.rglob("*")}


@pytest.mark.parametrize(
    "names",
    [["../escaped"], ["/tmp/escaped"], ["sub/escaped"], ["..", "x"], [""], ["a\0b"], ["twice", "twice"], ["x" * 300]],
)
@pytest.mark.parametrize("mode", [FILE, FOLDER, LINK])
def test_a_name_that_leads_elsewhere_ends_the_copy(
    liar: Copier, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], mode: int
) -> None:
    monkeypatch.setattr(Lies, "listed", [attributes(name, mode) for name in names])
    before = everything_below(tmp_path)
    result = liar.copy("n1:/top", "got", recursive=True)
    if names != ["..", "x"]:  # what every listing may have is passed over
        assert result.outcome == "failed"
        assert "a name that cannot be" in result.errors[-1].message
        assert everything_below(tmp_path) == before
    assert {name for name in everything_below(tmp_path) - before if not name.startswith("here/got")} == set()


def test_a_directory_that_was_a_link_before_is_not_written_through(
    liar: Copier, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lies, "listed", [attributes("a", LINK)])
    (here / "top").mkdir()
    liar.must("n1:/top", ".", recursive=True)
    assert (here / "top/a").readlink() == tmp_path
    monkeypatch.setattr(Lies, "listed", [attributes("a", FOLDER)])
    result = liar.copy("n1:/top", ".", recursive=True)
    assert result.outcome == "failed"
    assert result.errors[0].message == "./top/a: is a link, and nothing is written through links"
    assert not (tmp_path / "inner").exists()


def test_of_a_file_no_more_is_read_than_was_told(liar: Copier, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lies, "listed", [attributes("file", FILE, 500_000)])
    liar.must("n1:/top", "got", recursive=True, is_checked=False)
    assert (here / "got/file").read_bytes() == b"x" * 500_000


def test_directories_without_end_end(home: Path, here: Path) -> None:
    result = Copier(SshNode(home, sftp=Deep)).copy("n1:/top", "got", recursive=True)
    assert (result.outcome, result.files) == ("failed", 0)
    assert "nested too deeply" in result.errors[0].message


@pytest.mark.parametrize(
    ("answered", "why"),
    [
        ("SSH-2.0-OpenSSH_9.2", "what is no SFTP"),
        ("\\0\\0\\0\\0", "what is no SFTP"),
        ("\\0\\0\\0\\5\\2\\0\\0\\0\\2", "another version"),
        ("\\0\\0\\0\\5\\145\\0\\0\\0\\3", "another version"),
        ("\\0\\0\\0\\2\\2\\0", "what is no SFTP"),
        ("\\0\\0\\0\\6\\2\\0\\0\\0\\3\\0", "what is no SFTP"),
        ("\\0\\0\\0\\5\\2\\0\\0\\0\\3\\0\\0\\0\\2\\145\\0", "what nobody asked"),
        ("\\0\\0\\0\\5\\2\\0\\0\\0\\3\\0\\0\\0\\5\\145\\0\\0\\0\\11", "what nobody asked"),
        ("\\0\\0\\0\\5\\2\\0\\0\\0\\3\\0\\0\\0\\5\\151\\0\\0\\0\\1", "what is no SFTP"),
        ("\\0\\0\\0\\5\\2\\0\\0\\0\\3\\0\\0\\0\\5\\146\\0\\0\\0\\1", "another answer"),
    ],
)
def test_nonsense_instead_of_sftp_ends_the_copy(home: Path, here: Path, answered: str, why: str) -> None:
    program = ["sh", "-c", f"printf '{answered}'; cat > /dev/null"]
    result = Copier(SshNode(home, sftp=program)).copy("n1:file", ".")
    assert result.outcome == "failed"
    assert why in result.errors[0].message


def test_a_server_that_ends_is_a_lost_connection(home: Path, here: Path) -> None:
    result = Copier(SshNode(home, sftp=["true"])).copy("n1:file", ".")
    assert result.outcome == "no_contact"


def test_a_node_without_sftp_says_so(home: Path, here: Path) -> None:
    result = Copier(SshNode(home, sftp=None)).copy("n1:file", ".")
    assert (result.outcome, result.errors[0].message) == ("failed", "the node offers no SFTP")


class ForeignHandle(paramiko.SFTPHandle):
    """A file as paramiko's own server has it."""

    def stat(self) -> paramiko.SFTPAttributes | int:
        """Its attributes."""
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))  # type: ignore[attr-defined]

    def chattr(self, attr: paramiko.SFTPAttributes) -> int:
        """Change them."""
        paramiko.SFTPServer.set_file_attr(self.readfile.name, attr)  # type: ignore[attr-defined]
        return SFTP_OK


class Foreign(paramiko.SFTPServerInterface):
    """An SFTP server without the extensions that ours has; its root is a directory of the test."""

    root: ClassVar[Path]

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        """With links followed."""
        try:
            return paramiko.SFTPAttributes.from_stat((self.root / path).stat())
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)

    lstat = stat

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
        """Read and write."""
        try:
            fd = os.open(self.root / path, flags, 0o644)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)
        made = ForeignHandle(flags)
        file = os.fdopen(fd, "r+b" if flags & os.O_RDWR else "rb")
        made.readfile = made.writefile = file  # type: ignore[attr-defined]
        return made

    def remove(self, path: str) -> int:
        """Remove a file."""
        try:
            (self.root / path).unlink()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)
        return SFTP_OK

    def rename(self, oldpath: str, newpath: str) -> int:
        """Replaces nothing."""
        if (self.root / newpath).exists():
            return SFTP_FAILURE
        (self.root / oldpath).rename(self.root / newpath)
        return SFTP_OK


@pytest.fixture
def foreign(home: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> SshNode:
    monkeypatch.setattr(Foreign, "root", home, raising=False)
    return SshNode(home, sftp=Foreign)


def test_with_another_server_a_program_computes_the_checksums(foreign: SshNode, home: Path, here: Path) -> None:
    copier, content = Copier(foreign), random_bytes(300_000)
    (here / "it's").write_bytes(content)
    there = f"n1:{home}/it's there"
    for _ in range(2):  # the second one replaces the first
        copier.must("it's", there)
    copier.must(there, "back")
    assert (here / "back").read_bytes() == content


def test_where_nothing_computes_checksums_a_copy_fails_unless_none_is_wanted(home: Path, here: Path) -> None:
    Foreign.root = home
    copier = Copier(SshNode(home, sftp=Foreign, can_run=False))
    (home / "file").write_bytes(b"content")
    refused = copier.copy(f"n1:{home}/file", "got")
    assert (refused.outcome, refused.errors[0].code) == ("failed", "copy_unchecked")
    copier.must(f"n1:{home}/file", "got", is_checked=False)
    assert (here / "got").read_bytes() == b"content"


def test_what_start_up_files_print_is_no_checksum(home: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Talkative(SshNode):
        greeting = "hello\n\n"

    Foreign.root = home
    (here / "file").write_bytes(b"content")
    Copier(Talkative(home, sftp=Foreign)).must("file", f"n1:{home}/there")
    assert (home / "there").read_bytes() == b"content"


def test_our_own_server_needs_no_program(home: Path, here: Path) -> None:
    (home / "file").write_bytes(b"content")
    Copier(our_node(home, can_run=False)).must("n1:file", "got")
    assert (here / "got").read_bytes() == b"content"


def test_nothing_of_a_failed_name_is_heard_as_done(liar: Copier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lies, "listed", [attributes("../x", FILE)])
    heard = Heard()
    liar.copy("n1:/top", "got", recursive=True, listener=heard)
    assert heard.events == [("failed", "n1", "copy_failed")]
