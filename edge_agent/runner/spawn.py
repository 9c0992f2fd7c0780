"""Starting one execution: what the agent asks for, as a process with the runner's ends of what it reads and writes.

What cannot be started is over at once and says why; nothing was started then. Standard library only.
"""

from __future__ import annotations

import base64
import errno
import itertools
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from edge_agent.runner import account as accounts
from edge_agent.runner import leftovers, script, terminal
from edge_agent.runner.account import Account
from edge_agent.runner.execution import CHUNK, STREAMS, Execution, Output, StreamName
from edge_agent.runner.spool import Spool
from edge_agent.runner.stdin import Stdin


@dataclass(kw_only=True, slots=True)
class StartRequest:
    """What the agent wants started."""

    id: str
    argv: list[str]
    """Program and arguments; with a script its arguments only."""
    timeout: float | None
    kill_after: float
    exact: bool
    spool_bytes: int
    script: str | None = field(default=None, repr=False)
    """The content, base64."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Added to the runner's own."""
    working_directory: str = ""
    """Seen from the home directory, which it is when empty."""
    user: str = ""
    """Empty for the runner's own."""
    has_stdin: bool = False
    terminal: Mapping[str, Any] | None = None
    """Columns, rows and kind; implies stdin and exact output."""


_KNOWN = frozenset(item.name for item in fields(StartRequest))
_OWN_ENVIRONMENT = dict(os.environb)
"""Of the runner, which does not change it. Bytes, because they are what the kernel gives and takes."""
_spool_numbers = itertools.count()


class CannotStart(Exception):
    """It cannot be started."""

    def __init__(self, code: str, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.exit_code = exit_code
        """As shells have it; None where they have none."""


@dataclass(kw_only=True)
class _Plan:
    """What is known before anything is opened."""

    request: StartRequest
    account: Account | None
    """To change to; None to stay what the runner is."""
    directory: str
    environment: Mapping[bytes, bytes] = field(repr=False)
    script: bytes | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class _Ends:
    """Descriptors of what a process reads and writes: the runner's, and those that the process is given."""

    stdin: int | None
    stdout: int
    stderr: int | None
    given: tuple[int, int, int]


def start(request_fields: Mapping[str, Any], spool_dir: Path, now: float) -> Execution:
    """Start one execution; one that cannot be started is over at once."""
    unknown = sorted(request_fields.keys() - _KNOWN)
    request = StartRequest(**{name: value for name, value in request_fields.items() if name in _KNOWN})
    execution = _new_execution(request, spool_dir, now)
    # Everything that a bad request could break comes before there is a process.
    execution.deadline = now + request.timeout if request.timeout is not None else None
    try:
        if unknown:
            raise CannotStart("spawn_failed", f"the node's runner is older than its agent: {', '.join(unknown)}")
        _spawn_into(execution, _plan(request))
    except CannotStart as refusal:
        execution.fail(refusal.code, refusal.message, refusal.exit_code)
    return execution


def _new_execution(request: StartRequest, spool_dir: Path, now: float) -> Execution:
    is_terminal = request.terminal is not None
    is_exact = request.exact or is_terminal
    spools = _new_spools(spool_dir, request.spool_bytes, is_lending=not is_exact)
    return Execution(
        id=request.id,
        exact=is_exact,
        kill_after=float(request.kill_after),
        outputs={name: Output(spools[name], None) for name in STREAMS},
        is_terminal=is_terminal,
        started_at=now,
    )


def _new_spools(directory: Path, size: int, *, is_lending: bool) -> dict[StreamName, Spool]:
    """One for each stream. The one that is full first has most of what the other does not use.

    Exact output waits for room instead, and both of its rings have to keep what may be asked for again.
    """
    share = max(CHUNK, size // 4)
    path = f"{directory}/{next(_spool_numbers)}"  # not named after the id, which somebody else made up
    spools: dict[StreamName, Spool] = {}
    others: dict[StreamName, StreamName] = {"stdout": "stderr", "stderr": "stdout"}
    for name, other in others.items():

        def borrow(other: StreamName = other) -> int:
            return spools[other].lend(share // 4) if is_lending else 0

        spools[name] = Spool(f"{path}.{name}", head_limit=share, ring_limit=share, borrow=borrow)
    return spools


# --- what is asked for ---------------------------------------------------------------------------------------------


def _plan(request: StartRequest) -> _Plan:
    """Decide as whom, where and with which environment. Raises CannotStart."""
    account = _account(request.user) if request.user else None
    return _Plan(
        request=request,
        account=account if account is not None and account.uid != os.geteuid() else None,
        directory=_directory(request.working_directory, account.home if account else accounts.own_home()),
        environment=_environment(request, account),
        script=base64.b64decode(request.script) if request.script is not None else None,
    )


def _account(name: str) -> Account:
    account = accounts.find_account(name)
    code = accounts.refusal(account, os.geteuid())
    if code == "user_denied":
        raise CannotStart(code, f"{name}: the agent is not root and runs commands as its own account only")
    if account is None:
        raise CannotStart("user_unknown", f"{name}: no such account on the node")
    return account


def _directory(named: str, home: str) -> str:
    if not named:
        return home if _can_be_entered(home) else "/"
    directory = os.path.join(home, named)
    if not _can_be_entered(directory):
        raise CannotStart("working_directory_not_found", f"{directory}: no directory that can be entered on the node")
    return directory


def _can_be_entered(directory: str) -> bool:
    return os.path.isdir(directory) and os.access(directory, os.X_OK)


def _environment(request: StartRequest, account: Account | None) -> Mapping[bytes, bytes]:
    """The runner's own, what a login sets, what the terminal is, what was asked for; later ones win."""
    environment = dict(_OWN_ENVIRONMENT)
    added = {**(account.environment() if account else {})}
    if request.terminal is not None:
        added["TERM"] = request.terminal["kind"] or "dumb"
        for stale in (b"COLUMNS", b"LINES"):  # programs believe them more than the terminal
            environment.pop(stale, None)
    added |= {**request.environment, leftovers.MARK: request.id}
    environment.update((os.fsencode(name), os.fsencode(value)) for name, value in added.items())
    return environment


# --- the process ---------------------------------------------------------------------------------------------------


def _spawn_into(execution: Execution, plan: _Plan) -> None:
    """Raises CannotStart, and then nothing is left open."""
    program = script.interpreter_of(plan.script)[0] if plan.script is not None else plan.request.argv[0]
    try:
        with ExitStack() as on_failure:
            with ExitStack() as in_any_case:
                ends = _open_ends(plan, on_failure, in_any_case)
                process = _spawn(plan, ends, in_any_case)
            execution.pidfd = _open_pidfd(process)
            on_failure.pop_all()
    except OSError as error:
        raise _refusal(error, program, plan.account) from None
    execution.process = process
    execution.start_ticks = leftovers.start_ticks(process.pid) or 0
    execution.outputs["stdout"].pipe, execution.outputs["stderr"].pipe = ends.stdout, ends.stderr
    if ends.stdin is not None:
        execution.stdin = Stdin(ends.stdin, is_terminal=execution.is_terminal)


def _open_ends(plan: _Plan, on_failure: ExitStack, in_any_case: ExitStack) -> _Ends:
    """The runner's ends are closed on failure, those of the process in any case."""
    if plan.request.terminal is not None:
        return _open_terminal(plan, on_failure, in_any_case)
    out, given_out = _open_pipe(on_failure, in_any_case)
    err, given_err = _open_pipe(on_failure, in_any_case)
    given_in, stdin = _open_pipe(in_any_case, on_failure) if plan.request.has_stdin else (subprocess.DEVNULL, None)
    for ours in (stdin, out, err):
        if ours is not None:
            os.set_blocking(ours, False)
    return _Ends(stdin=stdin, stdout=out, stderr=err, given=(given_in, given_out, given_err))


def _open_pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    read, write = os.pipe2(os.O_CLOEXEC)
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    return read, write


def _open_terminal(plan: _Plan, on_failure: ExitStack, in_any_case: ExitStack) -> _Ends:
    assert plan.request.terminal is not None
    size = terminal.as_size(plan.request.terminal["columns"], plan.request.terminal["rows"])
    owner = plan.account.uid if plan.account is not None else os.geteuid()
    ours, given = terminal.open_terminal(size, owner)
    on_failure.callback(os.close, ours)
    in_any_case.callback(os.close, given)
    typing = os.dup(ours)  # a selector waits for either reading or writing on one descriptor
    on_failure.callback(os.close, typing)
    os.set_blocking(ours, False)
    return _Ends(stdin=typing, stdout=ours, stderr=None, given=(given, given, given))


def _spawn(plan: _Plan, ends: _Ends, in_any_case: ExitStack) -> subprocess.Popen[bytes]:
    argv: Sequence[str] = plan.request.argv
    inherited: list[int] = []
    if plan.script is not None:
        inherited = [script.lay_down(plan.script)]
        in_any_case.callback(os.close, inherited[0])
        argv = script.command(plan.script, inherited[0], argv)
    stdin, stdout, stderr = ends.given
    options: dict[str, Any] = {
        "stdin": stdin,
        "stdout": stdout,
        "stderr": stderr,
        "cwd": plan.directory,
        "env": plan.environment,
    }
    if plan.request.terminal is not None:
        return terminal.spawn(argv, account=plan.account, inherited=inherited, **options)
    if plan.account is not None:
        options |= {"user": plan.account.uid, "group": plan.account.gid, "extra_groups": plan.account.groups}
    # No preexec_fn, and a user only where it changes: either costs vfork, and with it half of the spawn rate.
    process: subprocess.Popen[bytes] = subprocess.Popen(
        argv, pass_fds=inherited, start_new_session=True, close_fds=True, **options
    )
    return process


def _open_pidfd(process: subprocess.Popen[bytes]) -> int:
    try:
        return os.pidfd_open(process.pid)
    except OSError:
        os.killpg(process.pid, signal.SIGKILL)  # nobody could notice its end
        process.wait()
        raise


def _refusal(error: OSError, program: str, account: Account | None) -> CannotStart:
    if error.filename != program:
        if account is not None and error.errno == errno.EPERM:
            return CannotStart("user_denied", f"{account.name}: the agent may not change to this account")
        return CannotStart("spawn_failed", f"no process can be started on the node: {error.strerror}")
    if error.errno == errno.ENOENT:
        return CannotStart("program_not_found", f"{program}: not found on the node", 127)
    if error.errno in {errno.EACCES, errno.ENOEXEC, errno.EISDIR}:
        return CannotStart("program_not_executable", f"{program}: cannot be executed on the node", 126)
    if error.errno == errno.E2BIG:
        return CannotStart("argv_too_large", "the command is larger than the node's kernel takes", 126)
    return CannotStart("spawn_failed", f"{program}: {error.strerror}")
