"""The fields of a schema as rows of a table for people: name, type, meaning. Used to make the reference page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from edgectl.schemas import Schema

Row = tuple[str, str, str]


def fields_of(schema: Schema) -> list[Row]:
    """Every field that an object of a loaded schema may have; those of objects in it come behind a dot."""
    rows: dict[str, Row] = {}
    for row in _fields(schema, schema.get("$defs", {}), ""):
        rows.setdefault(row[0], row)
    return list(rows.values())


def branches_of(schema: Schema) -> list[tuple[str, Schema]]:
    """What an object carries besides, by the word in its `type`; empty for schemas without kinds."""
    shared = {"$defs": schema.get("$defs", {})}
    return [(branch["properties"]["type"]["const"], {**branch, **shared}) for branch in schema.get("oneOf", ())]


def _fields(schema: Schema, shared: Mapping[str, Schema], prefix: str) -> Iterator[Row]:
    for name, field in schema.get("properties", {}).items():
        optional = "" if name in schema.get("required", ()) else " (not always there)"
        yield f"`{prefix}{name}`", _type_of(field, shared), f"{field.get('description', '')}{optional}"
        inner, separator = (field["items"], "[].") if "items" in field else (field, ".")
        if _belongs_here(inner):
            yield from _fields(_resolved(inner, shared), shared, f"{prefix}{name}{separator}")
    for part in [schema, *schema.get("allOf", ())]:
        for reference in (part.get("$ref"), part.get("then", {}).get("$ref")):
            if reference:
                yield from _fields(_resolved({"$ref": reference}, shared), shared, prefix)


def _belongs_here(field: Schema) -> bool:
    """A schema with a section of its own is only named; the others' names in `$defs` have no dot."""
    return "properties" in field or "." not in field.get("$ref", ".")


def _resolved(field: Schema, shared: Mapping[str, Schema]) -> Schema:
    return shared[field["$ref"].rpartition("/")[2]] if "$ref" in field else field


def _type_of(field: Schema, shared: Mapping[str, Schema]) -> str:
    """In one cell."""
    if "anyOf" in field:
        return " or ".join(_type_of(item, shared) for item in field["anyOf"])
    found = _resolved(field, shared)
    values = found.get("enum", [found["const"]] if "const" in found else [])
    if values:
        return " ".join(f"`{json.dumps(value)}`" for value in values)
    if "items" in found:
        return f"array of {_type_of(found['items'], shared)}"
    kinds: Any = found["type"]
    return " or ".join([kinds] if isinstance(kinds, str) else kinds).replace("string", _string(found))


def _string(field: Schema) -> str:
    return f"string ({field['format']})" if "format" in field else "string"
