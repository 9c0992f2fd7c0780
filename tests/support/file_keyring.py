"""A keyring that any process can be told to use: what a desktop's secret service is to `keyring`, in one file."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class FileKeyring(KeyringBackend):
    """Keeps passwords in the file that FILE_KEYRING names."""

    priority = 1.0

    def get_password(self, service: str, username: str) -> str | None:
        return self._load().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._save({**self._load(), f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        known = self._load()
        if known.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError("not there")
        self._save(known)

    @property
    def _path(self) -> Path:
        return Path(os.environ["FILE_KEYRING"])

    def _load(self) -> dict[str, str]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}

    def _save(self, known: dict[str, str]) -> None:
        self._path.write_text(json.dumps(known))
