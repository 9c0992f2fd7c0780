"""The admin's data directory: its lock, the secrets that it makes for itself, and the login string it leaves there."""

from __future__ import annotations

import contextlib
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
    """Take the lock beside an SQLite file for the life of this process, and keep the file to its owner.

    Links are followed, so that one file has one lock. Raises DatabaseInUse, DirectoryNotWritable.
    """
    file = Path(os.path.realpath(path))
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(f"{file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _not_writable(file, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _keep_private(file)
    except BlockingIOError:
        os.close(descriptor)
        raise DatabaseInUse(
            f"another edge-server uses {path}",
            hint="stop it, or give this one another DATA_DIR; several need PostgreSQL",
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise _not_writable(file, error) from None
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


def _keep_private(file: Path) -> None:
    """Mode 0600 for the file and what SQLite keeps beside it; new ones beside it get the mode of the file."""
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for kept in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        with contextlib.suppress(FileNotFoundError):
            kept.chmod(0o600)


def _not_writable(file: Path, error: OSError) -> DirectoryNotWritable:
    return DirectoryNotWritable(
        f"the SQLite file {file} cannot be written ({error.strerror})",
        hint="set SQLITE_DB_PATH, or DATA_DIR, to a place of your own",
    )


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
