"""The JSON Schemas of everything that edgectl prints: a file beside this one for each `schema` value.

`edgectl.node/v1` is in `edgectl.node.v1.json`; what several of them share is in `definitions.v1.json`. They let
consumers meet fields that they do not know, because a major version only ever adds; the tests do not, so that a field
that is printed and not described here turns them red. Imports nothing but the standard library.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_DIRECTORY = Path(__file__).parent
_SHARED = "definitions.v1.json"

Schema = dict[str, Any]


def names() -> list[str]:
    """Every `schema` value that has a file."""
    stems = [path.name.removesuffix(".json") for path in _DIRECTORY.glob("edgectl.*.json")]
    return sorted("/".join(stem.rsplit(".", 1)) for stem in stems)


def load(name: str) -> Schema:
    """The schema of a `schema` value in one piece: what it refers to in other files is in its `$defs`."""
    found: dict[str, Any] = {}
    schema: Schema = _in_one_piece(_read(f"{name.replace('/', '.')}.json"), found)
    return {**schema, "$defs": dict(sorted(found.items()))} if found else schema


def _in_one_piece(node: Any, found: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_in_one_piece(item, found) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _take_in(value, found) if key == "$ref" else _in_one_piece(value, found) for key, value in node.items()
    }


def _take_in(reference: str, found: dict[str, Any]) -> str:
    """Put what is referred to among the definitions; returns the reference to it there."""
    file, _, pointer = reference.partition("#")
    name = pointer.rpartition("/")[2] or file.removeprefix("edgectl.").removesuffix(".v1.json")
    if name not in found:
        found[name] = {}  # so that a reference to itself ends
        whole = _read(file or _SHARED)
        whole.pop("$schema")
        found[name] = _in_one_piece(whole["$defs"][name] if pointer else whole, found)
    return f"#/$defs/{name}"


def _read(file: str) -> Any:
    return json.loads((_DIRECTORY / file).read_text(encoding="utf-8"))
