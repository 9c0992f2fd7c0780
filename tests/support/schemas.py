"""Holds what edgectl prints against its published schemas, strictly: a field that is described nowhere is an error.

The published files let consumers meet unknown fields; the copies made here do not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from edgectl import schemas

CHECKED = 500
"""Objects of one output that are looked at: an exec of a flood prints many thousand alike."""

_BRANCHES = ("allOf", "anyOf", "oneOf", "if", "then", "else")
"""Where a subschema says a part of what its parent's object may have."""


def check(document: Any) -> None:
    """Fail unless this is what its `schema` describes, or a list of such."""
    rows = document if isinstance(document, list) else [document]
    for row in rows[:CHECKED]:
        errors = sorted(validator(row["schema"]).iter_errors(row), key=lambda error: list(error.absolute_path))
        assert not errors, f"{row['schema']}: {errors[0].json_path}: {errors[0].message}\n{json.dumps(row)}"


def check_output(words: Sequence[str], text: str) -> None:
    """Fail unless what `edgectl WORDS` printed is JSON of known shape; what is printed for people passes."""
    output = output_of(words)
    if output == "json" and text:
        document = json.loads(text)
        is_schema = isinstance(document, dict) and "$schema" in document
        if not is_schema:
            check(document)
    elif output == "jsonl":
        check([json.loads(line) for line in text.splitlines()[:CHECKED]])


def output_of(words: Sequence[str]) -> str:
    """The value of -o in a command line."""
    own = list(words[: words.index("--")] if "--" in words else words)
    joined = [word.partition("=")[2] for word in own if word.startswith(("-o=", "--output="))]
    apart = [own[index + 1] for index, word in enumerate(own[:-1]) if word in {"-o", "--output"}]
    return [*joined, *apart, ""][0]


@cache
def validator(name: str) -> Draft202012Validator:
    """The strict validator of a schema."""
    assert name in schemas.names(), f"{name} has no file in edgectl/schemas"
    schema = strict(schemas.load(name))
    checker = Draft202012Validator.FORMAT_CHECKER
    return Draft202012Validator(schema, format_checker=checker)


def strict(schema: Any, *, is_branch: bool = False) -> Any:
    """A copy in which no object may have a field that its schema does not describe."""
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict_part(key, value) for key, value in schema.items()}
    if not is_branch and ("properties" in schema or "$ref" in schema):
        made["unevaluatedProperties"] = False
    return made


def _strict_part(key: str, value: Any) -> Any:
    if key == "$defs":
        return {name: strict(item, is_branch=True) for name, item in value.items()}
    if key == "properties":
        return {name: strict(item) for name, item in value.items()}
    if key in _BRANCHES:
        parts = value if isinstance(value, list) else [value]
        made = [strict(item, is_branch=True) for item in parts]
        return made if isinstance(value, list) else made[0]
    return strict(value) if key == "items" else value
