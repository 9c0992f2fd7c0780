"""The SFTP server with OpenSSH's own client and with paramiko's."""

from __future__ import annotations

import hashlib
import os
import select
import shlex
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from tests.edge_agent.ssh.sftp_conversation import ARGV, FINISH_WITHIN

MIB = 1024 * 1024


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where sessions begin."""
    made = tmp_path / "home"
    made.mkdir()
    return made


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """Where the client works."""
    made = tmp_path / "local"
    made.mkdir()
    return made


class Sftp:
    """OpenSSH's `sftp`, connected to the server without any SSH between."""

    def __init__(self, *, home: Path, local: Path, server: Path) -> None:
        self._home, self._local, self._server = home, local, server

    def run(self, *lines: str) -> str:
        """What a batch prints; it must end well."""
        done = self.attempt(*lines)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def attempt(self, *lines: str) -> subprocess.CompletedProcess[str]:
        """The outcome of a batch."""
        return subprocess.run(
            ["sftp", "-q", "-b", "-", "-D", str(self._server)],
            cwd=self._local,
            input="\n".join(lines),
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=FINISH_WITHIN,
            check=False,
        )


@pytest.fixture
def sftp(home: Path, local: Path, tmp_path: Path) -> Sftp:
    server = tmp_path / "server"
    server.write_text(f"#!/bin/sh\ncd {shlex.quote(str(home))} && exec {shlex.join(ARGV)}\n")
    server.chmod(0o755)
    return Sftp(home=home, local=local, server=server)


def random_bytes(size: int) -> bytes:
    return hashlib.shake_128(b"content").digest(size)


def test_a_large_file_goes_there_and_back_unchanged(sftp: Sftp, home: Path, local: Path) -> None:
    content = random_bytes(40 * MIB + 12345)
    (local / "large").write_bytes(content)
    sftp.run("put large there", "get there back")
    assert (home / "there").read_bytes() == content
    assert (local / "back").read_bytes() == content


def test_an_empty_file_goes_there_and_back(sftp: Sftp, home: Path, local: Path) -> None:
    (local / "nothing").touch()
    sftp.run("put nothing there", "get there back")
    assert (home / "there").read_bytes() == b""
    assert (local / "back").read_bytes() == b""


def test_cut_transfers_are_continued(sftp: Sftp, home: Path, local: Path) -> None:
    content = random_bytes(MIB)
    (local / "whole").write_bytes(content)
    (home / "cut").write_bytes(content[:400_000])
    sftp.run("reput whole cut")
    assert (home / "cut").read_bytes() == content
    (local / "half").write_bytes(content[:77])
    sftp.run("reget cut half")
    assert (local / "half").read_bytes() == content


def test_whole_trees_go_there_and_back_with_times_and_modes(sftp: Sftp, home: Path, local: Path) -> None:
    (local / "tree/deep/deeper").mkdir(parents=True)
    (local / "tree/a file").write_text("a")
    (local / "tree/deep/deeper/b").write_text("b")
    (local / "tree/a file").chmod(0o640)
    os.utime(local / "tree/a file", (1_000_000_000, 1_100_000_000))
    sftp.run("put -pR tree", "get -pR tree back")
    for arrived in (home / "tree", local / "back"):
        assert (arrived / "deep/deeper/b").read_text() == "b"
        found = (arrived / "a file").stat()
        assert (found.st_mode & 0o7777, found.st_mtime) == (0o640, 1_100_000_000)


def test_names_are_changed_linked_and_removed(sftp: Sftp, home: Path) -> None:
    (home / "old").write_text("text")
    sftp.run("rename old new", "ln -s new soft", "ln new hard", "mkdir folder", "mkdir gone", "rmdir gone")
    assert (home / "soft").readlink() == Path("new")
    assert (home / "hard").stat().st_nlink == 2
    assert sorted(os.listdir(home)) == ["folder", "hard", "new", "soft"]
    sftp.run("rm soft", "rm hard", "rename folder other")
    assert sorted(os.listdir(home)) == ["new", "other"]


def test_the_client_renames_over_a_file_as_rename_2_does(sftp: Sftp, home: Path) -> None:
    (home / "old").write_text("old")
    (home / "new").write_text("new")
    sftp.run("rename old new")
    assert (home / "new").read_text() == "old"


def test_modes_and_owners_are_changed(sftp: Sftp, home: Path) -> None:
    (home / "file").touch()
    sftp.run("chmod 4711 file", f"chown {os.getuid()} file", f"chgrp {os.getgid()} file")
    assert (home / "file").stat().st_uid == os.getuid()
    sftp.run("chmod 4711 file")
    assert (home / "file").stat().st_mode & 0o7777 == 0o4711


def test_a_listing_looks_like_that_of_ls(sftp: Sftp, home: Path) -> None:
    (home / "file").write_text("12345")
    (home / "file").chmod(0o751)
    (home / "folder").mkdir()
    (home / "link").symlink_to("file")
    os.utime(home / "file", (0, 0))
    lines = {line.split()[-1]: line for line in sftp.run("ls -la").splitlines()[1:]}
    assert sorted(lines) == [".", "..", "file", "folder", "link"]
    assert lines["file"].startswith("-rwxr-x--x   1 ")
    assert lines["file"].split()[4:8] == ["5", "Jan", "1", "1970"]
    assert lines["folder"].startswith("drwx")
    assert lines["link"].startswith("lrwx")


def test_a_listing_is_complete_however_many_names_there_are(sftp: Sftp, home: Path) -> None:
    for number in range(350):
        (home / f"f{number}").touch()
    assert len(sftp.run("ls -1").splitlines()[1:]) == 350


def test_the_client_walks_about(sftp: Sftp, home: Path) -> None:
    (home / "folder").mkdir()
    printed = sftp.run("pwd", "cd folder", "pwd", "cd ../../../../../../../../..", "pwd", "cd ..", "pwd")
    shown = [line.partition(": ")[2] for line in printed.splitlines() if line.startswith("Remote")]
    assert shown == [str(home), str(home / "folder"), "/", "/"]


def test_free_space_is_told(sftp: Sftp) -> None:
    assert "%" in sftp.run("df -h")


def test_scp_copies_trees_both_ways_and_knows_tildes(tmp_path: Path, home: Path, local: Path, sftp: Sftp) -> None:
    (home / "tree/deep").mkdir(parents=True)
    (home / "tree/deep/file").write_text("here")
    scp = ["scp", "-q", "-p", "-r", "-D", str(tmp_path / "server")]
    subprocess.run([*scp, "node:~/tree", "copy"], cwd=local, check=True, timeout=FINISH_WITHIN)
    subprocess.run([*scp, "copy", "node:back"], cwd=local, check=True, timeout=FINISH_WITHIN)
    assert (local / "copy/deep/file").read_text() == "here"
    assert (home / "back/deep/file").read_text() == "here"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("get nowhere", "not found"),
        ("ls nowhere", "not found"),
        ("rmdir full", "Failure"),
        ("mkdir full", "Failure"),
        ("cd full/file", "not a directory"),
        ("rm full", "Failure"),
    ],
)
def test_what_cannot_be_done_is_said_by_the_client(sftp: Sftp, home: Path, line: str, said: str) -> None:
    (home / "full").mkdir()
    (home / "full/file").touch()
    done = sftp.attempt(line)
    assert done.returncode == 1
    assert said in done.stderr + done.stdout


class NamedSocket(socket.socket):
    """A socket that has of a channel what paramiko's client asks for."""

    def get_name(self) -> str:
        """For its log."""
        return "socket"

    def recv_ready(self) -> bool:
        """Whether an answer waits."""
        return bool(select.select([self], [], [], 0)[0])


@pytest.fixture
def client(home: Path) -> Iterator[paramiko.SFTPClient]:
    """Paramiko's client, on a socket that is the server's stdin and stdout."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(ARGV, cwd=home, stdin=theirs.fileno(), stdout=theirs.fileno())
    with NamedSocket(fileno=ours.detach()) as channel:
        yield paramiko.SFTPClient(channel)  # type: ignore[arg-type]  # a socket does as well as a channel
        channel.shutdown(socket.SHUT_WR)
        while channel.recv(MIB):  # paramiko leaves answers unread, and to close on them would be an error to the server
            pass
    assert process.wait(FINISH_WITHIN) == 0


def test_paramiko_writes_and_reads_with_many_requests_under_way(client: paramiko.SFTPClient, home: Path) -> None:
    content = random_bytes(5 * MIB + 1)
    with client.open("file", "wb") as writing:
        writing.set_pipelined(True)
        writing.write(content)
    assert (home / "file").read_bytes() == content
    with client.open("file", "rb") as reading:
        reading.prefetch(len(content), max_concurrent_requests=64)
        assert reading.read() == content


def test_paramiko_appends_truncates_and_excludes(client: paramiko.SFTPClient, home: Path) -> None:
    (home / "log").write_text("one\n")
    with client.open("log", "a") as appending:
        appending.write(b"two\n")
    assert (home / "log").read_text() == "one\ntwo\n"
    client.truncate("log", 4)
    assert (home / "log").read_text() == "one\n"
    with pytest.raises(OSError, match="File exists"):
        client.open("log", "x")


def test_paramiko_sees_attributes_links_and_listings(client: paramiko.SFTPClient, home: Path) -> None:
    (home / "file").write_text("12345")
    client.symlink("file", "link")
    client.utime("file", (5, 7))
    assert client.readlink("link") == "file"
    assert stat.S_ISLNK(client.lstat("link").st_mode or 0)
    found = client.stat("link")
    assert (found.st_size, found.st_atime, found.st_mtime) == (5, 5, 7)
    assert sorted(client.listdir()) == ["file", "link"]
    assert client.normalize("link") == str(home / "file")


def test_paramiko_s_rename_replaces_nothing_and_its_posix_rename_does(client: paramiko.SFTPClient, home: Path) -> None:
    (home / "old").write_text("old")
    (home / "new").write_text("new")
    with pytest.raises(OSError, match="File exists"):
        client.rename("old", "new")
    client.posix_rename("old", "new")
    assert (home / "new").read_text() == "old"


def test_paramiko_checks_content_without_fetching_it(client: paramiko.SFTPClient, home: Path) -> None:
    content = random_bytes(3000)
    (home / "file").write_bytes(content)
    with client.open("file") as opened:
        assert opened.check("sha256") == hashlib.sha256(content).digest()
        assert opened.check("sha256", 1000, 500) == hashlib.sha256(content[1000:1500]).digest()
        halves = b"".join(hashlib.sha256(content[at : at + 2000]).digest() for at in (0, 2000))
        assert opened.check("sha256", block_size=2000) == halves
        with pytest.raises(OSError, match="sha256 only"):
            opened.check("md5")
