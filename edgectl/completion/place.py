"""Where in the command tree the cursor is: which command, which of its arguments, or which option's value. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from edgectl.completion.kinds import Kind
from edgectl.invocation import COMMON_OPTIONS

Words = Mapping[str, Any]
"""A command or a group, as `words.json` has it."""


class Place(NamedTuple):
    """What stands before the cursor, understood."""

    command: Words
    position: int = 0
    """How many arguments were given."""
    waiting: Words | None = None
    """The option whose value comes next."""
    used: frozenset[str] = frozenset()
    """First names of the options that were given."""
    context: str = ""
    """The value of --context."""


def find_place(tree: Words, words: Sequence[str]) -> Place | None:
    """Follow the words before the cursor; None when they lead nowhere."""
    place = Place(tree)
    for word in words:
        found = _step(place, word)
        if found is None:
            return None
        place = found
    return place


def options_of(command: Words) -> list[Words]:
    """Every option that may stand here."""
    return [*command.get("options", ()), *_COMMON]


def option_named(command: Words, name: str) -> Words | None:
    """One option of a command, by any of its names."""
    return next((option for option in options_of(command) if name in option["names"]), None)


def argument_at(place: Place) -> Words | None:
    """The argument that comes next; the last one takes all that follow when it may be repeated."""
    arguments = place.command.get("arguments", ())
    if place.position < len(arguments):
        found: Words = arguments[place.position]
        return found
    return arguments[-1] if arguments and arguments[-1].get("many") else None


def _step(place: Place, word: str) -> Place | None:
    if place.waiting is not None:
        is_context = "--context" in place.waiting["names"]
        return place._replace(waiting=None, context=word if is_context else place.context)
    if word.startswith("-") and word != "-":
        return _step_over_option(place, word)
    if "commands" in place.command:
        command = place.command["commands"].get(word)
        return place._replace(command=command) if command else None
    return place._replace(position=place.position + 1)


def _step_over_option(place: Place, word: str) -> Place:
    name, has_value, value = word.partition("=")
    option = option_named(place.command, name)
    if option is None:
        return place
    used = place._replace(used=place.used | {option["names"][0]})
    if has_value:
        return used._replace(context=value) if name == "--context" else used
    return used._replace(waiting=option) if option.get("takes_value") else used


_COMMON: list[Words] = [
    {
        "names": option.names,
        "help": option.help,
        "takes_value": bool(option.metavar),
        "choices": option.choices,
        "kind": Kind.CONTEXT if option.field == "context" else Kind.NONE,
    }
    for option in COMMON_OPTIONS
]
