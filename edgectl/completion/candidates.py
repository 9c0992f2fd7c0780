"""What can stand at the cursor: decided from the command tree and from what is known of the installation. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from edgectl.completion.kinds import Kind
from edgectl.completion.place import Place, Words, argument_at, find_place, option_named, options_of
from edgectl.meanings import OUTCOMES

_SHORT_ID = 8
_COMMAND_SET = "@command:"


class Candidate(NamedTuple):
    """One thing that can stand there, and what a shell may say about it."""

    value: str
    help: str = ""


class Answer(NamedTuple):
    """What can stand at the cursor."""

    candidates: Sequence[Candidate] = ()
    head: str = ""
    """The beginning of the word that stays and that the candidates do not repeat."""
    is_open: bool = False
    """Whether more follows in the same word, so that no blank belongs behind it."""
    paths: str = ""
    """`files` or `directories` when the shell knows better."""


class Names(Protocol):
    """What is known of the installation; each is looked up only when it is asked for."""

    def nodes(self) -> Sequence[Candidate]:
        """Names of nodes."""

    def labels(self) -> Mapping[str, Sequence[str]]:
        """Values of labels by name."""

    def clusters(self) -> Sequence[Candidate]:
        """Names of clusters."""

    def commands(self) -> Sequence[Candidate]:
        """Full ids of commands, newest first."""

    def contexts(self) -> Sequence[Candidate]:
        """Names of contexts."""

    def topics(self) -> Sequence[Candidate]:
        """What can be explained."""


def complete(tree: Words, words: Sequence[str], typed: str, names_of: Callable[[str], Names]) -> Answer:
    """What can follow `words` in place of what was `typed` so far; `names_of` takes the value of --context."""
    place = find_place(tree, words)
    if place is None:
        return Answer()
    if place.waiting is not None:
        return _value(place.waiting, typed, names_of(place.context))
    if typed.startswith("-"):
        return _option(place, typed, names_of(place.context))
    if "commands" in place.command:
        return Answer(_fitting((Candidate(*pair) for pair in _helps(place.command["commands"])), typed))
    argument = argument_at(place)
    return _value(argument, typed, names_of(place.context)) if argument is not None else Answer()


def _helps(commands: Mapping[str, Words]) -> Iterable[tuple[str, str]]:
    return ((name, command["help"]) for name, command in commands.items())


def _option(place: Place, typed: str, names: Names) -> Answer:
    name, has_value, value = typed.partition("=")
    if has_value:
        option = option_named(place.command, name)
        if option is None or not option.get("takes_value"):
            return Answer()
        return _behind(f"{name}=", _value(option, value, names))
    offered = [
        Candidate(name, option["help"])
        for option in options_of(place.command)
        if option.get("many") or option["names"][0] not in place.used
        for name in option["names"]
    ]
    return Answer(_fitting(offered, typed))


def _value(parameter: Words, typed: str, names: Names) -> Answer:
    if parameter.get("choices"):
        return Answer(_fitting((Candidate(choice) for choice in parameter["choices"]), typed))
    make = _MAKERS.get(Kind(parameter.get("kind", "")))
    return make(names, typed) if make else Answer()


def _node_set(names: Names, typed: str) -> Answer:
    """The last part of `edge[01-40],ed`; the commas of `@command:ID=failed,lost` and of brackets are no separators."""
    cut = _last_part(typed)
    part = typed[cut:]
    if part.count("[") > part.count("]"):
        return Answer()
    if part.startswith("@"):
        return _behind(typed[:cut], _command_set(names, part))
    return Answer(_fitting(names.nodes(), part), typed[:cut])


def _last_part(typed: str) -> int:
    depth, cut = 0, 0
    for index, character in enumerate(typed):
        depth += {"[": 1, "]": -1}.get(character, 0)
        is_outcome = character == "," and typed.startswith(_COMMAND_SET, cut) and "=" in typed[cut:index]
        if depth <= 0 and character in ",&!^" and not is_outcome:
            cut = index + 1
    return cut


def _command_set(names: Names, part: str) -> Answer:
    head, has_outcomes, rest = part.partition("=")
    if has_outcomes:
        return _behind(f"{head}=", _outcomes(names, rest))
    if not part.startswith(_COMMAND_SET):
        return Answer(_fitting([Candidate(_COMMAND_SET, "nodes of an earlier command")], part), is_open=True)
    return _behind(_COMMAND_SET, _commands(names, part.removeprefix(_COMMAND_SET)))


def _outcomes(names: Names, typed: str) -> Answer:
    """Those that a record can have: `no_contact` is only what a foreground wait says."""
    head, part = _behind_last(typed, ",")
    known = (Candidate(word, meaning.text) for word, meaning in OUTCOMES.items() if word != "no_contact")
    return Answer(_fitting(known, part), head)


def _commands(names: Names, typed: str) -> Answer:
    """Short ids, as lists show them; longer ones for who has typed more."""
    size = max(_SHORT_ID, 36 if len(typed) > _SHORT_ID else 0)
    return Answer(_fitting((Candidate(item.value[:size], item.help) for item in names.commands()), typed))


def _labels(names: Names, typed: str) -> Answer:
    head, part = _behind_last(typed, ",")
    return _behind(head, _label(names, part))


def _label(names: Names, typed: str) -> Answer:
    """`name=` with more to follow, then its values."""
    name, has_value, value = typed.partition("=")
    if has_value:
        known = names.labels().get(name.removesuffix("!"), ())
        return Answer(_fitting((Candidate(item) for item in known), value), f"{name}=")
    if name.startswith("!"):
        return _behind("!", _label_names(names, name[1:]))
    return Answer(_fitting((Candidate(f"{item}=") for item in names.labels()), name), is_open=True)


def _label_names(names: Names, typed: str) -> Answer:
    return Answer(_fitting((Candidate(item) for item in names.labels()), typed))


_MAKERS: dict[Kind, Callable[[Names, str], Answer]] = {
    Kind.NODE: lambda names, typed: Answer(_fitting(names.nodes(), typed)),
    Kind.NODE_SET: _node_set,
    Kind.CLUSTER: lambda names, typed: Answer(_fitting(names.clusters(), typed)),
    Kind.LABEL: _label,
    Kind.LABELS: _labels,
    Kind.LABEL_NAME: _label_names,
    Kind.COMMAND: _commands,
    Kind.CONTEXT: lambda names, typed: Answer(_fitting(names.contexts(), typed)),
    Kind.OUTCOMES: _outcomes,
    Kind.TOPIC: lambda names, typed: Answer(_fitting(names.topics(), typed)),
    Kind.FILE: lambda _names, _typed: Answer(paths="files"),
    Kind.DIRECTORY: lambda _names, _typed: Answer(paths="directories"),
}


def _behind_last(typed: str, separator: str) -> tuple[str, str]:
    cut = typed.rfind(separator) + 1
    return typed[:cut], typed[cut:]


def _behind(head: str, answer: Answer) -> Answer:
    return answer._replace(head=head + answer.head)


def _fitting(candidates: Iterable[Candidate], typed: str) -> list[Candidate]:
    return [item for item in candidates if item.value.startswith(typed)]
