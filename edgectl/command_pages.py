"""Every command as data, read from Typer: for the reference page and for completion. Imports every command's module.

`scripts/generate-docs` makes `docs/reference/cli.md` and `edgectl/completion/words.json` of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer

from edgectl.app import COMMANDS
from edgectl.completion.kinds import Kind, kind_of


@dataclass(frozen=True, kw_only=True)
class ParameterPage:
    """One argument or option."""

    name: str
    options: tuple[str, ...]
    """How it is written on the command line; empty for an argument."""
    shown: str
    """As the help shows it, such as `-f, --fanout <str>`."""
    help: str
    takes_value: bool
    is_many: bool
    choices: tuple[str, ...]
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class CommandPage:
    """One command or group of commands."""

    path: str
    """Without `edgectl`."""
    usage: str
    help: str
    epilog: str
    arguments: tuple[ParameterPage, ...]
    options: tuple[ParameterPage, ...]
    commands: Mapping[str, CommandPage]


_UNTYPED = {
    "ssh": [
        ParameterPage(
            name="node",
            options=(),
            shown="[USER@]NODE",
            help="The node, with the options of ssh before it or behind it.",
            takes_value=True,
            is_many=False,
            choices=(),
            kind=Kind.NODE,
        )
    ]
}
"""Arguments that a command reads by itself."""


def read_pages() -> dict[str, CommandPage]:
    """Every command of the tree by its name, in the order of the help."""
    return {name: _page(name, _command(entry.module)) for name, entry in COMMANDS.items()}


def leaves(page: CommandPage) -> Iterator[CommandPage]:
    """The commands below this one that do something, or it itself."""
    if not page.commands:
        yield page
    for child in page.commands.values():
        yield from leaves(child)


def words(page: CommandPage) -> dict[str, Any]:
    """What completion needs of a command, in the shape of its file."""
    if page.commands:
        return {"help": page.help, "commands": {name: words(child) for name, child in page.commands.items()}}
    return {
        "help": page.help,
        "arguments": [_words_of(item) for item in page.arguments],
        "options": [{"names": list(item.options), "help": item.help, **_words_of(item)} for item in page.options],
    }


def _words_of(item: ParameterPage) -> dict[str, Any]:
    facts = {
        "takes_value": item.takes_value and bool(item.options),
        "many": item.is_many,
        "choices": list(item.choices),
        "kind": item.kind.value,
    }
    return {name: value for name, value in facts.items() if value}


def _command(module: str) -> Any:
    return typer.main.get_command(import_module(f"edgectl.commands.{module}").app)


def _page(path: str, command: Any) -> CommandPage:
    with typer.Context(command, info_name=f"edgectl {path}", **command.context_settings) as context:
        parameters = [_parameter(path, item, context) for item in command.get_params(context) if not item.hidden]
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parameters += _UNTYPED.get(path, ())
    children: Mapping[str, Any] = getattr(command, "commands", {})
    return CommandPage(
        path=path,
        usage=usage,
        help=command.help or "",
        epilog=command.epilog or "",
        arguments=tuple(item for item in parameters if not item.options),
        options=tuple(item for item in parameters if item.options),
        commands={name: _page(f"{path} {name}", child) for name, child in children.items()},
    )


def _parameter(path: str, item: Any, context: Any) -> ParameterPage:
    options = () if item.param_type_name == "argument" else _spellings(item)
    shown, text = item.get_help_record(context) or (item.name, "")
    choices = item.type_descriptor.choices or ()
    kind = Kind.FILE if item.type_descriptor.is_path else Kind.NONE
    return ParameterPage(
        name=item.name,
        options=options,
        shown=shown,
        help=text,
        takes_value=not getattr(item, "is_flag", False),
        is_many=item.nargs == -1 or getattr(item, "multiple", False),
        choices=tuple(str(choice.value) for choice in choices),
        kind=kind_of(path, item.name, options) or kind,
    )


def _spellings(option: Any) -> tuple[str, ...]:
    """Long ones first, for Typer has those of --help in the order of a set."""
    return tuple(sorted((*option.opts, *option.secondary_opts), key=lambda name: not name.startswith("--")))
