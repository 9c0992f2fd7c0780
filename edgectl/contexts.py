"""Contexts: which installation, reached where, trusted how. No secrets in here; they are in `edgectl.secret_store`."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from edge_wire.errors import ContextNotFound, InvalidValue, NotLoggedIn
from edge_wire.names import quoted
from edge_wire.private_files import write_private
from edgectl.completion import cache

StoreKind = Literal["keyring", "file"]


@dataclass(frozen=True, kw_only=True)
class Context:
    """One installation as this user reaches it."""

    name: str
    admin_urls: Sequence[str]
    ca_certificate: bytes
    store: StoreKind
    credential_file: str = ""
    """Where the credential is when `store` is `file`."""


@dataclass(frozen=True, kw_only=True)
class Contexts:
    """Everything in the file."""

    current: str = ""
    by_name: Mapping[str, Context] = field(default_factory=dict)


def config_dir() -> Path:
    """Where edgectl keeps its configuration."""
    chosen = os.environ.get("EDGECTL_CONFIG_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "edgectl"


def config_file() -> Path:
    """The file with all contexts."""
    return config_dir() / "config.json"


def load_contexts() -> Contexts:
    """Read the file; a missing one is an empty one. Raises InvalidValue when it is damaged."""
    try:
        stored = json.loads(config_file().read_text())
        by_name = {name: _from_json(name, item) for name, item in stored["contexts"].items()}
        return Contexts(current=str(stored.get("current", "")), by_name=by_name)
    except FileNotFoundError:
        return Contexts()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidValue(f"{config_file()} is damaged", hint="move it away and log in again") from None


def find_context(flag: str | None) -> Context:
    """The context of this call: flag, EDGECTL_CONTEXT, or the current one. Raises NotLoggedIn, ContextNotFound."""
    contexts = load_contexts()
    name = flag or os.environ.get("EDGECTL_CONTEXT") or contexts.current
    if not name:
        raise NotLoggedIn(hint="edgectl login, or edgectl demo up for a fleet on this machine")
    return require_context(contexts, name)


def require_context(contexts: Contexts, name: str) -> Context:
    """One context by name. Raises ContextNotFound."""
    if name not in contexts.by_name:
        raise ContextNotFound(f"there is no context {quoted(name)}", hint="edgectl context list")
    return contexts.by_name[name]


def save_context(context: Context, *, make_current: bool) -> None:
    """Add or replace one; it becomes current when asked, or when there is no other."""
    contexts = load_contexts()
    known = {**contexts.by_name, context.name: context}
    is_first = contexts.current not in contexts.by_name
    current = context.name if make_current or is_first else contexts.current
    _save(Contexts(current=current, by_name=known))


def use_context(name: str) -> None:
    """Make one current. Raises ContextNotFound."""
    contexts = load_contexts()
    require_context(contexts, name)
    _save(replace(contexts, current=name))


def remove_context(name: str) -> None:
    """Take one out, with what completion keeps of it. Raises ContextNotFound."""
    contexts = load_contexts()
    require_context(contexts, name)
    rest = {key: item for key, item in contexts.by_name.items() if key != name}
    current = "" if contexts.current == name else contexts.current
    _save(Contexts(current=current, by_name=rest))
    cache.forget(name)


def _save(contexts: Contexts) -> None:
    stored = {
        "current": contexts.current,
        "contexts": {name: _to_json(item) for name, item in contexts.by_name.items()},
    }
    write_private(config_file(), json.dumps(stored, indent=2) + "\n")


def _to_json(context: Context) -> dict[str, Any]:
    return {
        "admin_urls": list(context.admin_urls),
        "ca_certificate": base64.b64encode(context.ca_certificate).decode(),
        "store": context.store,
        "credential_file": context.credential_file,
    }


def _from_json(name: str, item: Mapping[str, Any]) -> Context:
    return Context(
        name=name,
        admin_urls=list(item["admin_urls"]),
        ca_certificate=base64.b64decode(item["ca_certificate"]),
        store=item["store"],
        credential_file=item.get("credential_file", ""),
    )
