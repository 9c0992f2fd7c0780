"""Accounts, keys and sessions of SSH as the JSON objects of the command line's contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_wire.v1 import ssh_pb2
from edgectl.shapes import time_of


def user(message: ssh_pb2.SshUser) -> dict[str, Any]:
    """Schema `edgectl.ssh_user/v1`."""
    nodes = message.nodes
    return {
        "schema": "edgectl.ssh_user/v1",
        "name": message.name,
        "nodes": {
            "nodes": list(nodes.nodes),
            "clusters": list(nodes.clusters),
            "labels": list(nodes.labels),
            "exclude": list(nodes.exclude),
        },
        "local_account": message.local_account,
        "has_password": message.has_password,
        "key_count": message.key_count,
        "created_at": time_of(message, "created_at"),
        "created_by": message.created_by,
        "expires_at": time_of(message, "expires_at"),
    }


def selector_text(row: Mapping[str, Any]) -> str:
    """The nodes of an account in a table."""
    nodes = row["nodes"]
    parts = [*nodes["nodes"], *(f"--cluster {name}" for name in nodes["clusters"])]
    parts += [f"-l {label}" for label in nodes["labels"]] + [f"-x {text}" for text in nodes["exclude"]]
    return " ".join(parts) or "all"


def key(message: ssh_pb2.SshKey) -> dict[str, Any]:
    """Schema `edgectl.ssh_key/v1`."""
    return {
        "schema": "edgectl.ssh_key/v1",
        "user": message.user,
        "name": message.name,
        "public_key": message.public_key,
        "fingerprint": message.fingerprint,
        "from": list(message.sources),
        "created_at": time_of(message, "created_at"),
        "expires_at": time_of(message, "expires_at"),
    }


def session(message: ssh_pb2.SshSession) -> dict[str, Any]:
    """Schema `edgectl.ssh_session/v1`."""
    return {
        "schema": "edgectl.ssh_session/v1",
        "id": message.id,
        "node": {"id": message.node_id, "name": message.node_name},
        "cluster": message.cluster,
        "principal": message.principal or None,
        "address": message.address,
        "user": message.user,
        "local_account": message.local_account,
        "method": message.method,
        "fingerprint": message.fingerprint or None,
        "started_at": time_of(message, "started_at"),
        "ended_at": time_of(message, "ended_at"),
        "outcome": message.outcome,
        "programs": list(message.deeds.programs),
        "forwardings": list(message.deeds.forwardings),
        "is_cut": message.deeds.is_cut,
        "bytes_received": message.deeds.bytes_received,
        "bytes_sent": message.deeds.bytes_sent,
        "has_recording": message.has_recording,
    }
