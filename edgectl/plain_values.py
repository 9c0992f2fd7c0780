"""Reads the values of options without pydantic, which Typer would import for them: 100 ms before anything begins.

Only what needs no rules: words, lists of words, whole numbers, paths, choices. Whatever else there is, and every
mistake, is Typer's, with Typer's message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_origin

_NUMBER = re.compile(r"-?[0-9]{1,18}")


class _NotPlain(Exception):
    """For Typer to read, or to refuse."""


class PlainValue:
    """Stands where Typer asks a parameter for what turns words into its value."""

    def __init__(self, read: Callable[[Any], Any], typers_own: Callable[[], Any]) -> None:
        self._read = read
        self._typers_own = typers_own

    def __call__(self) -> PlainValue:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value of what was typed, or of the default."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        try:
            return self._read(value)
        except _NotPlain:
            return self._typers_own().coerce(value, param=param, ctx=ctx)


def read_plainly(parameters: Iterable[Any]) -> None:
    """Have parameters of Typer's read so, as far as they can be."""
    for parameter in parameters:
        descriptor = getattr(parameter, "type_descriptor", None)
        typers_own = getattr(parameter, "get_runtime_param", None)
        if descriptor is None or typers_own is None or isinstance(typers_own, PlainValue):
            continue
        read = _reader(descriptor.annotation, descriptor.parameter_info)
        if read is not None:
            parameter.get_runtime_param = PlainValue(read, typers_own)


def _reader(annotation: Any, rules: Any) -> Callable[[Any], Any] | None:
    if rules.parser is not None or rules.exists or rules.resolve_path or rules.path_type is not None:
        return None
    if get_origin(annotation) is list and get_args(annotation) == (str,):
        return _words
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return partial(_choice, annotation)
    if annotation is int:
        return partial(_number, rules.min, rules.max)
    return _READERS.get(annotation)


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _NotPlain
    return value


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise _NotPlain
    return value


def _words(value: Any) -> list[str]:
    if not isinstance(value, list | tuple):
        raise _NotPlain
    return [_word(item) for item in value]


def _path(value: Any) -> Path:
    return Path(_word(value))


def _choice(choices: type[Enum], value: Any) -> Enum:
    try:
        return choices(value)
    except ValueError:
        raise _NotPlain from None


def _number(least: float | None, most: float | None, value: Any) -> int:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value)
    if type(value) is not int:
        raise _NotPlain
    number: int = value
    if (least is not None and number < least) or (most is not None and number > most):
        raise _NotPlain
    return number


_READERS: Mapping[Any, Callable[[Any], Any]] = {bool: _bool, str: _word, Path: _path}
