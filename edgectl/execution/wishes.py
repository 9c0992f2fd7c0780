"""What one `edgectl exec` was asked to do, read from its words, and the request that says it to the admin."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from edge_wire.errors import ArgvInvalid, SelectorEmpty, UsageError
from edge_wire.names import printable
from edge_wire.timestamps import to_duration
from edge_wire.v1 import command_pb2 as pb
from edgectl.execution.brought import read_environment, read_script
from edgectl.execution.portions import read_portion
from edgectl.selectors import SelectorWords

View = Literal["stream", "grouped", "diff", "summary", "none"]
ExitPolicy = Literal["auto", "fleet", "none"]
Offline = Literal["fail", "skip", "queue"]

_OFFLINE = {"fail": pb.OFFLINE_POLICY_FAIL, "skip": pb.OFFLINE_POLICY_SKIP, "queue": pb.OFFLINE_POLICY_QUEUE}
_HOW_TO_RUN = "edgectl exec NODE... -- PROGRAM [ARGUMENT...]"


@dataclass(frozen=True, kw_only=True)
class Pace:
    """When what starts and ends."""

    fanout: str = "64"
    batch: str = ""
    pause: timedelta | None = None
    max_errors: str = ""
    timeout: timedelta | None = None
    deadline: timedelta | None = None
    kill_after: timedelta | None = None
    contact_timeout: timedelta | None = None
    offline: Offline = "fail"
    expires: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class How:
    """What surrounds the program on the node."""

    is_shell: bool = False
    script: str = ""
    user: str = ""
    cwd: str = ""
    environment: Sequence[str] = field(default=(), repr=False)
    environment_file: str = ""
    stdin: str = "none"
    is_tty: bool = False


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What one exec was asked to do."""

    selector: SelectorWords
    argv: Sequence[str] = ()
    pace: Pace = field(default_factory=Pace)
    how: How = field(default_factory=How)
    view: View = "stream"
    outdir: Path | None = None
    is_raw: bool = False
    has_prefix: bool = True
    has_progress: bool = True
    name: str = ""
    request_id: str = ""
    exit_policy: ExitPolicy = "auto"

    @property
    def is_one_node(self) -> bool:
        """Decided by the words typed, never by how many nodes they match."""
        return self.selector.is_one_plain_name

    @property
    def passes_code(self) -> bool:
        """Whether the remote exit code becomes ours."""
        return self.is_one_node and self.exit_policy == "auto"

    @property
    def has_stdin(self) -> bool:
        """Whether stdin is brought to the program."""
        return self.how.stdin != "none" or self.how.is_tty

    @property
    def has_fleet_view(self) -> bool:
        """Whether even one node is shown as a fleet of one."""
        return self.view in {"grouped", "diff", "summary"}

    @property
    def shows_output(self) -> bool:
        """Whether anybody sees what nodes write."""
        return self.view not in {"summary", "none"} or self.outdir is not None


def check(wishes: Wishes, remote_argv: Sequence[str] | None) -> None:
    """Refuse what cannot be meant. Raises UsageError, ArgvInvalid, SelectorEmpty."""
    if wishes.how.script:
        if wishes.how.is_shell:
            raise UsageError(
                "--script and --shell exclude each other", hint="a script chooses its shell by its #! line"
            )
    elif remote_argv is None:
        raise UsageError("what to run is missing", hint=_HOW_TO_RUN)
    elif not remote_argv:
        raise UsageError("there is nothing behind --", hint=_HOW_TO_RUN)
    _check_argv(remote_argv or [])
    if wishes.selector.is_empty:
        hint = "add --all to narrow what there is" if wishes.selector.is_narrowed else "edgectl node list"
        raise SelectorEmpty(hint=hint)
    _check_pace(wishes.pace)
    _check_terminal(wishes)


def check_display(wishes: Wishes, *, is_machine: bool, is_detached: bool) -> None:
    """Refuse words that would do nothing beside others. Raises UsageError."""
    if is_machine and wishes.view != "stream":
        raise UsageError(f"--view {wishes.view} and -o json or jsonl exclude each other", hint="leave one of them out")
    shown = "-o json or jsonl" if is_machine else f"--view {wishes.view}"
    if not wishes.has_prefix and (is_machine or wishes.view != "stream"):
        raise UsageError(f"--no-prefix and {shown} exclude each other: it has no prefixes")
    if wishes.is_raw and (is_machine or wishes.view in {"none", "summary"}):
        raise UsageError(f"--raw and {shown} exclude each other: it shows no output of nodes as it is")
    if is_detached and wishes.has_stdin:
        raise UsageError("--detach leaves nobody to bring stdin", hint="leave out --detach")
    if is_detached and wishes.outdir is not None:
        raise UsageError("--outdir and --detach exclude each other", hint="leave one of them out")


def _check_argv(argv: Sequence[str]) -> None:
    for number, word in enumerate(argv, 1):
        try:
            word.encode()
        except UnicodeEncodeError:  # bytes that Python could not read: arguments travel as protobuf strings
            raise ArgvInvalid(
                f"argument {number} is not UTF-8 ({printable(word)}), and arguments are sent as UTF-8",
                hint="bring bytes by --stdin, or let a shell on the node make them",
            ) from None


def _check_pace(pace: Pace) -> None:
    read_portion("--fanout", pace.fanout)
    if pace.batch:
        read_portion("--batch", pace.batch)
    if pace.max_errors:
        read_portion("--max-errors", pace.max_errors, least=0)
    if pace.pause is not None and not pace.batch:
        raise UsageError("--pause is between batches", hint="add --batch N")
    if pace.expires is not None and pace.offline != "queue":
        raise UsageError("--expires is for what waits in a queue", hint="add --offline queue")


def _check_terminal(wishes: Wishes) -> None:
    if not wishes.how.is_tty:
        return
    if not wishes.is_one_node:
        raise UsageError("--tty is for one node that is named outright")
    if wishes.how.stdin != "none":
        raise UsageError("--tty and --stdin exclude each other", hint="a terminal's stdin is the terminal")
    if wishes.view != "stream":
        raise UsageError("--tty and --view exclude each other: a terminal shows itself")


def to_request(
    wishes: Wishes, *, is_exact: bool = False, terminal: pb.Terminal | None = None
) -> pb.CreateCommandRequest:
    """The request; it always carries a request id, so that sending it again creates nothing new."""
    spec = pb.CommandSpec(name=wishes.name, exact_output=is_exact, has_stdin=wishes.has_stdin)
    _set_program(spec, wishes)
    _set_pace(spec, wishes.pace)
    spec.user, spec.working_directory = wishes.how.user, wishes.how.cwd
    if terminal is not None:
        spec.terminal.CopyFrom(terminal)
    spec.environment.extend(read_environment(wishes.how.environment, wishes.how.environment_file))
    return pb.CreateCommandRequest(
        selector=wishes.selector.to_message(),
        spec=spec,
        request_id=wishes.request_id or str(uuid.uuid4()),
    )


def _set_program(spec: pb.CommandSpec, wishes: Wishes) -> None:
    if wishes.how.script:
        spec.script.CopyFrom(read_script(wishes.how.script, wishes.argv))
    elif wishes.how.is_shell:
        spec.shell = " ".join(wishes.argv)
    else:
        spec.argv.arguments.extend(wishes.argv)


def _set_pace(spec: pb.CommandSpec, pace: Pace) -> None:
    spec.offline = _OFFLINE[pace.offline]
    spec.fanout.CopyFrom(read_portion("--fanout", pace.fanout))
    if pace.batch:
        spec.batch.CopyFrom(read_portion("--batch", pace.batch))
    if pace.max_errors:
        spec.max_errors.CopyFrom(read_portion("--max-errors", pace.max_errors, least=0))
    for name in ("pause", "timeout", "deadline", "kill_after", "contact_timeout", "expires"):
        span: timedelta | None = getattr(pace, name)
        if span is not None:
            getattr(spec, name).CopyFrom(to_duration(span))
