"""`edgectl command retry` and `diff`: running a command again where it did not go well, and comparing two runs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from edge_wire.errors import UsageError
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import selector_pb2
from edgectl import shapes
from edgectl.connect import Admin, ask
from edgectl.execution import creation
from edgectl.execution.brought import read_environment
from edgectl.execution.choices import ViewChoice
from edgectl.execution.foreground import run_foreground
from edgectl.execution.portions import read_portion
from edgectl.execution.tally import OUTCOMES
from edgectl.execution.wishes import How, Wishes
from edgectl.node_sets import fold_briefly
from edgectl.options import CommandId, Yes, invocation_of
from edgectl.output import Column, emit_list, note, text_of
from edgectl.records.stored import Kept, StoredCommand, load_command, load_with_output
from edgectl.selectors import SelectorWords
from edgectl.standard_streams import print_line
from edgectl.views.escapes import harmless
from edgectl.views.line_diff import Budget
from edgectl.views.line_diff import diff as line_diff

_AGAIN = ("failed", "timed_out", "cancelled", "offline", "not_started", "expired")
"""What is run again unless told otherwise: not `lost`, which may have done its work."""


def retry(
    ctx: typer.Context,
    id: CommandId,  # noqa: A002  # its name on the command line
    only: Annotated[
        str, typer.Option(help=f"Outcomes to run again, separated by commas. Default: {','.join(_AGAIN)}.")
    ] = "",
    fanout: Annotated[str, typer.Option("--fanout", "-f", help="How many nodes at once. Default: as before.")] = "",
    env: Annotated[
        list[str] | None, typer.Option("--env", "-e", help="NAME=value or NAME: values are not kept, give them again.")
    ] = None,
    env_file: Annotated[str, typer.Option(help="A file of such lines.")] = "",
    stdin: Annotated[str, typer.Option(help="Stdin is not kept either: -, a file, or none.")] = "none",
    view: Annotated[ViewChoice, typer.Option(help="How output is shown.")] = ViewChoice.STREAM,
    detach: Annotated[bool, typer.Option("--detach", help="Print the new command's id and leave.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Print the nodes and stop.")] = False,
    yes: Yes = False,
) -> int:
    """Run a command again on those of its nodes where it did not go well."""
    invocation = invocation_of(ctx)
    outcomes = _read_outcomes(only)
    command = ask(invocation, lambda admin: load_command(admin, id)).command
    spec = pb.CommandSpec()
    spec.CopyFrom(command.spec)
    del spec.environment[:]
    spec.environment.extend(_environment_again(command.spec, env or [], env_file))
    _check_stdin(spec, stdin, is_detached=detach)
    spec.exact_output = False
    if fanout:
        spec.fanout.CopyFrom(read_portion("--fanout", fanout))
    selector = selector_pb2.Selector(nodes=[f"@command:{command.id}={','.join(outcomes)}"])
    request = pb.CreateCommandRequest(selector=selector, spec=spec, request_id=str(uuid.uuid4()))
    if dry_run:
        return creation.show_targets(invocation, request)
    creation.ask_when_large(invocation, request, is_yes=yes)
    if detach:
        return creation.detach(invocation, request)
    wishes = Wishes(selector=SelectorWords(), how=How(stdin=stdin), view=view.value)
    return run_foreground(invocation, wishes, request)


def diff(
    ctx: typer.Context,
    first: CommandId,
    second: CommandId,
    brief: Annotated[bool, typer.Option("--brief", help="Only which nodes differ, not how their output does.")] = False,
) -> int:
    """Compare two commands node by node: outcome, exit code and what is kept of stdout."""
    invocation = invocation_of(ctx)

    async def load(admin: Admin) -> tuple[StoredCommand, StoredCommand]:
        return await load_with_output(admin, first), await load_with_output(admin, second)

    before, after = ask(invocation, load)
    rows = [_compare(before, after, node_id) for node_id in _node_ids(before, after)]
    if invocation.is_machine:
        emit_list(invocation, rows, [], empty="")
        return 0
    changed = [row for row in rows if row["change"] != "same"]
    columns = [
        Column(title="NODE", show=lambda row: text_of(row["node"]["name"])),
        Column(title="CHANGE", show=lambda row: text_of(row["change"])),
        Column(title="FIRST", show=lambda row: _result(row["first"])),
        Column(title="SECOND", show=lambda row: _result(row["second"])),
    ]
    emit_list(invocation, changed, columns, empty="no node differs")
    if not brief:
        _print_differences(before, after, [row["node"]["id"] for row in changed if row["change"] == "output"])
    note(f"{len(rows) - len(changed)} the same · {len(changed)} different")
    return 0


def _read_outcomes(only: str) -> list[str]:
    outcomes = [word.strip() for word in only.split(",")] if only else list(_AGAIN)
    for word in outcomes:
        if word not in OUTCOMES or word == "no_contact":
            known = ", ".join(name for name in OUTCOMES if name != "no_contact")
            raise UsageError(f"--only: {word!r} is no outcome", hint=f"one of {known}")
    return outcomes


def _environment_again(spec: pb.CommandSpec, words: list[str], file: str) -> list[pb.EnvironmentVariable]:
    """The values that it had are wiped; every name must be given again. Raises UsageError."""
    given = read_environment(words, file)
    missing = {variable.name for variable in spec.environment} - {variable.name for variable in given}
    if missing:
        raise UsageError(
            f"its environment is not kept: {', '.join(sorted(missing))}", hint="give each again with -e NAME"
        )
    return given


def _check_stdin(spec: pb.CommandSpec, stdin: str, *, is_detached: bool) -> None:
    if spec.HasField("terminal"):
        raise UsageError("a terminal cannot be repeated", hint="edgectl exec NODE --tty -- PROGRAM")
    if spec.has_stdin and stdin == "none":
        raise UsageError(
            "it had stdin, which is not kept", hint="give it again with --stdin FILE, or --stdin /dev/null"
        )
    if stdin != "none" and is_detached:
        raise UsageError("--detach leaves nobody to bring stdin", hint="leave out --detach")
    spec.has_stdin = stdin != "none"


# --- comparing -------------------------------------------------------------------------------------------------------


def _node_ids(before: StoredCommand, after: StoredCommand) -> list[str]:
    known = {**before.executions, **after.executions}
    return sorted(known, key=lambda node_id: (known[node_id].node_name, node_id))


def _compare(before: StoredCommand, after: StoredCommand, node_id: str) -> dict[str, Any]:
    """One object of schema `edgectl.command.diff/v1`."""
    old, new = before.executions.get(node_id), after.executions.get(node_id)
    known = new or old
    assert known is not None  # it is in one of them
    return {
        "schema": "edgectl.command.diff/v1",
        "node": {"id": node_id, "name": known.node_name},
        "cluster": known.cluster,
        "change": _change(old, new, _stdout(before, node_id), _stdout(after, node_id)),
        "first": _shown(old),
        "second": _shown(new),
    }


def _change(old: pb.Execution | None, new: pb.Execution | None, before: Kept, after: Kept) -> str:
    if old is None or new is None:
        return "only_second" if old is None else "only_first"
    if _shown(old) != _shown(new):
        return "outcome"
    is_same = before.stdout == after.stdout and before.has_gap == after.has_gap
    return "same" if is_same else "output"


def _shown(execution: pb.Execution | None) -> dict[str, Any] | None:
    if execution is None:
        return None
    facts = shapes.execution(execution)
    return {name: facts.get(name) for name in ("state", "outcome", "exit_code", "signal")}


def _result(shown: Mapping[str, Any] | None) -> str:
    if shown is None:
        return "–"
    code = shown["signal"] or shown["exit_code"]
    word = text_of(shown["outcome"] or shown["state"])
    return f"{word} ({text_of(code)})" if code else word


def _stdout(command: StoredCommand, node_id: str) -> Kept:
    return command.outputs.get(node_id, Kept())


def _print_differences(before: StoredCommand, after: StoredCommand, node_ids: list[str]) -> None:
    """How the output of these nodes differs; the same difference once, with its nodes."""
    groups: dict[bytes, list[str]] = {}
    budget = Budget()
    for node_id in node_ids:
        old, new = _stdout(before, node_id).stdout, _stdout(after, node_id).stdout
        hunks = b"\n".join(line_diff(old.splitlines(), new.splitlines(), budget))
        groups.setdefault(hunks, []).append(after.executions[node_id].node_name)
    for hunks, names in sorted(groups.items(), key=lambda item: -len(item[1])):
        print_line(f"\n{fold_briefly(names)} ({len(names)})")
        print_line(harmless(hunks).decode())
