"""The admin's data directory: its lock, the secrets that it makes for itself, and the login string it leaves there."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from edge_server import encryption
from edge_server.settings import Settings
from edge_wire import credentials
from edge_wire.errors import DatabaseInUse, DirectoryNotWritable, SettingsInvalid
from edge_wire.private_files import write_private

SECRETS_FILE = "secrets.json"
LOGIN_FILE = "login"


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What every admin needs and nobody may see."""

    master_key: str = field(repr=False)
    encryption_key: str = field(repr=False)
    made_at: Path | None = None
    """Where they were made just now; None when they were there already or came from the settings."""


def lock_sqlite(path: Path) -> int:
    """Take the lock beside an SQLite file for the life of this process. Raises DatabaseInUse."""
    real = os.path.realpath(path)  # another name of the same file is the same database
    try:
        os.makedirs(os.path.dirname(real), mode=0o700, exist_ok=True)
        descriptor = os.open(f"{real}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DirectoryNotWritable(
            f"{real}.lock cannot be written ({error.strerror})", hint="set SQLITE_DB_PATH to a directory of your own"
        ) from None
    # SQLite gives its files beside it the same mode.
    os.close(os.open(real, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DatabaseInUse(
            f"another edge-server uses {path}",
            hint="stop it, or give this one another DATA_DIR; several need PostgreSQL",
        ) from None
    return descriptor


def load_secrets(settings: Settings) -> Secrets:
    """From the settings; what is missing with SQLite is made once and kept in the data directory, mode 0600."""
    master = _text(settings.master_key)
    encryption_key = _text(settings.encryption_key)
    if master and encryption_key:
        return Secrets(master_key=master, encryption_key=encryption_key)
    path = settings.data_dir / SECRETS_FILE
    stored, made_at = _read_or_make(path)
    return Secrets(
        master_key=master or stored["MASTER_KEY"],
        encryption_key=encryption_key or stored["ENCRYPTION_KEY"],
        made_at=made_at,
    )


def _read_or_make(path: Path) -> tuple[dict[str, str], Path | None]:
    if not path.exists():
        made = {"MASTER_KEY": credentials.new_token("op"), "ENCRYPTION_KEY": encryption.new_key()}
        write_private(path, json.dumps(made, indent=2) + "\n")
        return made, path
    try:
        stored = json.loads(path.read_text())
        secrets = {name: stored[name] for name in ("MASTER_KEY", "ENCRYPTION_KEY")}
        if not all(isinstance(value, str) and value for value in secrets.values()):
            raise TypeError
        encryption.parse_keys(secrets["ENCRYPTION_KEY"])
        return secrets, None
    except (ValueError, KeyError, TypeError):
        raise SettingsInvalid(f"{path} is damaged: it must hold MASTER_KEY and ENCRYPTION_KEY as JSON") from None


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
