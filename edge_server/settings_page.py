"""Settings for people: `edge-server config show` and the page in the documentation."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from edge_server.settings import Settings


def show_settings(settings: Settings) -> str:
    """Every setting with its value and where it comes from; secrets stay hidden."""
    lines = []
    for name in Settings.model_fields:
        source = "environment" if name in settings.model_fields_set else "default"
        lines.append(f"{name.upper()}={_shown(getattr(settings, name))}  # {source}\n")
    return "".join(lines)


def describe() -> list[tuple[str, str, str]]:
    """Name, default and description of every setting."""
    return [(name.upper(), _default(name), str(field.description)) for name, field in Settings.model_fields.items()]


def _default(name: str) -> str:
    if name == "data_dir":
        return "`/var/lib/edge-server` (root) or `~/.local/state/edge-server`"
    default = Settings.model_fields[name].get_default()
    return "–" if default in (None, PydanticUndefined, "") else f"`{default}`"


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "(set)"
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return "" if value is None else str(value)
