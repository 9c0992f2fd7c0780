"""What is typed after `edgectl ssh`: the node among the options of ssh, and what goes on to ssh."""

from __future__ import annotations

import pytest

from edge_wire.errors import UsageError
from edgectl.invocation import split_arguments
from edgectl.ssh.words import SshWords, read_words


def read(*words: str) -> SshWords:
    """As the command line does it, `--` included."""
    invocation, rest = split_arguments(["ssh", *words])
    return read_words(rest[1:], invocation.remote_argv)


@pytest.mark.parametrize(
    ("words", "user", "options", "command"),
    [
        (["edge01"], "", [], []),
        (["root@edge01"], "root", [], []),
        (["a@b@edge01"], "a@b", [], []),
        (["-l", "root", "edge01"], "root", [], []),
        (["-lroot", "edge01"], "root", [], []),
        (["me@edge01", "-l", "root"], "me", [], []),
        (["-p", "22", "edge01"], "", [], []),
        (["-4vA", "edge01"], "", ["-4", "-v", "-A"], []),
        (["-tt", "edge01", "top"], "", ["-t", "-t"], ["top"]),
        (["edge01", "-L", "8080:web:80", "-N"], "", ["-L", "8080:web:80", "-N"], []),
        (["edge01", "-L8080:web:80"], "", ["-L", "8080:web:80"], []),
        (["-NL", "1:web:80", "edge01"], "", ["-N", "-L", "1:web:80"], []),
        (["-o", "ServerAliveInterval=5", "-q", "edge01"], "", ["-o", "ServerAliveInterval=5", "-q"], []),
        (["edge01", "ls", "-l", "/tmp"], "", [], ["ls", "-l", "/tmp"]),
        (["edge01", "ls", "--color"], "", [], ["ls", "--color"]),
        (["edge01", "--", "echo", "a  b", "$HOME"], "", [], ["echo", "'a  b'", "'$HOME'"]),
        (["edge01", "--", "df -h | tail -1"], "", [], ["df -h | tail -1"]),
        (["edge01", "-t", "--", "ls", "-l"], "", ["-t"], ["ls", "-l"]),
    ],
)
def test_what_is_typed(words: list[str], user: str, options: list[str], command: list[str]) -> None:
    found = read(*words)
    assert (found.node, found.user) == ("edge01", user)
    assert (list(found.options), list(found.command)) == (options, command)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which node"),
        (["-v"], "which node"),
        (["root@"], "name of the node"),
        (["-Z", "edge01"], "no option of ssh"),
        (["--context", "prod", "edge01"], "no option of ssh"),
        (["edge01", "-L"], "needs a value"),
        (["-J", "jump", "edge01"], "its own way"),
        (["-o", "ProxyCommand=nc %h %p", "edge01"], "its own way"),
        (["-oproxyjump jump", "edge01"], "its own way"),
    ],
)
def test_what_cannot_be_meant(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(*words)


@pytest.mark.parametrize(
    ("words", "outlives"),
    [
        (["edge01", "true"], False),
        (["-N", "edge01"], False),
        (["-f", "-N", "edge01"], True),
        (["-M", "edge01"], True),
        (["-S", "/tmp/x", "edge01"], True),
        (["-o", "ControlPersist=60", "edge01"], True),
        (["-o", "Compression=yes", "edge01"], False),
    ],
)
def test_whether_ssh_may_stay_when_we_have_left(words: list[str], outlives: bool) -> None:
    assert read(*words).outlives_us is outlives


def test_options_of_edgectl_stand_before_ssh() -> None:
    invocation, rest = split_arguments(["--context", "prod", "-q", "ssh", "-q", "edge01", "-o", "X=1"])
    assert (invocation.context, invocation.is_quiet, rest) == ("prod", True, ["ssh", "-q", "edge01", "-o", "X=1"])
