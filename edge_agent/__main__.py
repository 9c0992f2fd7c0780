"""`edge-agent run | enroll | status | install | version`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before gRPC is imported; its own lines explain nothing to operators

from edge_agent.app import run
from edge_agent.enroll import Wishes, describe_refused_wish, enroll, read_key_file
from edge_agent.identity import Identity
from edge_agent.install import UNIT_DIR, Place, install_unit, require_root, require_unit_dir
from edge_agent.settings import Settings, given_settings, read_settings
from edge_agent.status import collect_status, render
from edge_wire import logs
from edge_wire.errors import EdgeError
from edge_wire.private_files import open_data_dir
from edge_wire.version import PROGRAM

SHARED_KEY_LIMIT = 64 * 1024
_SETTINGS = "Settings are environment variables, such as DATA_DIR and NODE_LABELS: docs/reference/settings.md"


def main(arguments: list[str] | None = None) -> None:
    """Entry point; ends the process with the code of the error table."""
    chosen = _parser().parse_args(arguments)
    verbs = {"run": _run, "enroll": _enroll, "status": _status, "install": _install, "version": _version}
    try:
        raise SystemExit(verbs[chosen.command](chosen))
    except EdgeError as error:
        for line in error.message.splitlines():
            _say(f"edge-agent: {error.code}: {line}")
        if error.hint:
            _say(f"edge-agent: {error.hint}")
        raise SystemExit(error.exit_code) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edge-agent", description="The agent of one node.", epilog=_SETTINGS)
    parser.add_argument("--version", action="version", version=f"edge-agent {PROGRAM}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="keep a session with the admin and run its commands")
    enrolling = commands.add_parser("enroll", help="make this machine a node")
    enrolling.add_argument("--key-file", required=True, help="file with the enrollment key, - for standard input")
    status = commands.add_parser("status", help="say how the agent of this data directory does")
    status.add_argument("-o", "--output", choices=["text", "json"], default="text")
    installing = commands.add_parser("install", help="enroll this machine and run the agent under systemd")
    installing.add_argument("--key-file", required=True, help="file with the enrollment key, - for standard input")
    installing.add_argument("--unit-dir", type=Path, default=UNIT_DIR, help="where systemd units live")
    commands.add_parser("version", help="print the version")
    return parser


def _run(_chosen: argparse.Namespace) -> int:
    settings = read_settings()
    logs.set_up(settings.log_format, settings.log_level)  # type: ignore[arg-type]  # one of the words, checked
    return asyncio.run(run(settings))


def _enroll(chosen: argparse.Namespace) -> int:
    settings = read_settings()
    identity = _enroll_here(settings, chosen.key_file)
    _say_enrolled(settings, identity)
    _say("next: edge-agent run")
    return 0


def _status(chosen: argparse.Namespace) -> int:
    status = collect_status(read_settings().data_dir)
    text = json.dumps(status) + "\n" if chosen.output == "json" else render(status)
    sys.stdout.write(text)
    return 0


def _install(chosen: argparse.Namespace) -> int:
    require_root()
    settings = read_settings()
    place = Place(
        data_dir=settings.data_dir.absolute(), unit_dir=chosen.unit_dir, environment=given_settings(os.environ)
    )
    require_unit_dir(place)
    identity = _enroll_here(settings, chosen.key_file)
    _say_enrolled(settings, identity)
    _say(install_unit(place))
    return 0


def _version(_chosen: argparse.Namespace) -> int:
    sys.stdout.write(f"edge-agent {PROGRAM}\n")
    return 0


def _enroll_here(settings: Settings, key_file: str) -> Identity:
    text = sys.stdin.read(SHARED_KEY_LIMIT) if key_file == "-" else read_key_file(Path(key_file))
    open_data_dir(settings.data_dir)
    return asyncio.run(enroll(settings.data_dir, text, _wishes(settings)))


def _say_enrolled(settings: Settings, identity: Identity) -> None:
    _say(f"enrolled as {identity.node_name} in {identity.cluster} ({identity.node_id})")
    if refused := describe_refused_wish(_wishes(settings), identity):
        _say(refused)


def _wishes(settings: Settings) -> Wishes:
    return Wishes(alias=settings.node_alias, labels=settings.node_labels)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # the program's own output


if __name__ == "__main__":
    main()
