"""Services on a machine that is a network namespace: the distribution's own servers, on addresses of that machine."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.leftovers import unique_name
from tests.support.netns import Namespace
from tests.support.postgres import SCRATCH, PostgresServer, binaries, remove_abandoned, run_as, server_account

SSHD_OPTIONS = {
    "PidFile": "none",
    "StrictModes": "no",
    "UsePAM": "no",
    "PasswordAuthentication": "no",
    "PermitRootLogin": "prohibit-password",
}
PRIVATE_RUN = 'mount -t tmpfs none /run && mkdir /run/sshd && exec "$@"'
"""sshd wants this directory; `ip netns exec` gives a mount namespace of its own, so the machine's /run stays."""


def installed(program: str, package: str) -> str:
    """The program's path; skips the test where it is not installed."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed (package {package})")
    return found


async def serve_pages(machine: Namespace, address: str, port: int, directory: Path) -> Path:
    """Serve the files of a directory by HTTP, and return its log: a line per request, with who asked."""
    log = directory.parent / f"{machine.name}.requests"
    words = ["-m", "http.server", str(port), "--bind", address, "--directory", str(directory)]
    await _serve(machine, [sys.executable, *words], port, log)
    return log


async def serve_ssh(machine: Namespace, directory: Path) -> Path:
    """Run sshd on port 22 of the machine's loopback, and return the key that opens it for our own account."""
    program = installed("sshd", "openssh-server")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name], check=True)
    files = {"HostKey": str(directory / "host"), "AuthorizedKeysFile": str(directory / "user.pub")}
    options = [word for item in {**SSHD_OPTIONS, **files}.items() for word in ("-o", "=".join(item))]
    address = ["-o", "ListenAddress=127.0.0.1:22"]
    argv = ["sh", "-c", PRIVATE_RUN, "sshd", program, "-D", "-e", "-f", "/dev/null", *address, *options]
    await _serve(machine, argv, 22, directory / "sshd.log")
    return directory / "user"


@asynccontextmanager
async def serve_postgres(machine: Namespace) -> AsyncIterator[str]:
    """Run PostgreSQL on port 5432 of the machine's loopback; gives the URL that is good there."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (package postgresql)")
    account = server_account()
    remove_abandoned(programs, account)
    directory = SCRATCH / unique_name()
    directory.mkdir(mode=0o700)
    server = PostgresServer(binaries=programs, directory=directory, account=account, port=5432)
    try:
        server.initialize()
        await _serve(machine, [*_as(account), str(programs / "postgres"), "-D", str(directory / "data")], 5432)
        yield server.url("postgres").replace("+psycopg", "")
        run_as(account, programs / "pg_ctl", directory, ("stop", "--wait", "--mode=fast"))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def serve_git(machine: Namespace, directory: Path) -> None:
    """Serve the repositories below a directory by git's own protocol on port 9418; anybody may push."""
    words = ["--export-all", "--enable=receive-pack", f"--base-path={directory}", "--reuseaddr", str(directory)]
    await _serve(machine, ["git", "daemon", f"--listen={machine.address}", *words], 9418)


def listening(machine: Namespace) -> set[str]:
    """Where the machine listens: `address:port` of each."""
    return {line.split()[3] for line in machine.run(["ss", "-H", "-l", "-t", "-n"]).splitlines()}


async def _serve(machine: Namespace, argv: list[str], port: int, log: Path | None = None) -> None:
    place = log or Path(os.devnull)
    with place.open("ab") as output:
        server = machine.popen(argv, stdout=output.fileno(), stderr=output.fileno())

    def listens() -> bool:
        assert server.poll() is None, place.read_text()
        return any(place.endswith(f":{port}") for place in listening(machine))

    await eventually(listens, within=30.0, what=f"{argv[0]} listens")


def _as(account: str | None) -> list[str]:
    if account is None:
        return []
    owner = pwd.getpwnam(account)
    return ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
