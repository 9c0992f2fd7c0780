"""Checks that every test which docs/reliability.md names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+|\*)`", (ROOT / "docs/reliability.md").read_text())


def test_the_page_names_tests() -> None:
    assert len(NAMED) > 40


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_test_is_there(path: str, name: str) -> None:
    text = (ROOT / path).read_text()
    wanted = r"\w+" if name == "*" else re.escape(name)
    assert re.search(rf"^(async )?def {'test_' if name == '*' else ''}{wanted}\(", text, re.MULTILINE)
