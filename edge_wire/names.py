"""Names and labels: what is allowed, and the DNS form of a node."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from edge_wire.errors import LabelInvalid, NameInvalid

DOMAIN = "nm.internal"
"""Default DNS domain of the VPN networks."""

CLUSTER_NAME_LIMIT = 24
ALIAS_LIMIT = 63
LABEL_LIMIT = 32
"""Labels of one node or key."""

AGENT_LABEL_PREFIX = "node/"
"""Labels that an agent sends of itself live under this prefix."""

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_LOOKS_LIKE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9._:/@+-]{0,128}")


def check_cluster_name(name: str) -> str:
    """Return the name of a cluster, or raise NameInvalid."""
    if len(name) > CLUSTER_NAME_LIMIT or not _DNS_LABEL.fullmatch(name):
        raise NameInvalid(
            f"{quoted(name)} is not a cluster name: at most {CLUSTER_NAME_LIMIT} lower-case letters,"
            " digits and inner dashes"
        )
    return name


def check_alias(name: str, what: str = "an alias") -> str:
    """Return the alias of a node, or something else that is named by the same rule, or raise NameInvalid."""
    if not is_alias(name):
        raise NameInvalid(
            f"{quoted(name)} is not {what}: at most {ALIAS_LIMIT} lower-case letters, digits and inner dashes,"
            " not beginning with node- and not looking like an id"
        )
    return name


def is_alias(name: str) -> bool:
    """Whether a node may be called this."""
    fits = len(name) <= ALIAS_LIMIT and _DNS_LABEL.fullmatch(name) is not None
    return fits and not name.startswith("node-") and not _LOOKS_LIKE_ID.fullmatch(name)


def check_labels(labels: Mapping[str, str], *, agent: bool = False) -> dict[str, str]:
    """Return labels in their stored form, or raise LabelInvalid; an agent's own get their prefix here."""
    if len(labels) > LABEL_LIMIT:
        raise LabelInvalid(f"{len(labels)} labels are too many: at most {LABEL_LIMIT}")
    for name, value in labels.items():
        _check_label(name, value, agent=agent)
    return {f"{AGENT_LABEL_PREFIX}{name}" if agent else name: value for name, value in labels.items()}


def _check_label(name: str, value: str, *, agent: bool) -> None:
    if not _LABEL_NAME.fullmatch(name):
        raise LabelInvalid(
            f"{quoted(name)} is not a label name: at most 63 letters, digits and inner '.', '_', '/', '-'"
        )
    if not _LABEL_VALUE.fullmatch(value):
        raise LabelInvalid(
            f"{quoted(value)} is not a label value: at most 128 letters, digits and '.', '_', ':', '/', '@', '+', '-'"
        )
    if not agent and name.startswith(AGENT_LABEL_PREFIX):
        raise LabelInvalid(f"label {name}: the prefix {AGENT_LABEL_PREFIX} belongs to what agents say of themselves")


def node_name(node_id: str, first_alias: str | None) -> str:
    """What a node is called: its first alias, else `node-{id}`."""
    return first_alias or f"node-{node_id}"


def dns_name(*, node_id: str, first_alias: str | None, cluster: str, domain: str = DOMAIN) -> str:
    """The DNS form, accepted everywhere a node is named."""
    return f"node-{first_alias or node_id}.cluster-{cluster}.{domain}"


def host_and_port(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_dns_form(host: str, domain: str = DOMAIN) -> bool:
    """Whether a host names a node in its DNS form, however it is spelled otherwise."""
    first, _, rest = host.lower().removesuffix(".").partition(".")
    is_of_cluster = rest.startswith("cluster-")
    return is_of_cluster and (first.startswith("node-") or rest.endswith(f".{domain}"))


def printable(text: str, limit: int = 200) -> str:
    """Untrusted text as one safe line: control and format characters are made visible, the rest is cut at `limit`."""
    shown = text[:limit]
    if not (shown.isascii() and shown.isprintable()):  # as almost all text is
        shown = "".join(_visible(character) for character in shown)
    return shown if len(text) <= limit else f"{shown}…"


def quoted(text: str) -> str:
    """Untrusted text in a sentence. Not `repr` of what was made printable: that would double each backslash."""
    return f"'{printable(text)}'"


def bounded(text: str, limit: int) -> str:
    """As `printable`, and at most `limit` characters long when all is made visible: for columns of that width."""
    if not text:
        return text
    shown = printable(text, limit)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def is_storable(text: str) -> bool:
    """Whether a database could hold this text at all; what it cannot hold is in none of its rows."""
    return "\0" not in text


def _visible(character: str) -> str:
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return character.encode("unicode_escape").decode("ascii")
    return character
