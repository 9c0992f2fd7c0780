"""What a command finds around it: environment, directory and account, as asked for or as a login would have them."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from edge_agent.runner import spawn
from edge_agent.runner.account import Account, find_account, refusal
from tests.edge_agent.processes import Agent, Runner

ODD = {"plain": "value", "empty": "", "dotted.name": "1", "lines": "a\nb", "ü": "ü€😀", "PATH": "/bin:/usr/bin"}
SECRET = "a-very-secret-value"
NOBODY = pwd.getpwnam("nobody")


def environment_of(text: bytes) -> dict[str, str]:
    """What `env -0` prints."""
    return dict(variable.split("=", 1) for variable in text.decode().split("\0") if variable)


def an_account(uid: int) -> Account:
    return Account(name="x", uid=uid, gid=uid, groups=[uid], home="/", shell="/bin/sh")


# --- environment ---------------------------------------------------------------------------------------------------


def test_the_environment_that_is_asked_for_is_added_and_wins(agent: Agent) -> None:
    seen = environment_of(agent.run("env", "-0", environment=ODD).stdout)
    assert {name: seen[name] for name in ODD} == ODD
    assert "HOME" in seen


def test_the_mark_of_an_execution_cannot_be_taken_from_it(agent: Agent) -> None:
    execution_id = agent.start("env", "-0", environment={"EDGE_EXECUTION_ID": "another"})
    assert environment_of(agent.take_end(execution_id).stdout)["EDGE_EXECUTION_ID"] == execution_id


@pytest.mark.parametrize("terminal", [None, {"columns": 80, "rows": 24, "kind": "xterm"}])
def test_values_are_in_no_argument_list_and_in_no_error(agent: Agent, terminal: dict[str, object] | None) -> None:
    options = {"environment": {"TOKEN": SECRET}, "terminal": terminal, "exact": True}
    listing = agent.run("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'", **options)
    assert b"/proc/[0-9]*/cmdline" in listing.stdout
    assert SECRET.encode() not in listing.stdout
    assert SECRET not in str(agent.run("no-such-program", **options).fields)
    assert SECRET not in str(agent.run("true", working_directory="/no/such/directory", **options).fields)


def test_values_are_in_no_representation() -> None:
    request = spawn.StartRequest(
        id="7",
        argv=["true"],
        timeout=None,
        kill_after=1,
        exact=False,
        spool_bytes=1,
        environment={"TOKEN": SECRET},
        script=SECRET,
    )
    assert SECRET not in repr(request)


# --- directory -----------------------------------------------------------------------------------------------------


def test_a_program_starts_in_the_home_directory_of_its_account(agent: Agent) -> None:
    home = pwd.getpwuid(os.geteuid()).pw_dir
    assert agent.run("pwd").stdout.decode().strip() == (home if Path(home).is_dir() else "/")


def test_a_program_starts_in_the_directory_that_is_named(agent: Agent, tmp_path: Path) -> None:
    assert agent.run("pwd", "-P", working_directory=str(tmp_path)).stdout.decode().strip() == str(tmp_path.resolve())


def test_a_relative_directory_is_seen_from_home(agent: Agent, tmp_path: Path) -> None:
    home = pwd.getpwuid(os.geteuid()).pw_dir
    relative = os.path.relpath(tmp_path.resolve(), Path(home).resolve())
    assert agent.run("pwd", "-P", working_directory=relative).stdout.decode().strip() == str(tmp_path.resolve())


@pytest.mark.parametrize("name", ["missing", "file", "file/below"])
def test_a_directory_that_is_none_is_named_and_nothing_is_started(agent: Agent, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    end = agent.run("touch", str(tmp_path / "ran"), working_directory=str(tmp_path / name))
    assert (end.fields["started"], end.fields["error_code"]) == (False, "working_directory_not_found")
    assert str(tmp_path / name) in end.fields["error_message"]
    assert not (tmp_path / "ran").exists()


# --- account -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "own_uid", "expected"),
    [
        (None, 0, "user_unknown"),
        (None, 1000, "user_unknown"),
        (an_account(1000), 0, ""),
        (an_account(1000), 1000, ""),
        (an_account(1000), 1001, "user_denied"),
        (an_account(0), 1001, "user_denied"),
    ],
)
def test_only_root_may_run_as_somebody_else(account: Account | None, own_uid: int, expected: str) -> None:
    assert refusal(account, own_uid) == expected


def test_an_account_that_is_not_there_is_named_and_nothing_is_started(agent: Agent, tmp_path: Path) -> None:
    end = agent.run("touch", str(tmp_path / "ran"), user="no-such-account")
    assert (end.fields["started"], end.fields["error_code"]) == (False, "user_unknown")
    assert "no-such-account" in end.fields["error_message"]
    assert not (tmp_path / "ran").exists()


def test_a_runner_s_own_account_may_be_named(agent: Agent) -> None:
    own = pwd.getpwuid(os.geteuid())
    seen = environment_of(agent.run("env", "-0", user=own.pw_name).stdout)
    assert (seen["HOME"], seen["USER"], seen["LOGNAME"]) == (own.pw_dir, own.pw_name, own.pw_name)


def an_account_with_groups() -> str:
    """One with more than one group, if this machine has any."""
    members = [name for group in grp.getgrall() for name in group.gr_mem]
    found = [account for name in members if (account := find_account(name)) and account.uid and len(account.groups) > 1]
    return found[0].name if found else "nobody"


@pytest.mark.root
@pytest.mark.parametrize("name", ["nobody", an_account_with_groups()])
@pytest.mark.parametrize("terminal", [None, {"columns": 80, "rows": 24, "kind": "xterm"}])
def test_a_command_runs_with_the_ids_of_the_account_and_nothing_of_root_s(
    agent: Agent, name: str, terminal: dict[str, object] | None
) -> None:
    account = find_account(name)
    assert account is not None
    fields = "grep -E '^(Uid|Gid|Groups|CapEff)' /proc/self/status"
    lines = agent.run("sh", "-c", fields, user=name, terminal=terminal).stdout.decode().splitlines()
    seen = {key: values.split() for key, values in (line.split(":") for line in lines)}
    assert seen["Uid"] == [str(account.uid)] * 4
    assert seen["Gid"] == [str(account.gid)] * 4
    assert sorted(seen["Groups"], key=int) == [str(group) for group in sorted(account.groups)]
    assert int(seen["CapEff"][0], 16) == 0


@pytest.mark.root
def test_a_command_finds_the_account_s_home_name_and_shell_but_what_is_asked_for_wins(agent: Agent) -> None:
    end = agent.run("env", "-0", user="nobody", environment={"SHELL": "/bin/mine"})
    seen = environment_of(end.stdout)
    assert (seen["HOME"], seen["USER"], seen["LOGNAME"]) == (NOBODY.pw_dir, "nobody", "nobody")
    assert seen["SHELL"] == "/bin/mine"


@pytest.mark.root
def test_an_account_starts_at_home_and_in_the_root_directory_where_it_has_none(agent: Agent) -> None:
    for name in ("nobody", "root"):
        home = pwd.getpwnam(name).pw_dir
        expected = home if Path(home).is_dir() else "/"
        assert agent.run("pwd", user=name).stdout.decode() == f"{expected}\n"


@pytest.mark.root
def test_a_program_that_the_account_may_not_execute_never_starts(agent: Agent, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho hi\n")
    program.chmod(0o700)
    end = agent.run(str(program), user="nobody")
    assert (end.fields["started"], end.fields["error_code"]) == (False, "program_not_executable")


@pytest.mark.root
@pytest.mark.parametrize("terminal", [None, {"columns": 80, "rows": 24, "kind": "xterm"}])
async def test_a_root_that_may_not_change_its_account_says_so(
    runner: Runner, tmp_path: Path, terminal: dict[str, object] | None
) -> None:
    runner.launch(under=["setpriv", "--bounding-set", "-setuid,-setgid"])
    agent = await runner.connect()
    end = agent.run("touch", str(tmp_path / "ran"), user="nobody", terminal=terminal)
    assert (end.fields["started"], end.fields["error_code"]) == (False, "user_denied")
    assert not (tmp_path / "ran").exists()


@pytest.mark.root
def test_a_command_of_another_account_is_stopped_like_any_other(agent: Agent) -> None:
    execution_id = agent.start("sh", "-c", "sleep 1000 & wait", user="nobody")
    agent.take("started", execution_id)
    agent.send("stop", id=execution_id, kill_after=5.0)
    end = agent.take_end(execution_id)
    assert (end.fields["stop_reason"], end.fields["signal"]) == ("cancelled", "SIGTERM")


# --- an agent that is newer than its runner ------------------------------------------------------------------------


def test_what_a_runner_does_not_know_is_refused_rather_than_left_out(agent: Agent, tmp_path: Path) -> None:
    end = agent.run("touch", str(tmp_path / "ran"), sandbox="strict")
    assert (end.fields["started"], end.fields["error_code"]) == (False, "spawn_failed")
    assert "sandbox" in end.fields["error_message"]
    assert not (tmp_path / "ran").exists()
