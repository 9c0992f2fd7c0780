"""`edgectl demo`."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from edge_wire.errors import Conflict
from edgectl.app import new_app
from edgectl.demo.fleet import CONTEXT, Demo, Fleet, layout_of_context, missing_part
from edgectl.demo.layout import ADMIN, Layout, default_directory
from edgectl.execution.foreground import run_foreground
from edgectl.execution.wishes import Wishes
from edgectl.options import invocation_of
from edgectl.output import column, emit_list, emit_object, note
from edgectl.selectors import SelectorWords

app = new_app("A whole fleet on this machine: up, status, down.")

_FEW = 3

Dir = Annotated[Path | None, typer.Option("--dir", help="Where it lives. Default: ~/.local/state/edgectl/demo.")]


@app.command(epilog="Example: edgectl demo up --nodes 5")
def up(
    ctx: typer.Context,
    nodes: Annotated[
        int | None, typer.Option(min=1, max=99, help="How many agents. Default: 3, or as many as there are.")
    ] = None,
    directory: Dir = None,
) -> int:
    """Start an admin and agents, enroll them, and run a first command on all. Safe to repeat."""
    invocation = invocation_of(ctx)
    missing = missing_part()
    if missing:
        raise Conflict(missing)
    layout = _layout(directory)
    with layout.held():
        fleet = asyncio.run(Demo(layout, note).up(nodes or _FEW))
    if nodes is not None and nodes < len(fleet.names):
        note(f"the demo has {len(fleet.names)} nodes already, and up takes none away; demo down --purge begins anew")
    note(f"{len(fleet.names)} nodes are online: {', '.join(fleet.names)}\n")
    note(f"$ {_program()} exec --all{_context_words(fleet)} -- uname -a")
    wishes = Wishes(selector=SelectorWords(is_all=True), argv=["uname", "-a"])
    code = run_foreground(replace(invocation, context=CONTEXT), wishes)
    note(_next_steps(fleet, directory))
    return code


@app.command(epilog="Example: edgectl demo status -o json")
def status(ctx: typer.Context, directory: Dir = None) -> None:
    """Show what of the demo runs."""
    layout = _layout_or_contexts(directory)
    state = layout.load()
    rows = [
        {
            "schema": "edgectl.demo.process/v1",
            "name": name,
            "pid": process.pid,
            "running": process.is_running,
            "log": str(layout.log_of(name)),
        }
        for name, process in sorted(state.processes.items())
    ]
    columns = [column("NAME", "name"), column("PID", "pid"), column("RUNNING", "running"), column("LOG", "log")]
    emit_list(invocation_of(ctx), rows, columns, empty="no demo runs; start one: edgectl demo up")


@app.command(epilog="Example: edgectl demo down --purge")
def down(
    ctx: typer.Context,
    directory: Dir = None,
    purge: Annotated[bool, typer.Option("--purge", help="Also remove the context and every file of it.")] = False,
) -> None:
    """Stop exactly what `demo up` started; what it kept is there for the next `up`."""
    layout = _layout(directory)
    stopped: list[str] = []
    if layout.root.exists():
        with layout.held():
            demo = Demo(layout, note)
            stopped = demo.down()
            if purge:
                demo.purge()
    agents = [name for name in stopped if name != ADMIN]
    row = {"schema": "edgectl.demo.down/v1", "stopped": stopped, "purged": purge}
    text = f"stopped {len(agents)} agents and the admin" if ADMIN in stopped else f"stopped {len(agents)} agents"
    emit_object(invocation_of(ctx), row, text=text if stopped else f"nothing ran{_elsewhere(layout)}")


def _layout(directory: Path | None) -> Layout:
    return Layout((directory or default_directory()).absolute())


def _layout_or_contexts(directory: Path | None) -> Layout:
    """Without `--dir`, the demo that the context belongs to."""
    found = layout_of_context() if directory is None else None
    return found or _layout(directory)


def _elsewhere(layout: Layout) -> str:
    """Where the demo of the context is, for people who stopped another one."""
    other = layout_of_context()
    if other is None or other == layout:
        return ""
    return f" in {layout.root}; the other demo: edgectl demo down --dir {shlex.quote(str(other.root))}"


def _program() -> str:
    """How this program was called, so that printed lines can be pasted."""
    word = sys.argv[0]
    if "/" not in word or word.endswith(".py"):
        return "edgectl"
    below = os.path.relpath(word)
    return word if below.startswith("..") else below


def _context_words(fleet: Fleet) -> str:
    return "" if fleet.is_current else f" --context {CONTEXT}"


def _next_steps(fleet: Fleet, directory: Path | None) -> str:
    program, context = _program(), _context_words(fleet)
    place = f" --dir {directory}" if directory else ""
    first = fleet.names[0]
    return f"""
The fleet keeps running. Try next:
  {program} node list{context}
  {program} exec {first}{context} --shell -- 'for i in 1 2 3; do date; sleep 1; done'
  {program} exec --all{context} -o jsonl -- uptime
  {program} audit list{context}
Stop it, and start it again later:
  {program} demo down{place}
  {program} demo up{place}"""
