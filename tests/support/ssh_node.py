"""A node as SSH clients see it, in this process: paramiko's server, with programs in a directory of the test.

It knows no accounts and asks for no password: who reaches its `open` is in.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import paramiko

_KEY = paramiko.ECDSAKey.generate(bits=256)
_TAKE = 256 * 1024


class SshNode:
    """A node whose home directory is `home`."""

    greeting = ""
    """What the start-up files of the account print before a program runs."""

    def __init__(
        self,
        home: Path,
        *,
        sftp: Sequence[str] | type[paramiko.SFTPServerInterface] | None,
        can_run: bool = True,
    ) -> None:
        self.home = home
        self._sftp = sftp
        """A program, or what paramiko's own SFTP server serves."""
        self.can_run = can_run

    @contextmanager
    def open(self, node: str = "", user: str = "") -> Iterator[paramiko.Transport]:
        """A connection of a client; its end ends the server's side too."""
        ours, theirs = socket.socketpair()
        server = self._serve(theirs)
        client = paramiko.Transport(ours)
        try:
            client.start_client(timeout=30)
            client.auth_none("anybody")
            yield client
        finally:
            client.close()
            server.close()

    def _serve(self, end: socket.socket) -> paramiko.Transport:
        transport = paramiko.Transport(end)
        transport.add_server_key(_KEY)
        if self._sftp is not None and isinstance(self._sftp, type):
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, self._sftp)
        elif self._sftp is not None:
            transport.set_subsystem_handler("sftp", _ProgramHandler, self._sftp, self.home)
        transport.start_server(event=threading.Event(), server=_Server(self))
        return transport


class _Server(paramiko.ServerInterface):
    def __init__(self, node: SshNode) -> None:
        self._node = node

    def get_allowed_auths(self, username: str) -> str:
        return "none"

    def check_auth_none(self, username: str) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if self._node.can_run:
            argv = ["sh", "-c", f"printf '{self._node.greeting}'\n".encode() + command]
            threading.Thread(target=_run, args=(argv, self._node.home, channel), daemon=True).start()
        return self._node.can_run


class _ProgramHandler(paramiko.SubsystemHandler):
    """A subsystem that is a program."""

    def __init__(self, channel: paramiko.Channel, name: str, server: paramiko.ServerInterface, *arguments: Any) -> None:
        super().__init__(channel, name, server)
        self._argv, self._home = arguments

    def start_subsystem(self, name: str, transport: paramiko.Transport, channel: paramiko.Channel) -> None:
        """Carry bytes until the program ends."""
        _run(self._argv, self._home, channel)


def _run(argv: Sequence[str | bytes], home: Path, channel: paramiko.Channel) -> None:
    process = subprocess.Popen(argv, cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdout is not None
    feeder = threading.Thread(target=_feed, args=(channel, process), daemon=True)
    feeder.start()
    with suppress(OSError, EOFError, paramiko.SSHException):
        while piece := process.stdout.read(_TAKE):
            channel.sendall(piece)
        channel.send_exit_status(process.wait())
    process.stdout.close()  # ends a program that still writes for a client that is gone
    with suppress(OSError, EOFError, paramiko.SSHException):
        channel.close()
    feeder.join()
    process.wait()


def _feed(channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with suppress(OSError, EOFError, paramiko.SSHException), process.stdin:
        while piece := channel.recv(_TAKE):
            view = memoryview(piece)
            while view:
                view = view[process.stdin.write(view) :]
