"""`edge-server serve | migrate | config show`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from contextlib import suppress
from datetime import timedelta

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before gRPC is imported; its own lines explain nothing to operators

try:
    from edge_server import data_dir
    from edge_server.app import AdminApp
    from edge_server.db.engine import make_migration_engine
    from edge_server.db.migrate import migrate
    from edge_server.settings import Settings, read_settings
    from edge_server.settings_page import show_settings
    from edge_wire import logs
    from edge_wire.collector import OF_A_FLEET, look_less_often
    from edge_wire.errors import EdgeError
    from edge_wire.open_files import OF_AN_ADMIN, allow_open_files
    from edge_wire.private_files import open_data_dir, write_private
    from edge_wire.version import PROGRAM
except ModuleNotFoundError as missing:  # installed as a node is, without the extra
    raise SystemExit(f"edge-server: the module {missing.name} is missing: install edgectl[server]") from None


_TURN_SECONDS = 0.001
"""How long a thread goes on when another one wants to. With Python's own 5 ms each statement of a transaction waits as
long as that for its result while the event loop has work."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point; ends the process with the code of the error table."""
    parser = argparse.ArgumentParser(prog="edge-server", description="The control plane of a fleet of Linux machines.")
    parser.add_argument("--version", action="version", version=f"edge-server {PROGRAM}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="run the admin; with no configuration it uses SQLite and makes its own secrets")
    commands.add_parser("migrate", help="bring the database to this program's schema")
    config = commands.add_parser("config", help="settings").add_subparsers(dest="verb", required=True)
    config.add_parser("show", help="print every setting with its value and where it comes from; secrets stay hidden")
    chosen = parser.parse_args(arguments)
    verbs = {"serve": _serve, "migrate": _migrate, "config": _show_config}
    try:
        verbs[chosen.command]()
    except EdgeError as error:
        for line in error.message.splitlines():
            print(f"edge-server: {error.code}: {line}", file=sys.stderr)  # noqa: T201  # the program's own output
        if error.hint:
            print(f"edge-server: {error.hint}", file=sys.stderr)  # noqa: T201  # the program's own output
        raise SystemExit(error.exit_code) from None


def _serve() -> None:
    look_less_often(OF_A_FLEET)
    allow_open_files(OF_AN_ADMIN)
    sys.setswitchinterval(_TURN_SECONDS)
    settings = read_settings()
    logs.set_up(settings.log_format, settings.log_level)
    raise SystemExit(asyncio.run(_run(settings)))


async def _run(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C: the first drains, the second leaves at once."""
    app = AdminApp(settings)
    try:
        await app.start()
    finally:  # also when it cannot serve: they are said once and were made now
        _announce_secrets(app)
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    _announce(app, settings)
    await signals.get()
    _say("draining; a second signal leaves at once")
    drain = asyncio.create_task(_drain_and_stop(app, timedelta(seconds=settings.shutdown_grace_seconds)))
    second = asyncio.create_task(signals.get())
    await asyncio.wait({drain, second}, return_when=asyncio.FIRST_COMPLETED)
    if not drain.done():
        _say("leaving")
        os._exit(143)
    second.cancel()
    await drain
    return 0


async def _drain_and_stop(app: AdminApp, grace: timedelta) -> None:
    await app.drain(grace)
    await app.stop()


def _announce_secrets(app: AdminApp) -> None:
    if app.made_secrets_at is not None:
        _say(f"made secrets in {app.made_secrets_at} (keep a copy: without them the database cannot be read)")


def _announce(app: AdminApp, settings: Settings) -> None:
    """Say where everything is. The login string itself goes to a file, never to a log."""
    login = settings.data_dir / data_dir.LOGIN_FILE
    write_private(login, f"{app.login}\n")
    _say(f"edge-server {PROGRAM} serves {', '.join(app.address.urls)} on port {app.address.port} ({app.db.kind})")
    _say(f"log in with: edgectl login < {login} (on a machine without a keyring: edgectl login --keyring file < …)")


def _migrate() -> None:
    settings = read_settings()
    if settings.is_sqlite:
        open_data_dir(settings.data_dir)
        data_dir.lock_sqlite(settings.sqlite_path)  # until this process ends
    applied = migrate(make_migration_engine(settings.url))
    _say(f"applied {', '.join(applied)}" if applied else "nothing to do")


def _show_config() -> None:
    print(show_settings(read_settings()), end="")  # noqa: T201  # the program's own output


def _say(line: str) -> None:
    with suppress(OSError):  # where it should go may be full; that is no reason to stop serving
        print(line, file=sys.stderr, flush=True)  # noqa: T201  # the program's own output


if __name__ == "__main__":
    main()
