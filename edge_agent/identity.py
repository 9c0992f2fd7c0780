"""The agent's identity in its data directory: key pair and token before enrolling, node id and trust after it."""

from __future__ import annotations

import base64
import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_wire import credentials
from edge_wire.errors import AgentRunning, DirectoryNotWritable, NotEnrolled, SettingsInvalid
from edge_wire.private_files import write_private

_KEYS_FILE = "keys.json"
_IDENTITY_FILE = "identity.json"


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What the agent makes for itself before it asks anybody."""

    key_pem: bytes = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What enrolling gave."""

    node_id: str
    node_name: str
    cluster: str
    admin_urls: Sequence[str]
    ca_certificates: Sequence[bytes]
    certificate: bytes


def lock_data_dir(path: Path) -> int:
    """Take the directory for the life of this process. Raises AgentRunning, DirectoryNotWritable."""
    try:
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DirectoryNotWritable(
            f"{path / 'lock'} cannot be written ({error.strerror})", hint="set DATA_DIR to a directory of your own"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AgentRunning(f"another agent runs on {path}", hint="stop it first, or set another DATA_DIR") from None
    return descriptor


def load_or_make_keys(path: Path) -> Keys:
    """The key pair and token of this directory; made and on disk before anybody is asked anything."""
    keys_path = path / _KEYS_FILE
    if not keys_path.exists():
        from edge_wire import certificates  # an agent that is enrolled does without what it takes 9 MiB for

        made = {
            "key": certificates.key_pem(certificates.new_key()).decode(),
            "token": credentials.new_token("node"),
        }
        write_private(keys_path, json.dumps(made))
    stored = _read_json(keys_path)
    try:
        return Keys(key_pem=str(stored["key"]).encode(), token=str(stored["token"]))
    except (KeyError, TypeError):
        raise _damaged(keys_path) from None


def load_identity(path: Path) -> Identity | None:
    """What enrolling gave; None before it."""
    identity_path = path / _IDENTITY_FILE
    try:
        identity_path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(identity_path, error) from None
    stored = _read_json(identity_path)
    try:
        return Identity(
            node_id=stored["node_id"],
            node_name=stored["node_name"],
            cluster=stored["cluster"],
            admin_urls=stored["admin_urls"],
            ca_certificates=[base64.b64decode(text) for text in stored["ca_certificates"]],
            certificate=base64.b64decode(stored["certificate"]),
        )
    except (KeyError, TypeError, ValueError):
        raise _damaged(identity_path) from None


def require_identity(path: Path) -> Identity:
    """What enrolling gave. Raises NotEnrolled."""
    identity = load_identity(path)
    if identity is None:
        raise NotEnrolled(hint="edge-agent enroll --key-file FILE")
    return identity


def save_identity(path: Path, identity: Identity) -> None:
    """Replace what is known at once and durably."""
    stored = asdict(identity)
    stored["ca_certificates"] = [base64.b64encode(der).decode() for der in identity.ca_certificates]
    stored["certificate"] = base64.b64encode(identity.certificate).decode()
    stored["admin_urls"] = list(identity.admin_urls)
    write_private(path / _IDENTITY_FILE, json.dumps(stored, indent=2) + "\n")


def updated(
    identity: Identity, *, node_name: str, cluster: str, admin_urls: Sequence[str], ca_certificates: Sequence[bytes]
) -> Identity:
    """After a welcome: its lists replace what is known, but empty ones never do."""
    return replace(
        identity,
        node_name=node_name,
        cluster=cluster,
        admin_urls=list(admin_urls) or identity.admin_urls,
        ca_certificates=list(ca_certificates) or identity.ca_certificates,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text())
    except ValueError:
        raise _damaged(path) from None
    except OSError as error:
        raise _unreadable(path, error) from None
    if not isinstance(stored, dict):
        raise _damaged(path)
    return stored


def _unreadable(path: Path, error: OSError) -> SettingsInvalid:
    return SettingsInvalid(
        f"{path} cannot be read ({error.strerror})", hint="run it as who runs the agent, or set DATA_DIR"
    )


def _damaged(path: Path) -> SettingsInvalid:
    return SettingsInvalid(f"{path} is damaged", hint="move the data directory away and enroll the node anew")
