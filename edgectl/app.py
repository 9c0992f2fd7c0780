"""The command tree, loaded on demand: `--help`, completion and `version` import nothing that a command would need."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from edgectl.plain_values import read_plainly

COMMON_OPTIONS = """For every command: --context NAME, -o text|wide|json|jsonl, --color auto|always|never, -q,
--no-pager, --debug."""
EPILOG = f"""{COMMON_OPTIONS}

Examples: edgectl demo up · edgectl exec --all -- uptime · edgectl node list -o wide"""


FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class Entry(NamedTuple):
    """One command: where it lives, and its line in the help (a test holds it against the command's own)."""

    module: str
    help: str


COMMANDS: dict[str, Entry] = {
    "exec": Entry("execute", "Run a command on nodes, now, and stream back what it writes."),
    "ssh": Entry("ssh", "A shell or one command on a node, through the admin."),
    "cp": Entry("cp", "Copy files and directories to nodes and from nodes."),
    "proxy": Entry("proxy", "A local HTTP and SOCKS port that comes out elsewhere."),
    "tunnel": Entry("tunnel", "Reach a port of a node or of its network from here."),
    "node": Entry("node", "Nodes: list, show, set, alias, move, delete."),
    "cluster": Entry("cluster", "Clusters: list, show, create, set, delete."),
    "enroll-key": Entry("enroll_key", "Enrollment keys: what lets new machines join."),
    "command": Entry("command", "Commands as records: list, logs, wait, retry, diff and more."),
    "ssh-user": Entry("ssh_user", "Accounts for SSH: list, show, create, delete."),
    "ssh-key": Entry("ssh_key", "Public keys of accounts for SSH: list, create, delete."),
    "ssh-session": Entry("ssh_session", "SSH sessions: list, show, play, export."),
    "ssh-config": Entry("ssh_config", "Make plain ssh, scp, rsync and git reach nodes by name."),
    "token": Entry("token", "Tokens: list, show, create, delete."),
    "audit": Entry("audit", "The audit log: who changed what."),
    "admin": Entry("admin", "The admin itself: status."),
    "login": Entry("login", "Log in with a login string."),
    "logout": Entry("logout", "Forget a context and its credential."),
    "context": Entry("context", "Contexts: list, use, show, delete."),
    "config": Entry("config", "Where edgectl keeps its configuration."),
    "demo": Entry("demo", "A whole fleet on this machine: up, status, down."),
    "completion": Entry("completion", "Print what makes bash, zsh or fish complete."),
    "explain": Entry("explain", "Explain a schema, an error code or an exit code."),
    "version": Entry("version", "Print the version."),
}


class PlainCommand(TyperCommand):
    """A command whose options are read without pydantic."""

    def get_params(self, ctx: Any) -> Any:
        return _read_plainly(super().get_params(ctx))


class PlainGroup(TyperGroup):
    """A group whose options are read without pydantic."""

    def get_params(self, ctx: Any) -> Any:
        return _read_plainly(super().get_params(ctx))


class App(typer.Typer):
    """A group of commands that are read without pydantic."""

    def command(
        self, name: str | None = None, *, cls: type[TyperCommand] | None = PlainCommand, **settings: Any
    ) -> Callable[[FunctionT], FunctionT]:
        return super().command(name, cls=cls, **settings)


class LazyGroup(PlainGroup):
    """Imports a command when it is called; help and completion get a stub with its help line."""

    _is_only_naming = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        if self._is_only_naming:
            return TyperCommand(cmd_name, help=entry.help)
        module = import_module(f"edgectl.commands.{entry.module}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        _tell_of_common_options(command)
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._only_naming(lambda: super(LazyGroup, self).format_help(ctx, formatter))

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        return self._only_naming(lambda: super(LazyGroup, self).shell_complete(ctx, incomplete))

    def _only_naming(self, work: Callable[[], Any]) -> Any:
        self._is_only_naming = True
        try:
            return work()
        finally:
            self._is_only_naming = False


def _tell_of_common_options(command: Any) -> None:
    """They are no options of a command's own: they are taken out before it sees its words."""
    children = getattr(command, "commands", {})
    for child in children.values():
        _tell_of_common_options(child)
    if not children:
        command.epilog = "\n\n".join(text for text in (COMMON_OPTIONS, command.epilog) if text)


def _read_plainly(parameters: Any) -> Any:
    read_plainly(parameters)
    return parameters


def new_app(help_text: str) -> App:
    """A group of commands with the settings that all groups share."""
    return App(
        cls=PlainGroup,
        help=help_text,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


root = typer.Typer(
    cls=LazyGroup,
    help="Operate fleets of Linux machines that nobody touches.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@root.callback()
def _root() -> None:
    """Typer needs a callback to make a group."""
