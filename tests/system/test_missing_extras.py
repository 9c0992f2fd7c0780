"""Programs whose extra was not installed: one line that says what to install, and no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.programs import run_program

ROOT = Path(__file__).parents[2]


def without(directory: Path, module: str) -> dict[str, str]:
    """An environment in which a module is not to be had."""
    (directory / "sitecustomize.py").write_text(f"import sys\nsys.modules[{module!r}] = None\n")
    return {"PYTHONPATH": f"{directory}:{ROOT}", "EDGECTL_CONFIG_DIR": str(directory)}


@pytest.mark.parametrize(
    ("program", "module", "says"),
    [
        ("edgectl", "typer", "edgectl: internal: the module typer is missing. install edgectl[cli]\n"),
        ("edge_server", "pydantic", "edge-server: the module pydantic is missing: install edgectl[server]\n"),
    ],
)
async def test_a_missing_module_is_named_with_the_extra_that_brings_it(
    tmp_path: Path, program: str, module: str, says: str
) -> None:
    done = await run_program(program, "--help", environ=without(tmp_path, module))
    assert (done.code, done.out, done.err) == (1, b"", says)


async def test_a_module_that_only_one_command_needs_is_named_by_it(tmp_path: Path) -> None:
    context = {"admin_urls": ["https://127.0.0.1:1"], "ca_certificate": "", "store": "keyring"}
    (tmp_path / "config.json").write_text(json.dumps({"current": "x", "contexts": {"x": context}}))
    done = await run_program("edgectl", "node", "list", environ=without(tmp_path, "keyring"))
    assert (done.code, done.err) == (1, "edgectl: internal: the module keyring is missing. install edgectl[cli]\n")
