"""`edge-server` as an operator meets it: no configuration, a broken one, signals, and the login it prints."""

from __future__ import annotations

import json
import re
import resource
import signal
import socket
import stat
from pathlib import Path

import pytest

from edge_wire import credentials
from edge_wire.open_files import OF_AN_ADMIN
from tests.support.eventually import eventually
from tests.support.harness import Installation
from tests.support.open_files import few_open_files
from tests.support.programs import Program, run_program


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def serve(directory: Path, *, log: str = "admin.log", **environ: str) -> Program:
    """`edge-server serve`; returns when it serves."""
    known = {"DATA_DIR": str(directory / "admin"), "GRPC_LISTEN": "127.0.0.1:0", **environ}
    program = await Program.start("edge_server", "serve", environ=known, log=directory / log)
    await eventually(lambda: "log in with" in program.output or not program.is_running, within=30.0)
    assert program.is_running, program.output
    return program


async def test_it_takes_as_many_open_files_as_it_may(tmp_path: Path) -> None:
    with few_open_files(900) as hard:
        program = await serve(tmp_path)
    try:
        allowed, _ = resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE)
        assert allowed == min(hard, OF_AN_ADMIN) > 900
    finally:
        await program.stop()


async def test_without_configuration_it_makes_its_secrets_and_prints_how_to_log_in(tmp_path: Path) -> None:
    program = await serve(tmp_path)
    try:
        data = tmp_path / "admin"
        for name in ("secrets.json", "login"):
            assert stat.S_IMODE((data / name).stat().st_mode) == 0o600, name
        assert f"made secrets in {data / 'secrets.json'}" in program.output
        line = re.search(r"log in with: edgectl login < (\S+)", program.output)
        assert line is not None
        assert line[1] == str(data / "login")
        secret = credentials.decode_login((data / "login").read_text())
        assert secret.token not in program.output
        environ = {"EDGECTL_CONFIG_DIR": str(tmp_path / "config")}
        words = ("login", "--keyring", "file")
        done = await run_program("edgectl", *words, environ=environ, stdin=(data / "login").read_bytes())
        assert (done.code, done.err) == (0, "")
        status = await run_program("edgectl", "admin", "status", "-o", "json", environ=environ)
        assert json.loads(status.text)["database"] == "sqlite"
        stored = (tmp_path / "config" / "config.json").read_text()
        assert secret.token not in stored
        credential = tmp_path / "config" / "credentials" / "default"
        assert stat.S_IMODE(credential.stat().st_mode) == 0o600
    finally:
        await program.stop()


async def test_a_second_start_keeps_the_secrets_and_the_ca(tmp_path: Path) -> None:
    logins = []
    for log in ("first.log", "second.log"):
        program = await serve(tmp_path, log=log, ADMIN_URLS="https://127.0.0.1:44100")
        logins.append((tmp_path / "admin" / "login").read_text())
        program.signal(signal.SIGTERM)
        assert await program.wait() == 0
    assert logins[0] == logins[1]
    assert "made secrets" in (tmp_path / "first.log").read_text()
    assert "made secrets" not in (tmp_path / "second.log").read_text()


async def test_a_broken_configuration_is_one_line_per_mistake(tmp_path: Path) -> None:
    environ = {
        "DATA_DIR": str(tmp_path),
        "DB_ADAPTER": "oracle",
        "GRPC_LISTEN": "44100",
        "ADMIN_URLS": "http://somewhere",
        "MASTER_KEY": "short-secret",
        "PING_INTERVAL_SECONDS": "often",
    }
    done = await run_program("edge_server", "serve", environ=environ)
    assert done.code == 2
    lines = [line for line in done.err.splitlines() if line.startswith("edge-server: settings_invalid: ")]
    named = [line.split(": ")[2] for line in lines]
    assert sorted(named) == ["ADMIN_URLS", "DB_ADAPTER", "GRPC_LISTEN", "MASTER_KEY", "PING_INTERVAL_SECONDS"]
    assert "short-secret" not in done.err
    assert done.err.splitlines()[-1] == "edge-server: the settings: docs/reference/settings.md"


async def test_postgresql_without_its_secrets_says_each(tmp_path: Path) -> None:
    environ = {"DATA_DIR": str(tmp_path), "DATABASE_URL": "postgresql://u:hidden-word@127.0.0.1/edge"}
    done = await run_program("edge_server", "serve", environ=environ)
    assert done.code == 2
    assert "MASTER_KEY is missing" in done.err
    assert "ENCRYPTION_KEY is missing" in done.err
    assert "hidden-word" not in done.err


async def test_config_show_hides_secrets_and_says_where_values_come_from(tmp_path: Path) -> None:
    environ = {"DATA_DIR": str(tmp_path), "MASTER_KEY": "a-master-key-that-nobody-sees"}
    done = await run_program("edge_server", "config", "show", environ=environ)
    assert done.code == 0
    assert f"DATA_DIR={tmp_path}  # environment" in done.lines
    assert "MASTER_KEY=(set)  # environment" in done.lines
    assert "GRPC_LISTEN=[::]:44100  # default" in done.lines
    assert "nobody-sees" not in done.text


@pytest.mark.postgres
async def test_migrate_prepares_postgresql_and_serve_refuses_before(tmp_path: Path, postgres_database: str) -> None:
    environ = {
        "DATA_DIR": str(tmp_path / "admin"),
        "DATABASE_URL": postgres_database,
        "MASTER_KEY": "test-master-key-0123456789",
        "ENCRYPTION_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    }
    refused = await run_program("edge_server", "serve", environ={**environ, "GRPC_LISTEN": "127.0.0.1:0"})
    assert (refused.code, "database_not_migrated" in refused.err) == (10, True), refused.err
    assert "edge-server migrate" in refused.err
    first = await run_program("edge_server", "migrate", environ=environ)
    assert (first.code, first.err.startswith("applied ")) == (0, True), first.err
    second = await run_program("edge_server", "migrate", environ=environ)
    assert (second.code, second.err) == (0, "nothing to do\n")
    program = await serve(tmp_path, **environ)
    assert "(postgres" in program.output
    await program.stop()


async def test_the_first_sigterm_drains_and_lets_a_command_end(bare: Installation) -> None:
    port = free_port()
    program, exec_ = await _busy_admin(bare, port)
    program.signal(signal.SIGTERM)
    await eventually(lambda: "draining" in program.output)
    refused = await bare.edgectl("exec", "edge01", "-o", "json", "--", "true")
    assert json.loads(refused.text)["code"] == "shutting_down", refused.err
    (bare.directory / "go").touch()
    assert await exec_.wait() == 0, exec_.output
    assert "done" in exec_.output
    assert await program.wait() == 0


async def test_the_second_sigterm_leaves(bare: Installation) -> None:
    program, _ = await _busy_admin(bare, free_port())
    program.signal(signal.SIGTERM)
    await eventually(lambda: "draining" in program.output)
    program.signal(signal.SIGTERM)
    assert await program.wait() == 143
    (bare.directory / "go").touch()


async def _busy_admin(site: Installation, port: int) -> tuple[Program, Program]:
    """An admin process that has an exec under way."""
    app = await site.start_admin(grpc_listen=f"127.0.0.1:{port}")
    key = await site.enrollment_key()
    site.operator_environment()
    await site.stop_admin(app)
    program = await site.start_admin_program(port, SHUTDOWN_GRACE_SECONDS="30")
    await site.start_agent_without_wait("edge01", enrollment_key=key, node_alias="edge01")

    async def is_online() -> bool:
        listed = json.loads((await site.edgectl("node", "list", "-o", "json")).text)
        return [node["status"] for node in listed] == ["online"]

    await eventually(is_online, within=20.0)
    script = f"echo begin; while [ ! -e {site.directory}/go ]; do sleep 0.05; done; echo done"
    exec_ = await site.start_edgectl("exec", "edge01", "--", "sh", "-c", script)
    await eventually(lambda: "begin" in exec_.output)
    return program, exec_
