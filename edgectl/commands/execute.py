"""`edgectl exec`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_wire.errors import UsageError
from edgectl.app import new_app
from edgectl.durations import read_span
from edgectl.execution import creation
from edgectl.execution import wishes as wishing
from edgectl.execution.choices import OfflineChoice, PolicyChoice, ViewChoice
from edgectl.execution.exit_codes import OWN_FAILURE
from edgectl.execution.foreground import request_of, run_foreground
from edgectl.execution.wishes import How, Pace, Wishes
from edgectl.failures import report
from edgectl.invocation import Invocation
from edgectl.options import Yes, invocation_of
from edgectl.selectors import All, Clusters, Exclude, Expressions, From, Labels, Online, Pick, SelectorWords, read_list

app = new_app("Run a command on nodes, now, and stream back what it writes.")

EXAMPLES = """Examples:

edgectl exec web-1 -- uptime

edgectl exec --all --view grouped -- uname -r

edgectl exec 'edge[01-40]!edge07' -l role!=db --batch 10 --pause 30s --max-errors 2 -- systemctl restart nginx

edgectl exec --cluster oslo --timeout 30s -- systemctl is-active nginx

edgectl exec @command:9f3c=failed,offline --offline queue --expires 24h --script ./fix.sh -- --force

edgectl exec web-1 --shell -- 'df -h | tail -1'

edgectl exec --all --stdin banner.txt -- tee /etc/motd

edgectl exec web-1 --tty -- top

edgectl exec web-1 -- cat /etc/hosts > hosts-of-web-1"""


@app.command(epilog=EXAMPLES)
def execute(
    ctx: typer.Context,
    selector: Expressions = None,
    cluster: Clusters = None,
    is_all: All = False,
    label: Labels = None,
    exclude: Exclude = None,
    pick: Pick = None,
    online: Online = False,
    from_file: From = "",
    fanout: Annotated[str, typer.Option("--fanout", "-f", help="How many nodes at once: a number or N%.")] = "64",
    batch: Annotated[str, typer.Option(help="Take so many nodes, or N%, and wait until they are over.")] = "",
    pause: Annotated[str, typer.Option(help="Wait this long between batches, such as 30s.")] = "",
    max_errors: Annotated[str, typer.Option(help="Start nothing more when more than N, or N%, ended badly.")] = "",
    timeout: Annotated[str, typer.Option(help="End the process after this long, such as 30s.")] = "",
    deadline: Annotated[str, typer.Option(help="End the whole command after this long.")] = "",
    kill_after: Annotated[str, typer.Option(help="From SIGTERM to SIGKILL. Default: 10s.")] = "",
    contact_timeout: Annotated[
        str, typer.Option(help="How long a node may be out of contact before it counts so. Default: 60s.")
    ] = "",
    offline: Annotated[
        OfflineChoice, typer.Option(help="Offline nodes: fail, skip for the exit code, or queue until they return.")
    ] = OfflineChoice.FAIL,
    expires: Annotated[str, typer.Option(help="How long a queued node may stay away. Default: 24h.")] = "",
    shell: Annotated[bool, typer.Option("--shell", help="Give the words to /bin/sh -c on the node.")] = False,
    script: Annotated[str, typer.Option(help="Bring this file and run it; the words behind -- are its own.")] = "",
    user: Annotated[str, typer.Option("--user", "-u", help="Local account on the node.")] = "",
    cwd: Annotated[str, typer.Option("--cwd", "-C", help="Directory on the node. Default: the account's home.")] = "",
    env: Annotated[
        list[str] | None, typer.Option("--env", "-e", help="NAME=value, or NAME with its value here; may be repeated.")
    ] = None,
    env_file: Annotated[str, typer.Option(help="A file of such lines.")] = "",
    stdin: Annotated[str, typer.Option(help="What every node reads: - for our own stdin, a file, or none.")] = "none",
    tty: Annotated[bool, typer.Option("--tty", "-t", help="A terminal on one node.")] = False,
    view: Annotated[
        ViewChoice,
        typer.Option(
            help="stream: lines as they come; grouped: identical outputs once; diff: how nodes differ from the largest"
            " group; summary: who ended how; none."
        ),
    ] = ViewChoice.STREAM,
    outdir: Annotated[
        Path | None, typer.Option(help="Keep what each node writes in this directory: NAME and NAME.err.")
    ] = None,
    no_prefix: Annotated[bool, typer.Option("--no-prefix", help="No node in front of lines.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Let terminal escapes through.")] = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress line.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Print the command's id and leave.")] = False,
    name: Annotated[str, typer.Option(help="A name for the command.")] = "",
    request_id: Annotated[str, typer.Option(help="The same id again runs nothing twice.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Print the nodes and stop.")] = False,
    yes: Yes = False,
    exit_policy: Annotated[
        PolicyChoice, typer.Option(help="auto: one node's own code passes through; fleet: never; none: always 0.")
    ] = PolicyChoice.AUTO,
) -> int:
    """Run a command on nodes, now, and stream back what it writes."""
    invocation = invocation_of(ctx)
    if from_file == "-" and stdin == "-":
        raise UsageError("--from - and --stdin - exclude each other: there is one stdin")
    wishes = Wishes(
        selector=SelectorWords(
            nodes=selector or [],
            clusters=cluster or [],
            is_all=is_all,
            labels=label or [],
            exclude=exclude or [],
            is_online=online,
            pick=pick or 0,
            listed=read_list(from_file),
        ),
        argv=invocation.remote_argv or [],
        pace=Pace(
            fanout=fanout,
            batch=batch,
            pause=read_span("--pause", pause),
            max_errors=max_errors,
            timeout=read_span("--timeout", timeout, is_zero_meant=False),
            deadline=read_span("--deadline", deadline, is_zero_meant=False),
            kill_after=read_span("--kill-after", kill_after),
            contact_timeout=read_span("--contact-timeout", contact_timeout),
            offline=offline.value,
            expires=read_span("--expires", expires, is_zero_meant=False),
        ),
        how=How(
            is_shell=shell,
            script=script,
            user=user,
            cwd=cwd,
            environment=env or [],
            environment_file=env_file,
            stdin=stdin,
            is_tty=tty,
        ),
        view=view.value,
        outdir=outdir,
        is_raw=raw,
        has_prefix=not no_prefix,
        has_progress=not no_progress,
        name=name,
        request_id=request_id,
        exit_policy=exit_policy.value,
    )
    wishing.check(wishes, invocation.remote_argv)
    wishing.check_display(wishes, is_machine=invocation.is_machine, is_detached=detach)
    if tty:
        _require_terminal(invocation)
    request = request_of(wishes)
    # One node's exit codes are the program's own, so every failure of edgectl is 255 there, whatever its class. What is
    # wrong with the words typed is found before this line, with nothing sent, and is 2 in both modes.
    try:
        if dry_run:
            return creation.show_targets(invocation, request)
        if wishes.selector.may_be_many or len(wishes.selector.nodes) > creation.ASK_ABOVE:
            creation.ask_when_large(invocation, request, is_yes=yes)
        if detach:
            return creation.detach(invocation, request)
        return run_foreground(invocation, wishes, request)
    except BrokenPipeError:
        raise
    except Exception as error:
        if not wishes.passes_code or isinstance(error, UsageError):
            raise
        report(invocation, error)
        return OWN_FAILURE


def _require_terminal(invocation: Invocation) -> None:
    from edgectl.execution.raw_terminal import require_terminal

    if invocation.is_machine:
        raise UsageError(f"--tty and -o {invocation.output} exclude each other")
    require_terminal()
