"""Starting what a client asks for on a channel: a login shell, a command, the SFTP server; on a terminal or on pipes.

Programs get the environment of a fresh login, not the agent's. Called in the thread that then serves the program.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edge_agent.runner import terminal
from edge_agent.runner.account import Account
from edge_agent.ssh import terminal_modes
from edge_agent.ssh.local_account import LocalAccount
from edge_wire.names import printable

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PIPE_SIZE = 256 * 1024
_F_SETPIPE_SZ = 1031
_SFTP_SERVER = Path(__file__).with_name("sftp_server.py")
_AS_ACCOUNT = """
import grp, hashlib, os, pwd, sys
ids, source = sys.argv[1:]
scope = {"__name__": "sftp_server"}
exec(compile(source, "sftp_server", "exec"), scope)
uid, gid, *groups = [int(number) for number in ids.split(",")]
os.setgroups(groups)
os.setgid(gid)
os.setuid(uid)
os._exit(scope["main"]())
"""
"""The account may not be able to read the interpreter's files, so everything is imported before it changes."""


@dataclass(frozen=True, kw_only=True)
class TerminalRequest:
    """The terminal that a client has."""

    kind: str
    columns: int
    rows: int
    modes: bytes = b""


@dataclass(frozen=True, kw_only=True)
class ProgramRequest:
    """What a client wants started on a channel."""

    kind: Literal["shell", "exec", "subsystem"]
    command: bytes = b""
    """The command line, or the name of the subsystem."""
    terminal: TerminalRequest | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the client and the connection add."""


@dataclass(kw_only=True)
class Program:
    """A program that runs, with our ends of what it reads and writes; none of them blocks."""

    process: subprocess.Popen[bytes]
    pidfd: int | None
    stdin: int | None
    stdout: int | None
    stderr: int | None
    is_terminal: bool

    def close(self) -> None:
        """Give back all that is left. On a terminal one descriptor is both."""
        left = {self.pidfd, self.stdin, self.stdout, self.stderr}
        self.pidfd = self.stdin = self.stdout = self.stderr = None
        for descriptor in left:
            if descriptor is not None:
                os.close(descriptor)


class CannotStart(Exception):
    """It cannot be started."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.message = message
        self.exit_status = exit_status


@dataclass(frozen=True, kw_only=True)
class _Command:
    file: str
    argv: Sequence[str | bytes]
    changes_by_itself: bool = False
    """It becomes the account by itself."""


@dataclass(frozen=True, kw_only=True)
class _Ends:
    ours: tuple[int, int, int | None]
    theirs: tuple[int, int, int]


def start(request: ProgramRequest, local: LocalAccount, hidden: frozenset[str]) -> Program:
    """Start it as this account. Raises CannotStart; then nothing is left."""
    if local.account is None:
        raise CannotStart(local.refusal, 1)
    command = _command(request, local.account, local.to_change_to)
    try:
        with ExitStack() as on_failure, ExitStack() as in_any_case:
            ends = _open_ends(request.terminal, local.account.uid, on_failure, in_any_case)
            environment = _environment(request, local.account, ends, hidden)
            process = _spawn(command, request, local, ends, environment)
            program = _adopt(process, ends, request)
            on_failure.pop_all()
    except ValueError:
        raise CannotStart("a command or a variable has a NUL in it", 126) from None
    except OSError as error:
        raise _refusal(error, command.file) from None
    return program


# --- what is run -------------------------------------------------------------------------------------------------


def _command(request: ProgramRequest, account: Account, change_to: Account | None) -> _Command:
    name = os.path.basename(account.shell)
    if request.kind == "shell":
        return _Command(file=account.shell, argv=[f"-{name}"])
    if request.kind == "exec":
        return _Command(file=account.shell, argv=[name, "-c", request.command])
    if request.command != b"sftp":
        raise CannotStart(f"there is no subsystem {printable(request.command.decode('utf-8', 'replace'))}", 1)
    if not _is_login_shell(account.shell):  # nologin and its like; they say so themselves
        return _Command(file=account.shell, argv=[name, "-c", "sftp-server"])
    python = [sys.executable, "-I", "-S", "-c"]
    if change_to is None:
        return _Command(file=sys.executable, argv=[*python, _sftp_source()])
    ids = ",".join(str(number) for number in (change_to.uid, change_to.gid, *change_to.groups))
    return _Command(file=sys.executable, argv=[*python, _AS_ACCOUNT, ids, _sftp_source()], changes_by_itself=True)


@functools.cache
def _sftp_source() -> str:
    """Read once: an update of the agent may replace the file under it. Raises CannotStart."""
    try:
        return _SFTP_SERVER.read_text()
    except OSError:
        raise CannotStart("this agent has no SFTP server", 1) from None


def _is_login_shell(shell: str) -> bool:
    """Whether it is one of those that let somebody work, shells(5)."""
    try:
        known = Path("/etc/shells").read_text().split("\n")
    except OSError:
        return os.path.basename(shell) not in {"nologin", "false"}
    return shell in known


def _environment(request: ProgramRequest, account: Account, ends: _Ends, hidden: frozenset[str]) -> dict[str, str]:
    """What a login sets, what the client adds, what the connection is; later ones win."""
    environment = {**account.environment(), "PATH": PATH, **request.environment}
    if request.terminal is not None:
        environment |= {"TERM": request.terminal.kind, "SSH_TTY": os.ttyname(ends.theirs[0])}
    return {name: value for name, value in environment.items() if name not in hidden}


# --- the process -------------------------------------------------------------------------------------------------


def _open_ends(wanted: TerminalRequest | None, owner: int, on_failure: ExitStack, in_any_case: ExitStack) -> _Ends:
    """Ours are closed on failure, theirs in any case."""
    if wanted is not None:
        ours, theirs = terminal.open_terminal(terminal.as_size(wanted.columns, wanted.rows), owner)
        on_failure.callback(os.close, ours)
        in_any_case.callback(os.close, theirs)
        terminal_modes.set_modes(theirs, wanted.modes)
        os.set_blocking(ours, False)
        return _Ends(ours=(ours, ours, None), theirs=(theirs, theirs, theirs))
    given_in, stdin = _open_pipe(in_any_case, on_failure)
    stdout, given_out = _open_pipe(on_failure, in_any_case)
    stderr, given_err = _open_pipe(on_failure, in_any_case)
    for descriptor in (stdin, stdout, stderr):
        os.set_blocking(descriptor, False)
    return _Ends(ours=(stdin, stdout, stderr), theirs=(given_in, given_out, given_err))


def _open_pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    read, write = os.pipe2(os.O_CLOEXEC)
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    with contextlib.suppress(OSError):  # there is a limit for each user
        fcntl.fcntl(write, _F_SETPIPE_SZ, _PIPE_SIZE)
    return read, write


def _spawn(
    command: _Command, request: ProgramRequest, local: LocalAccount, ends: _Ends, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    assert local.account is not None
    home = local.account.home
    stdin, stdout, stderr = ends.theirs
    options: dict[str, Any] = {
        "stdin": stdin,
        "stdout": stdout,
        "stderr": stderr,
        "cwd": home if os.path.isdir(home) and os.access(home, os.X_OK) else "/",
        "env": environment,
        "executable": command.file,
        "umask": 0o022,
    }
    account = None if command.changes_by_itself else local.to_change_to
    if request.terminal is not None:
        argv = [os.fsdecode(argument) for argument in command.argv]
        return terminal.spawn(argv, account=account, inherited=[], **options)
    if account is not None:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": account.groups}
    process: subprocess.Popen[bytes] = subprocess.Popen(command.argv, start_new_session=True, close_fds=True, **options)
    return process


def _adopt(process: subprocess.Popen[bytes], ends: _Ends, request: ProgramRequest) -> Program:
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:
        process.kill()  # nobody could notice its end
        process.wait()
        raise
    stdin, stdout, stderr = ends.ours
    return Program(
        process=process,
        pidfd=pidfd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        is_terminal=request.terminal is not None,
    )


def _refusal(error: OSError, file: str) -> CannotStart:
    if error.errno == errno.E2BIG:
        return CannotStart("the command is larger than this node's kernel takes", 126)
    if error.errno == errno.ENOENT:
        return CannotStart(f"{file}: not found on this node", 127)
    if error.errno == errno.EPERM:
        return CannotStart("the agent may not change to this account", 1)
    return CannotStart(f"{file}: {error.strerror}", 126)
