"""Selector expressions and label requirements: what their text means. Pure; no node is looked up here.

An expression is terms joined by `,` or, `&` and, `!` not, `^` xor, read from left to right, as ClusterShell does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Literal, TypeVar

from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException

from edge_wire.errors import SelectorInvalid
from edge_wire.names import printable, quoted

NAMES_LIMIT = 10_000
"""Names in one node set, and node references in one selector."""
FOLDED_LIMIT = 1_000
"""Names that are folded for a message."""

Operator = Literal[",", "&", "!", "^"]
ValueT = TypeVar("ValueT")

_COMMAND = "@command:"
_OPERATORS = ",&!^"
_SET = re.compile(r"[^\[\]]*(?:\[[0-9,/-]+\][^\[\]]*)+")
_RANGES = re.compile(r"\[([0-9,/-]+)\]")
_RANGE = re.compile(r"(\d{1,12})(?:-(\d{1,12})(?:/(\d{1,6}))?)?")
_LABEL = re.compile(
    r"(?P<not>!?)(?P<name>[A-Za-z0-9][A-Za-z0-9._/-]*)(?:(?P<is>==|=|!=)(?P<value>[A-Za-z0-9._:/@+-]*))?"
)


@dataclass(frozen=True, kw_only=True)
class Names:
    """Nodes by reference: one, or all of a node set."""

    references: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class CommandNodes:
    """The nodes on which an earlier command ended in one of these ways; all of its nodes when there are none."""

    command: str
    outcomes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Term:
    """One part of an expression, with how it joins what stands before it."""

    operator: Operator
    nodes: Names | CommandNodes


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """What a node's labels must be like. `value` is None when only the name counts."""

    name: str
    value: str | None
    is_negated: bool

    def holds(self, value: str | None) -> bool:
        """Whether a node whose label has this value fits; None means that it has no such label."""
        matches = value is not None if self.value is None else value == self.value
        return matches != self.is_negated

    def __str__(self) -> str:
        if self.value is None:
            return f"!{self.name}" if self.is_negated else self.name
        return f"{self.name}{'!=' if self.is_negated else '='}{self.value}"


def parse_expression(text: str, outcomes: Collection[str]) -> list[Term]:
    """Read one expression. Raises SelectorInvalid. `outcomes` are the words that may stand behind `@command:ID=`."""
    found: list[Term] = []
    for operator, word in _split(text):
        last = found[-1].nodes if found else None
        if operator == "," and word in outcomes and isinstance(last, CommandNodes) and last.outcomes:
            # `@command:ID=failed,lost` is one term, although a comma is an operator.
            longer = CommandNodes(command=last.command, outcomes=[*last.outcomes, word])
            found[-1] = Term(operator=found[-1].operator, nodes=longer)
        else:
            found.append(Term(operator=operator, nodes=_parse_term(text, word, outcomes)))
    return found


def evaluate(terms: Iterable[Term], nodes_of: Callable[[Names | CommandNodes], set[ValueT]]) -> set[ValueT]:
    """The nodes that an expression stands for."""

    def joined(before: set[ValueT], term: Term) -> set[ValueT]:
        nodes = nodes_of(term.nodes)
        operations = {",": before | nodes, "&": before & nodes, "!": before - nodes, "^": before ^ nodes}
        return operations[term.operator]

    return reduce(joined, terms, set())


def parse_requirements(texts: Iterable[str]) -> list[Requirement]:
    """Read `site=oslo,role!=db`, `site`, `!site`. Raises SelectorInvalid."""
    return [_parse_requirement(part.strip()) for text in texts for part in text.split(",")]


def fold(names: Collection[str]) -> str:
    """Names as one node set, such as `edge[01-06,08]`; at most FOLDED_LIMIT, because irregular ones cost."""
    try:
        return printable(str(NodeSet.fromlist(sorted(names), resolver=RESOLVER_NOGROUP)))
    except NodeSetException:
        return printable(",".join(sorted(names)))


def _split(text: str) -> list[tuple[Operator, str]]:
    """Operators with the words behind them; those in brackets belong to their node set."""
    parts: list[tuple[Operator, str]] = []
    operator: Operator = ","
    word, depth = "", 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if depth == 0 and character in _OPERATORS:
            parts.append((operator, word.strip()))
            operator, word = character, ""  # type: ignore[assignment]  # it is one of the operators
        else:
            word += character
    parts.append((operator, word.strip()))
    if depth:
        raise SelectorInvalid(f"{quoted(text)}: a bracket is not closed")
    if len(parts) > 1 and not all(word for _, word in parts):
        raise SelectorInvalid(f"{quoted(text)}: something is missing before or after one of {_OPERATORS}")
    return parts


def _parse_term(text: str, word: str, outcomes: Collection[str]) -> Names | CommandNodes:
    if word.startswith(_COMMAND):
        return _parse_command(text, word.removeprefix(_COMMAND), outcomes)
    if word.startswith("@"):
        raise SelectorInvalid(f"{quoted(text)}: {quoted(word)} is no set", hint="@command:ID=OUTCOME is the only one")
    if "[" in word or "]" in word:
        return Names(references=_expand(text, word))
    return Names(references=[word])


def _parse_command(text: str, word: str, outcomes: Collection[str]) -> CommandNodes:
    command, has_outcome, outcome = word.partition("=")
    if not command:
        raise SelectorInvalid(f"{quoted(text)}: the id is missing in @command:ID=OUTCOME")
    if has_outcome and outcome not in outcomes:
        raise SelectorInvalid(f"{quoted(text)}: {quoted(outcome)} is no outcome", hint=f"one of {', '.join(outcomes)}")
    return CommandNodes(command=command, outcomes=[outcome] if outcome else [])


def _expand(text: str, word: str) -> list[str]:
    """Every name of a node set. Counted before it is made: a few characters could stand for billions."""
    mistake = SelectorInvalid(
        f"{quoted(text)}: {quoted(word)} is no node set", hint="such as edge[01-40] or rack[1-4]-node[1-9]"
    )
    if not _SET.fullmatch(word):
        raise mistake
    count = prod(_count(ranges, mistake) for ranges in _RANGES.findall(word))
    if count > NAMES_LIMIT:
        raise SelectorInvalid(f"{quoted(word)} stands for {count} names: at most {NAMES_LIMIT}")
    try:
        return list(NodeSet(word, resolver=RESOLVER_NOGROUP))
    except NodeSetException:
        raise mistake from None


def _count(ranges: str, mistake: SelectorInvalid) -> int:
    count = 0
    for part in ranges.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise mistake
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if last < first or step < 1:
            raise mistake
        count += (last - first) // step + 1
    return count


def _parse_requirement(part: str) -> Requirement:
    match = _LABEL.fullmatch(part)
    if match is None or (match["not"] and match["is"]):
        raise SelectorInvalid(
            f"{quoted(part)} says nothing about a label", hint="write name=value, name!=value, name or !name"
        )
    is_negated = bool(match["not"]) or match["is"] == "!="
    return Requirement(name=match["name"], value=match["value"] if match["is"] else None, is_negated=is_negated)
