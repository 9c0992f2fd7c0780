"""A client of our own for where there is no ssh program: a shell or one command, with the terminal as ssh has it."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress

import paramiko

from edge_wire.errors import UsageError
from edgectl.connect import connected
from edgectl.execution.raw_terminal import raw_terminal
from edgectl.invocation import Invocation
from edgectl.ssh.transports import Transports
from edgectl.ssh.words import FAILED, SshWords

_CHUNK = 65_536
_LOOK_EVERY = 0.25
_UNDERSTOOD = frozenset({"-t", "-T", "-n", "-q", "-v", "-4", "-6"})


def run_own_client(invocation: Invocation, words: SshWords) -> int:
    """Log in and do what was asked. Returns the remote exit status, or 255. Raises EdgeError."""
    unknown = [word for word in words.options if word not in _UNDERSTOOD]
    if unknown:
        raise UsageError(f"without an ssh program here, {unknown[0]} is not to be had", hint="install OpenSSH's client")

    async def work() -> int:
        async with connected(invocation) as admin:
            transports = Transports(admin, asyncio.get_running_loop())
            async with _logged_in(transports, words) as transport:
                return await _converse(transport, words)

    return asyncio.run(work())


@asynccontextmanager
async def _logged_in(transports: Transports, words: SshWords) -> AsyncIterator[paramiko.Transport]:
    opening = transports(words.node, words.user)
    transport = await asyncio.to_thread(opening.__enter__)
    try:
        yield transport
    finally:
        await asyncio.to_thread(opening.__exit__, None, None, None)


async def _converse(transport: paramiko.Transport, words: SshWords) -> int:
    is_terminal = _wants_terminal(words)
    resized = threading.Event()
    channel = await asyncio.to_thread(_start, transport, words, is_terminal=is_terminal)
    with raw_terminal(resized.set) if is_terminal else nullcontext():
        await asyncio.to_thread(_pump, channel, words, resized)
    status = await asyncio.to_thread(channel.recv_exit_status)
    return status if 0 <= status <= FAILED else FAILED


def _start(transport: paramiko.Transport, words: SshWords, *, is_terminal: bool) -> paramiko.Channel:
    channel = transport.open_session()
    if is_terminal:
        size = shutil.get_terminal_size()
        channel.get_pty(os.environ.get("TERM", "dumb"), size.columns, size.lines)
    if words.command:
        channel.exec_command(" ".join(words.command))
    else:
        channel.invoke_shell()
    return channel


def _wants_terminal(words: SshWords) -> bool:
    if "-T" in words.options or not sys.stdin.isatty():
        return words.options.count("-t") > 1
    return "-t" in words.options or not words.command


def _pump(channel: paramiko.Channel, words: SshWords, resized: threading.Event) -> None:
    """Until the other side has ended both of its streams."""
    if "-n" in words.options:
        channel.shutdown_write()
    else:
        threading.Thread(target=_feed, args=(channel,), daemon=True).start()
    while not _is_over(channel):
        if resized.is_set():
            resized.clear()
            size = shutil.get_terminal_size()
            channel.resize_pty(size.columns, size.lines)
        select.select([channel], [], [], _LOOK_EVERY)
        while channel.recv_ready():
            _write(1, channel.recv(_CHUNK))
        while channel.recv_stderr_ready():
            _write(2, channel.recv_stderr(_CHUNK))


def _is_over(channel: paramiko.Channel) -> bool:
    has_ended = bool(channel.eof_received or channel.closed)
    return has_ended and not channel.recv_ready() and not channel.recv_stderr_ready()


def _feed(channel: paramiko.Channel) -> None:
    with suppress(OSError):
        while data := os.read(0, _CHUNK):
            channel.sendall(data)
        channel.shutdown_write()


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
