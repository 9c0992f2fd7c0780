"""Shells on terminals through the SSH server: size, keys, signals, jobs, their end, and their recordings."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import paramiko
import pytest

from edge_agent.ssh.recording import Recordings
from edge_agent.ssh.terminal_modes import parse_modes
from tests.edge_agent.ssh.ssh_node import SshNode, lives, ssh_node
from tests.support.eventually import eventually

BASH = "exec env PS1='$ ' bash --norc --noprofile --noediting -i"

SLEEP = f"sleep {1_000_000 + os.getpid()}".encode()
"""A command line that no other test has."""


class Screen:
    """The terminal at which somebody sits who uses `ssh`."""

    def __init__(self, process: asyncio.subprocess.Process, ours: int) -> None:
        self.process = process
        self._ours = ours
        self._text = b""

    def type(self, text: bytes) -> None:
        """Keys are pressed."""
        os.write(self._ours, text)

    def resize(self, columns: int, rows: int) -> None:
        """The window gets another size."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    async def shows(self, text: bytes) -> bytes:
        """Wait until this appears behind what was waited for before; returns what is between."""

        def has_appeared() -> bool:
            with contextlib.suppress(BlockingIOError, OSError):
                self._text += os.read(self._ours, 65536)
            return text in self._text

        try:
            await eventually(has_appeared)
        except AssertionError as error:
            raise AssertionError(self._text) from error
        before, _, self._text = self._text.partition(text)
        return before


@asynccontextmanager
async def sitting_at(node: SshNode, *words: str, kind: str = "xterm") -> AsyncIterator[Screen]:
    """Somebody uses `ssh` on a terminal of 100 columns and 40 rows."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, 100, 0, 0))
    os.set_blocking(ours, False)
    ssh, *rest = node.command(*words)
    process = await asyncio.create_subprocess_exec(
        ssh, "-tt", *rest, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": kind}
    )
    os.close(theirs)
    try:
        yield Screen(process, ours)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        os.close(ours)


async def test_a_terminal_has_its_kind_and_size_and_takes_another_one(node: SshNode) -> None:
    async with sitting_at(node, BASH, kind="screen-256color") as screen:
        await screen.shows(b"$ ")
        screen.type(b"stty size; echo $TERM; test $SSH_TTY = $(tty) && echo same tty\n")
        await screen.shows(b"40 100\r\nscreen-256color\r\nsame tty\r\n")
        screen.resize(120, 50)
        screen.type(b"until stty size | grep '^50 120$'; do sleep 0.05; done\n")
        await screen.shows(b"\n50 120\r\n")
        screen.type(b"exit 5\n")
        assert await asyncio.wait_for(screen.process.wait(), 10.0) == 5


async def test_a_shell_is_a_login_shell(node: SshNode) -> None:
    async with sitting_at(node) as screen:
        screen.type(b"echo shell:$0\n")
        await screen.shows(b"shell:-")
        screen.type(b"exit\n")
        assert await asyncio.wait_for(screen.process.wait(), 10.0) == 0
    assert list((await node.admin.end_of_a_session()).deeds.programs) == ["shell"]


async def test_jobs_are_controlled(node: SshNode) -> None:
    async with sitting_at(node, BASH) as screen:
        await screen.shows(b"$ ")
        screen.type(SLEEP + b"\n")
        await eventually(lambda: _is_in_front())
        screen.type(b"\x1a")
        await screen.shows(b"Stopped")
        await screen.shows(b"$ ")
        screen.type(b"fg\n")
        await screen.shows(SLEEP + b"\r\n")
        screen.type(b"\x03")
        await screen.shows(b"$ ")
        screen.type(b"echo status:$?\n")
        await screen.shows(b"status:130")


def _is_in_front() -> bool:
    """Whether something sleeps for so many seconds, which no other test does."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if entry.read_bytes() == SLEEP.replace(b" ", b"\0") + b"\0":
                return True
    return False


async def test_a_program_of_the_whole_screen_works(node: SshNode, tmp_path: Path) -> None:
    file = tmp_path / "text"
    async with sitting_at(node, f"vi -u NONE -i NONE -n {file} || vi {file}") as screen:
        await screen.shows(b"text")
        screen.type(b"ihello\x1b:wq\r")
        assert await asyncio.wait_for(screen.process.wait(), 10.0) == 0
    assert file.read_text() == "hello\n"


async def test_closing_the_terminal_ends_what_was_put_into_the_background(node: SshNode) -> None:
    async with sitting_at(node, BASH) as screen:
        await screen.shows(b"$ ")
        screen.type(b"(trap '' HUP; exec sleep 1000) & echo p''id:$!:\n")
        await screen.shows(b"pid:")
        pid = int(await screen.shows(b":"))
        screen.process.kill()
    assert (await node.admin.end_of_a_session()).outcome == "connection_lost"
    assert not lives(pid)


async def test_the_end_of_input_is_typed_on_a_terminal(node: SshNode) -> None:
    done = await node.run("cat", stdin=b"line\n", options=["-tt"])
    assert done.code == 0
    assert b"line" in done.out


async def test_a_client_may_send_a_signal(node: SshNode) -> None:
    def run() -> tuple[bytes, int]:
        key = paramiko.Ed25519Key.from_private_key_file(str(node.directory / "key"))
        with paramiko.Transport(("127.0.0.1", node.port)) as transport:
            transport.connect(username="alice", pkey=key)
            channel = transport.open_session()
            channel.exec_command("trap 'echo caught; exit 9' USR1; echo ready; while :; do sleep 0.05; done")
            seen = channel.recv(100)
            for name in ("NONSENSE", "USR1"):
                message = paramiko.Message()
                message.add_byte(b"\x62")
                message.add_int(channel.remote_chanid)
                message.add_string("signal")
                message.add_boolean(False)
                message.add_string(name)
                transport._send_user_message(message)  # type: ignore[attr-defined]
            while piece := channel.recv(100):
                seen += piece
            return seen, channel.recv_exit_status()

    assert await asyncio.to_thread(run) == (b"ready\ncaught\n", 9)


async def test_modes_of_the_clients_terminal_are_set(node: SshNode) -> None:
    def run() -> bytes:
        key = paramiko.Ed25519Key.from_private_key_file(str(node.directory / "key"))
        with paramiko.Transport(("127.0.0.1", node.port)) as transport:
            transport.connect(username="alice", pkey=key)
            channel = transport.open_session()
            modes = b"\x35\0\0\0\0" + b"\x03\0\0\0\x08" + b"\x00"
            message = paramiko.Message()
            message.add_byte(b"\x62")
            message.add_int(channel.remote_chanid)
            message.add_string("pty-req")
            message.add_boolean(False)
            message.add_string("\x1b[evil")
            for size in (0, 0, 0, 0):
                message.add_int(size)
            message.add_string(modes)
            transport._send_user_message(message)  # type: ignore[attr-defined]
            channel.exec_command("stty -a; stty size; echo $TERM")
            text = b""
            while piece := channel.recv(10_000):
                text += piece
            return text

    text = await asyncio.to_thread(run)
    assert b"-echo " in text
    assert b"erase = ^H" in text
    assert b"24 80\r\ndumb\r\n" in text


@pytest.mark.parametrize(
    ("encoded", "modes"),
    [
        (b"", {}),
        (b"\x35\0\0\0\1\0", {53: 1}),
        (b"\x35\0\0\0\1\x03\0\0", {53: 1}),
        (b"\0\x35\0\0\0\1", {}),
        (b"\xa0\0\0\0\1\x35\0\0\0\1", {}),
    ],
)
def test_modes_that_cannot_be_read_end_the_list(encoded: bytes, modes: dict[int, int]) -> None:
    assert parse_modes(encoded) == modes


# --- recordings


async def test_a_terminal_is_recorded_and_what_was_typed_is_not(tmp_path: Path) -> None:
    async with ssh_node(tmp_path, record=True) as node:
        async with sitting_at(node, "stty -echo; read secret; echo über $(stty size)") as screen:
            await eventually(lambda: node.admin.started)
            screen.type(b"hunter2\n")
            await screen.shows("über".encode())
            await asyncio.wait_for(screen.process.wait(), 10.0)
        ended = await node.admin.end_of_a_session()
        path = node.server.recording(ended.session_id)
        assert path is not None
        header, *events = [json.loads(line) for line in path.read_text().splitlines()]
        assert (header["version"], header["width"], header["height"]) == (2, 100, 40)
        assert "".join(text for _, kind, text in events if kind == "o").endswith("über 40 100\r\n")
        assert ended.has_recording
        assert path.stat().st_mode & 0o777 == 0o600
        assert (await node.run("true")).code == 0
        assert not (await node.admin.end_of_a_session()).has_recording


@pytest.mark.parametrize("session_id", ["", "..", "../host-ed25519", "x" * 36, "0" * 36, "a/b", "\0"])
async def test_no_other_file_is_a_recording(node: SshNode, session_id: str) -> None:
    assert node.server.recording(session_id) is None


def test_a_recording_ends_when_it_is_full(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path, file_limit=1000)
    recording = recordings.begin("9e107d9d-372b-4b68-8a1f-0f9d1f2b1c11", 1)
    terminal = recording.open_terminal(80, 24, "xterm")
    for _ in range(100):
        terminal.output(b"x" * 50)
    recording.close()
    lines = (tmp_path / "9e107d9d-372b-4b68-8a1f-0f9d1f2b1c11.cast").read_text().splitlines()
    assert sum(map(len, lines)) < 1200
    assert json.loads(lines[-1])[1:] == ["m", "the recording ends here: it is full"]


def test_a_second_terminal_follows_a_marker_and_characters_arrive_whole(tmp_path: Path) -> None:
    recording = Recordings(tmp_path).begin("9e107d9d-372b-4b68-8a1f-0f9d1f2b1c11", 1)
    first = recording.open_terminal(80, 24, "xterm")
    second = recording.open_terminal(100, 40, "xterm")
    first.output("ü".encode()[:1])
    second.output(b"\xff")
    first.output("ü".encode()[1:])
    recording.close()
    lines = (tmp_path / "9e107d9d-372b-4b68-8a1f-0f9d1f2b1c11.cast").read_text().splitlines()
    assert [json.loads(line)[1:] for line in lines[1:]] == [
        ["m", "terminal 2"],
        ["r", "100x40"],
        ["o", "\ufffd"],
        ["o", "ü"],
    ]


def test_the_oldest_recordings_make_room(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path, files_limit=3)
    ids = [f"9e107d9d-372b-4b68-8a1f-0f9d1f2b1c1{number}" for number in range(5)]
    for age, session_id in enumerate(ids):
        recordings.begin(session_id, 1).close()
        os.utime(tmp_path / f"{session_id}.cast", (age, age))
    assert [session_id for session_id in ids if recordings.find(session_id)] == ids[2:]
