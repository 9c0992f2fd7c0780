"""Many rows as one parameter of one statement: a JSON text that the database itself takes apart.

Binding a thousand rows one by one costs more in Python than writing them costs in the database, and everything else
that the program does waits for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Integer, LargeBinary, String, bindparam, cast, func, type_coerce
from sqlalchemy.dialects.postgresql import JSONB

SQLITE = "sqlite"
"""The name of the dialect that takes JSON in its own way."""
PARAMETER = "row_set"
"""What the one parameter is called."""

Columns = Mapping[str, Column[Any]]
"""The columns of a row set: for each name the column of a table whose type it has. Their order is that of the rows."""


def columns_of(dialect: str, columns: Columns) -> dict[str, ColumnElement[Any]]:
    """The columns of the rows that the parameter carries, to be used in a statement that has them as a source.

    Such a statement is worth keeping: to put it together takes longer than to execute it.
    """
    if any(isinstance(like.type, LargeBinary) for like in columns.values()):
        raise TypeError("JSON has no bytes")
    if dialect == SQLITE:
        rows = func.json_each(bindparam(PARAMETER, type_=String)).table_valued("value", name=PARAMETER)
        taken = [func.json_extract(rows.c.value, f"$[{place}]") for place in range(len(columns))]
        return {name: type_coerce(value, columns[name].type) for name, value in zip(columns, taken, strict=True)}
    array = cast(bindparam(PARAMETER, type_=String), JSONB)
    elements = func.jsonb_array_elements(array).table_valued("value", name=PARAMETER)
    texts = [elements.c.value.op("->>")(cast(place, Integer)) for place in range(len(columns))]
    return {name: _typed(text, columns[name]) for name, text in zip(columns, texts, strict=True)}


def pack(dialect: str, rows: Sequence[Sequence[Any]]) -> dict[str, str]:
    """The parameter, from rows that have a value for each column; datetimes are aware."""
    zone = "" if dialect == SQLITE else "+00"

    def write(value: object) -> str:
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise TypeError(f"{value!r} cannot be one of many rows")
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds") + zone

    return {PARAMETER: json.dumps(rows, default=write)}


def _typed(text: ColumnElement[Any], like: Column[Any]) -> ColumnElement[Any]:
    # A cast to VARCHAR(n) would cut what is too long, where storing it is refused.
    return type_coerce(text, like.type) if isinstance(like.type, String) else cast(text, like.type)
