"""Settings of the agent: the only reader of its environment, read once at start. No framework: a node stays small."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from edge_agent.ssh.settings import DEFAULT_ENVIRONMENT
from edge_agent.vpn_addresses import is_vpn_address
from edge_wire.channel import target_of
from edge_wire.egress_rules import Rule, parse_rule
from edge_wire.errors import EdgeError, SettingsInvalid
from edge_wire.listener import ListenAddress, parse_listen
from edge_wire.names import check_alias, check_labels

_SMALLEST_SECRET = 16
_VARIABLE = re.compile(r"[A-Za-z_*][A-Za-z0-9_*]*")


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """`/var/lib/edge-agent` for root, the user's state directory for others."""
    if os.geteuid() == 0:
        return Path("/var/lib/edge-agent")
    state = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(state) / "edge-agent"


def _setting(
    default: Any, description: str, read: Callable[[str], Any], shown: str = "", *, is_secret: bool = False
) -> Any:
    metadata = {"description": description, "read": read, "shown": shown}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata, repr=not is_secret)


def _urls(text: str) -> list[str]:
    urls = [part.strip() for part in text.split(",") if part.strip()]
    for url in urls:
        target_of(url)
    return urls


def _labels(text: str) -> dict[str, str]:
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    if any(not separator for _, separator, _ in pairs):
        raise ValueError("must be name=value, separated by commas")
    labels = {name: value for name, _, value in pairs}
    check_labels(labels, agent=True)
    return labels


def _rules(text: str) -> list[Rule]:
    return [parse_rule(part.strip()) for part in text.split(",") if part.strip()]


def _names(text: str) -> list[str]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    if any(not _VARIABLE.fullmatch(name) for name in names):
        raise ValueError("must be names of variables, separated by commas")
    return names


def _secret(text: str) -> str:
    if len(text) < _SMALLEST_SECRET:
        raise ValueError(f"is shorter than {_SMALLEST_SECRET} characters")
    return text


def _between(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return read


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text

    return read


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set, by environment variable of the same name in capitals."""

    data_dir: Path = _setting(
        Path(),
        "Where the agent keeps its identity, its journal and its runner. Mode 0700.",
        Path,
        "`/var/lib/edge-agent` (root) or `~/.local/state/edge-agent`",
    )
    enrollment_key_file: Path | None = _setting(
        None, "File with an enrollment key; read at start while the agent is not enrolled.", Path
    )
    enrollment_key: str = _setting(
        "", "The enrollment key itself. A file is better: environments are easy to read.", str, is_secret=True
    )
    fallback_admin_urls: list[str] = _setting(
        [], "More places to find an admin, `https://host:port`, separated by commas.", _urls
    )
    execution_concurrency: int = _setting(16, "How many commands run at once; more wait.", _between(1, 4096))
    spool_bytes: int = _setting(
        64 * 1024 * 1024,
        "Bytes of output of one command that are kept on the node until they are delivered: of each stream the first"
        " quarter of this and the last quarter. The stream that fills its first quarter first has most of what the"
        " other one leaves, so that of a program that writes one stream seven eighths are kept. What does not fit"
        " becomes a gap, except with one node named outright, whose program waits.",
        _between(256 * 1024, 2**40),
    )
    egress_allow: list[Rule] = _setting(
        [],
        "What this node dials for others although it is denied by default, separated by commas: an address,"
        " `ADDRESS/BITS`, a name or `*.NAME`, each with `:PORT` or without, or `:PORT` alone for a port of the node.",
        _rules,
    )
    egress_deny: list[Rule] = _setting(
        [], "What this node never dials for others, in the same form; wins over EGRESS_ALLOW.", _rules
    )
    http_proxy_listen: ListenAddress | None = _setting(
        None, "`ADDRESS:PORT` of this node's own HTTP proxy, usually port 43128. Default: it has none.", parse_listen
    )
    socks5_proxy_listen: ListenAddress | None = _setting(
        None, "`ADDRESS:PORT` of this node's own SOCKS5 proxy, usually port 41080. Default: it has none.", parse_listen
    )
    proxy_password: str = _setting(
        "",
        "Password of both, for the user `_`. Default: the one in DATA_DIR/proxy-password, made at first start.",
        _secret,
        is_secret=True,
    )
    proxy_any_address: str = _setting(
        "no",
        "`yes`: the proxies may listen off loopback, where others can read what is sent to them.",
        _one_of("yes", "no"),
    )
    ssh_server: str = _setting(
        "on",
        "`on`: tunnels of operators reach this node's embedded SSH server; `off`: it has none.",
        _one_of("on", "off"),
    )
    ssh_listen: ListenAddress | None = _setting(
        None,
        "`ADDRESS:PORT`, usually port 40022, where the SSH server listens too: loopback or an address of this node's"
        " VPN. Default: only tunnels reach it.",
        parse_listen,
    )
    ssh_environment: list[str] = _setting(
        list(DEFAULT_ENVIRONMENT),
        "Variables that SSH clients may set, separated by commas; `*` stands for anything.",
        _names,
        "`LANG,LC_*,COLORTERM,EDITOR,TZ,GIT_PROTOCOL`",
    )
    ssh_record: str = _setting(
        "no",
        "`yes`: what terminals of SSH sessions show is recorded on the node, for `edgectl ssh-session play`.",
        _one_of("yes", "no"),
    )
    ssh_offline_grace: int = _setting(
        0,
        "Seconds for which a key that an admin has verified lets in again while no admin can be asked; 0: no admin, no"
        " login. Passwords never.",
        _between(0, 604_800),
    )
    ssh_max_sessions: int = _setting(64, "How many SSH connections there may be at once.", _between(1, 1000))
    node_alias: str = _setting("", "Name to ask for when enrolling. Default: the host name.", check_alias)
    node_labels: dict[str, str] = _setting(
        {}, "The node's own labels, `name=value` separated by commas; they appear under `node/`.", _labels
    )
    log_format: str = _setting(
        "auto", "`text`, `json`, or `auto`: text on a terminal, else JSON.", _one_of("auto", "text", "json")
    )
    log_level: str = _setting("info", "Least level logged.", _one_of("debug", "info", "warning", "error"))


HIDDEN = frozenset(item.name.upper() for item in fields(Settings)) | {"GRPC_VERBOSITY"}
"""Variables that commands must not see."""


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the environment. Raises SettingsInvalid with one line per mistake."""
    values: dict[str, Any] = {"data_dir": default_data_dir(environ)}
    mistakes = []
    for item in fields(Settings):
        text = environ.get(item.name.upper(), "").strip()
        if not text:
            continue
        try:
            values[item.name] = item.metadata["read"](text)
        except (ValueError, EdgeError) as error:
            mistakes.append(f"{item.name.upper()}: {error}")
    settings = Settings(**values)
    mistakes += _mistakes_together(settings)
    if mistakes:
        raise SettingsInvalid("\n".join(mistakes))
    return settings


def _mistakes_together(settings: Settings) -> list[str]:
    listens = {"HTTP_PROXY_LISTEN": settings.http_proxy_listen, "SOCKS5_PROXY_LISTEN": settings.socks5_proxy_listen}
    mistakes = [
        f"{name}: {address} is not loopback; PROXY_ANY_ADDRESS=yes allows it"
        for name, address in listens.items()
        if address is not None and not address.is_loopback and settings.proxy_any_address != "yes"
    ]
    ssh = settings.ssh_listen
    if ssh is not None and not ssh.is_loopback and not is_vpn_address(ssh.host):
        mistakes.append(f"SSH_LISTEN: {ssh} is neither loopback nor an address of this node's VPN")
    return mistakes


def given_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """What was given, without secrets and without what only enrolling needs; for a service that gets the same."""
    names = {item.name.upper() for item in fields(Settings) if item.repr}
    names -= {"DATA_DIR", "ENROLLMENT_KEY_FILE", "NODE_ALIAS"}
    return {name: environ[name] for name in sorted(names) if environ.get(name, "").strip()}


def describe() -> list[tuple[str, str, str]]:
    """Name, default and description of every setting."""
    rows = []
    for item in fields(Settings):
        default = item.metadata["shown"] or (f"`{item.default}`" if isinstance(item.default, (int, str)) else "")
        rows.append((item.name.upper(), "–" if default in {"", "``"} else default, item.metadata["description"]))
    return rows
