"""Every flag of `edgectl exec` changes something: what the admin is asked, what is shown, or the exit code.

What an exec would do is written down without doing it; a flag that leaves that as it was is accepted and ignored.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from edge_wire.v1 import command_pb2 as pb
from edgectl.__main__ import run
from edgectl.commands import execute
from edgectl.execution import creation, raw_terminal
from edgectl.execution.exit_codes import of_fleet
from edgectl.execution.tally import Happening
from edgectl.execution.wishes import Wishes
from edgectl.invocation import Invocation
from edgectl.views.choose import choose_view
from tests.edgectl.unit.events import WEB, ended, ok, output, result_of, tally_of

BASE = ["--all"]
FLAGS: dict[str, Sequence[str]] = {
    "selector": ["web-1"],
    "--cluster": ["--cluster", "oslo"],
    "--all": [],
    "--label": ["-l", "site=oslo"],
    "--exclude": ["-x", "web-1"],
    "--pick": ["--pick", "2"],
    "--online": ["--online"],
    "--from": ["--from", "{tmp}/nodes"],
    "--fanout": ["-f", "3"],
    "--batch": ["--batch", "2"],
    "--pause": ["--batch", "2", "--pause", "5s"],
    "--max-errors": ["--max-errors", "0"],
    "--timeout": ["--timeout", "5s"],
    "--deadline": ["--deadline", "5s"],
    "--kill-after": ["--kill-after", "5s"],
    "--contact-timeout": ["--contact-timeout", "5s"],
    "--offline": ["--offline", "queue"],
    "--expires": ["--offline", "queue", "--expires", "5s"],
    "--shell": ["--shell"],
    "--script": ["--script", "{tmp}/script"],
    "--user": ["-u", "web"],
    "--cwd": ["-C", "/srv"],
    "--env": ["-e", "A=b"],
    "--env-file": ["--env-file", "{tmp}/env"],
    "--stdin": ["--stdin", "-"],
    "--tty": ["--tty"],
    "--view": ["--view", "grouped"],
    "--outdir": ["--outdir", "{tmp}/out"],
    "--no-prefix": ["--no-prefix"],
    "--raw": ["--raw"],
    "--no-progress": ["--no-progress"],
    "--detach": ["--detach"],
    "--name": ["--name", "nightly"],
    "--request-id": ["--request-id", "r1"],
    "--dry-run": ["--dry-run"],
    "--yes": ["--yes"],
    "--exit-policy": ["--exit-policy", "none"],
}
BEFORE = {"--pause": ["--batch", "2"], "--expires": ["--offline", "queue"], "--all": ["-l", "site"], "--tty": ["web-1"]}
"""What stands beside a flag that means nothing alone, and without it too."""


def options() -> set[str]:
    """Every option and argument that exec has."""
    command: Any = typer.main.get_command(execute.app)
    names = {max(parameter.opts, key=len) for parameter in command.params}
    return names - {"--help"}


def test_every_flag_is_in_the_table() -> None:
    assert options() == set(FLAGS)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[object, ...]]:
    """What execs would have done, on a terminal."""
    (tmp_path / "nodes").write_text("web-7\n")
    (tmp_path / "script").write_text("true\n")
    (tmp_path / "env").write_text("A=b\n")
    found: list[tuple[object, ...]] = []

    def asked(request: pb.CreateCommandRequest) -> bytes:
        copy = pb.CreateCommandRequest()
        copy.CopyFrom(request)
        if len(copy.request_id) == 36:  # one that was made up
            copy.request_id = ""
        return copy.SerializeToString(deterministic=True)

    def foreground(invocation: Invocation, wishes: Wishes, request: pb.CreateCommandRequest) -> int:
        found.append(("run", asked(request), *shown(invocation, wishes), wishes.outdir, wishes.has_progress))
        return 0

    monkeypatch.setattr(execute, "run_foreground", foreground)

    def leave(_: Invocation, request: pb.CreateCommandRequest) -> int:
        found.append(("detach", asked(request)))
        return 0

    def show(_: Invocation, request: pb.CreateCommandRequest) -> int:
        found.append(("show", asked(request)))
        return 0

    monkeypatch.setattr(creation, "detach", leave)
    monkeypatch.setattr(creation, "show_targets", show)
    monkeypatch.setattr(creation, "ask_when_large", lambda *_, is_yes: found.append(("ask", is_yes)))
    monkeypatch.setattr(raw_terminal, "require_terminal", lambda: None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    return found


def shown(invocation: Invocation, wishes: Wishes) -> tuple[object, ...]:
    """What a person would see of one node that wrote an escape, and the exit code of one that failed."""
    tally = tally_of(WEB)
    view = choose_view(invocation, wishes, tally)
    events = [output(b"\x1b[1mx\n"), ended(ok(stdout_bytes=6))]
    happenings: list[Happening] = []
    for event in events:
        happenings += tally.take(pb.WatchCommandResponse(events=[event]))
    pieces = [*view.show(happenings), *view.finish(result_of(tally, exit_code=0))]
    counts = {**tally.counts(), "failed": 1, "total": 2}
    return b"".join(piece.data for piece in pieces), of_fleet(counts, wishes), wishes.passes_code


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_changes_what_is_done(flag: str, done: list[tuple[object, ...]], tmp_path: Path) -> None:
    base = BEFORE.get(flag, BASE)
    without = [*base] if flag not in {"--pause", "--expires"} else [*BASE, *base]
    added = [word.format(tmp=tmp_path) for word in FLAGS[flag]] if flag != "--all" else ["--all"]
    assert run(["exec", *without, "--", "df", "-h"]) == 0
    before, done[:] = list(done), []
    assert run(["exec", *without, *added, "--", "df", "-h"]) == 0
    assert done != before


@pytest.mark.parametrize(
    "words",
    [
        ["--view", "grouped", "--no-prefix"],
        ["--view", "none", "--raw"],
        ["--view", "grouped", "-o", "json"],
        ["--no-prefix", "-o", "jsonl"],
        ["--raw", "-o", "json"],
        ["--detach", "--outdir", "x"],
        ["--detach", "--stdin", "-"],
        ["--script", "x", "--shell"],
    ],
)
def test_flags_that_would_do_nothing_beside_each_other_are_refused(
    words: list[str], done: list[tuple[object, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["exec", "--all", *words, "--", "true"]) == 2
    assert done == []
    assert len(capsys.readouterr().err.splitlines()) == 1
