"""A node with our SFTP server, and copies with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edgectl.copying.copies import Copier, our_node


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home directory of the account on the node."""
    made = tmp_path / "home"
    made.mkdir()
    return made


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that copies are typed in."""
    made = tmp_path / "here"
    made.mkdir()
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def copier(home: Path, here: Path) -> Copier:
    """Copies with a node of ours."""
    return Copier(our_node(home))
