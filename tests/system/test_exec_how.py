"""What a program gets from `edgectl exec`: environment, directory, account, script and stdin, on real nodes."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
from pathlib import Path

import pytest

from tests.support.harness import Installation

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_environment_comes_from_flags_a_file_and_from_here(fleet: Installation, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# comment\nFROM_FILE=a b=c\n\nBOTH=file\nHERE_TOO\n")
    words = ("-e", "BOTH=flag", "-e", "FROM_HERE", "--env-file", str(tmp_path / "env"))
    environ = {"FROM_HERE": "x\ny", "HERE_TOO": "z"}
    shell = 'printf "%s|%s|%s|%s" "$FROM_FILE" "$BOTH" "$FROM_HERE" "$HERE_TOO"'
    done = await fleet.edgectl("exec", "edge01", *words, "--shell", "--", shell, environ=environ)
    assert (done.code, done.text) == (0, "a b=c|flag|x\ny|z")


async def test_values_are_nowhere_but_in_the_program(fleet: Installation, tmp_path: Path) -> None:
    secret = "hunter2-of-the-environment"
    ran = await fleet.edgectl("exec", "--all", "-e", "TOKEN", "-o", "jsonl", "--", "true", environ={"TOKEN": secret})
    command = json.loads(ran.lines[-1])["command"]
    for words in (("command", "show", command, "-o", "json"), ("command", "list", "-o", "json"), ("audit", "list")):
        assert secret not in (await fleet.edgectl(*words)).text
    stored = [path for path in fleet.directory.rglob("*") if path.is_file() and "runner" not in path.parts]
    assert [path for path in stored if secret.encode() in path.read_bytes() and "executions" not in path.parts] == []


async def test_a_program_starts_where_it_is_told(fleet: Installation, tmp_path: Path) -> None:
    done = await fleet.edgectl("exec", "edge01", "-C", str(tmp_path), "--", "pwd")
    assert done.text == f"{tmp_path}\n"
    missing = await fleet.edgectl("exec", "edge01", "-C", "/nonexistent", "--", "pwd")
    assert "/nonexistent" in missing.err
    assert missing.text == ""
    home = await fleet.edgectl("exec", "edge01", "--", "pwd")
    assert home.text == f"{pwd.getpwuid(os.geteuid()).pw_dir}\n"


@pytest.mark.root
async def test_a_program_runs_as_whom_it_is_told(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "edge01", "-u", "nobody", "--shell", "--", 'id -un; echo "$USER $LOGNAME"')
    assert (done.code, done.text) == (0, "nobody\nnobody nobody\n"), done.err
    unknown = await fleet.edgectl("exec", "--all", "-u", "no-such-account", "--", "true")
    assert (unknown.code, "no-such-account" in unknown.err) == (3, True)


async def test_a_script_is_run_with_its_arguments(fleet: Installation, tmp_path: Path) -> None:
    script = tmp_path / "where.py"
    script.write_text("#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1:])\nsys.exit(5)\n")
    done = await fleet.edgectl("exec", "edge01", "--script", str(script), "--", "a b", "$HOME")
    assert (done.code, done.text) == (5, "['a b', '$HOME']\n")
    plain = tmp_path / "plain"
    plain.write_text("echo $# $1\n")
    both = await fleet.edgectl("exec", "--all", "--script", str(plain), "--", "one", "two")
    assert sorted(both.lines) == ["edge01: 2 one", "edge02: 2 one"]
    without = await fleet.edgectl("exec", "edge01", "--script", str(plain))
    assert without.text == "0\n"
    listed = json.loads((await fleet.edgectl("command", "list", "-o", "json")).text)
    assert listed[0]["script"] == {"name": "plain", "arguments": []}


async def test_a_script_that_is_too_large_says_what_to_do_instead(fleet: Installation, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(200 * 1024 * 1024)
        file.write(b"#")
    done = await fleet.edgectl("exec", "--all", "--script", str(tmp_path / "large"))
    assert (done.code, "script_invalid" in done.err, "edgectl cp" in done.err) == (2, True, True)
    assert len(done.err.splitlines()) == 1


async def test_every_node_reads_the_same_stdin(fleet: Installation) -> None:
    data = os.urandom(3 * 1024 * 1024)
    done = await fleet.edgectl("exec", "--all", "--stdin", "-", "--", "sha256sum", stdin=data)
    digest = hashlib.sha256(data).hexdigest()
    assert sorted(done.lines) == [f"edge01: {digest}  -", f"edge02: {digest}  -"]


async def test_stdin_passes_one_node_byte_for_byte(fleet: Installation, tmp_path: Path) -> None:
    data = os.urandom(20 * 1024 * 1024)
    (tmp_path / "data").write_bytes(data)
    done = await fleet.edgectl("exec", "edge01", "--stdin", str(tmp_path / "data"), "--", "cat")
    assert done.code == 0, done.err
    assert hashlib.sha256(done.out).digest() == hashlib.sha256(data).digest()


async def test_a_program_that_does_not_read_is_not_waited_for(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "edge01", "--stdin", "/dev/zero", "--", "head", "-c", "3")
    assert (done.code, done.out) == (0, b"\0\0\0")


async def test_without_stdin_a_program_reads_nothing(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "edge01", "--", "cat", stdin=b"typed by nobody")
    assert (done.code, done.out) == (0, b"")
