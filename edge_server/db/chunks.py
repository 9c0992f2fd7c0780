"""Long lists of values for a statement: no database takes any number of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_AT_ONCE = 500


def chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many at once as a statement takes."""
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))
