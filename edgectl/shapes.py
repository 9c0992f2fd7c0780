"""Protobuf messages as the JSON objects of the command line's contract: `schema`, full ids, RFC 3339 times."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from edge_wire.v1 import (
    admin_pb2,
    audit_pb2,
    cluster_pb2,
    command_pb2,
    enrollment_pb2,
    error_pb2,
    node_pb2,
    principal_pb2,
)

STARTED: dict[int, bool | str] = {
    error_pb2.STARTED_YES: True,
    error_pb2.STARTED_NO: False,
    error_pb2.STARTED_UNKNOWN: "unknown",
}


def time_of(message: Message, field: str) -> str | None:
    """A timestamp field as RFC 3339 in UTC; None when it is absent."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    return stamp.ToDatetime(tzinfo=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def word(enum: Any, value: int, prefix: str) -> str:
    """An enum value as its word: OUTCOME_TIMED_OUT is `timed_out`."""
    name: str = enum.Name(value)
    return name.removeprefix(prefix).lower()


def outcome_word(value: int) -> str:
    """The word of an outcome."""
    return word(command_pb2.Outcome, value, "OUTCOME_")


def node(message: node_pb2.Node) -> dict[str, Any]:
    """Schema `edgectl.node/v1`."""
    path = word(node_pb2.Path, message.path, "PATH_")
    facts = message.facts
    return {
        "schema": "edgectl.node/v1",
        "id": message.id,
        "name": message.name,
        "cluster": message.cluster,
        "labels": dict(sorted(message.labels.items())),
        "aliases": list(message.aliases),
        "status": word(node_pb2.NodeStatus, message.status, "NODE_STATUS_"),
        "path": None if path == "unspecified" else path,
        "last_seen": time_of(message, "last_seen_at"),
        "facts": {
            "hostname": facts.hostname,
            "os": facts.os,
            "kernel": facts.kernel,
            "arch": facts.arch,
            "cpu_count": facts.cpu_count,
            "memory_bytes": facts.memory_bytes,
            "boot_id": facts.boot_id,
        },
        "agent_version": message.agent_version,
        "enrolled_at": time_of(message, "enrolled_at"),
        "dns_name": message.dns_name,
        "clock_skew_ms": message.clock_skew_ms,
    }


def cluster(message: cluster_pb2.Cluster) -> dict[str, Any]:
    """Schema `edgectl.cluster/v1`."""
    return {
        "schema": "edgectl.cluster/v1",
        "id": message.id,
        "name": message.name,
        "node_count": message.node_count,
        "node_limit": message.node_limit if message.HasField("node_limit") else None,
        "created_at": time_of(message, "created_at"),
    }


def enrollment_key(message: enrollment_pb2.EnrollmentKey) -> dict[str, Any]:
    """Schema `edgectl.enroll_key/v1`."""
    return {
        "schema": "edgectl.enroll_key/v1",
        "id": message.id,
        "cluster": message.cluster,
        "uses_left": message.uses_left if message.HasField("uses_left") else None,
        "expires_at": time_of(message, "expires_at"),
        "labels": dict(sorted(message.labels.items())),
        "created_at": time_of(message, "created_at"),
        "last_used_at": time_of(message, "last_used_at"),
    }


def principal(message: principal_pb2.Principal) -> dict[str, Any]:
    """Schema `edgectl.token/v1`."""
    return {
        "schema": "edgectl.token/v1",
        "id": message.id,
        "name": message.name,
        "role": word(principal_pb2.Role, message.role, "ROLE_"),
        "clusters": list(message.clusters),
        "created_at": time_of(message, "created_at"),
        "expires_at": time_of(message, "expires_at"),
    }


def audit_entry(message: audit_pb2.AuditEntry) -> dict[str, Any]:
    """Schema `edgectl.audit/v1`."""
    return {
        "schema": "edgectl.audit/v1",
        "id": message.id,
        "time": time_of(message, "time"),
        "principal": {"id": message.principal_id, "name": message.principal_name},
        "action": message.action,
        "subject": {"id": message.subject_id, "name": message.subject_name},
        "cluster": message.cluster or None,
        "details": dict(sorted(message.details.items())),
        "request_id": message.request_id,
        "peer": message.peer,
    }


def admin_status(message: admin_pb2.AdminStatus) -> dict[str, Any]:
    """Schema `edgectl.admin/v1`."""
    return {
        "schema": "edgectl.admin/v1",
        "id": message.admin_id,
        "version": message.version,
        "started_at": time_of(message, "started_at"),
        "time": time_of(message, "time"),
        "database": message.database,
        "sessions": message.session_count,
        "nodes": message.node_count,
        "running_executions": message.running_execution_count,
        "admin_urls": list(message.admin_urls),
        "refused_credentials": message.refused_credential_count,
        "http_proxy": _proxy_port(message, "http_proxy"),
        "socks5_proxy": _proxy_port(message, "socks5_proxy"),
        "tunnels": [_node_tunnels(item) for item in message.tunnels],
    }


def _proxy_port(message: admin_pb2.AdminStatus, field: str) -> dict[str, Any] | None:
    if not message.HasField(field):  # type: ignore[arg-type]  # one of two names of fields
        return None
    port: admin_pb2.ProxyPort = getattr(message, field)
    return {"port": port.port, "tls": port.has_tls}


def _node_tunnels(message: admin_pb2.NodeTunnels) -> dict[str, Any]:
    return {
        "node": message.node_name,
        "node_id": message.node_id,
        "open": message.open_count,
        "opened": message.opened_count,
        "refused": dict(sorted(message.refused_counts.items())),
        "closed": dict(sorted(message.closed_counts.items())),
        "bytes_sent": message.sent_bytes,
        "bytes_received": message.received_bytes,
    }


def counts(message: command_pb2.OutcomeCounts) -> dict[str, int]:
    """How many executions ended how, every outcome named."""
    return {field.name: getattr(message, field.name) for field in command_pb2.OutcomeCounts.DESCRIPTOR.fields}


def end(message: command_pb2.ExecutionEnd) -> dict[str, Any]:
    """What an `end` event carries."""
    has_duration = message.HasField("duration")
    facts: dict[str, Any] = {
        "outcome": outcome_word(message.outcome),
        "started": STARTED.get(message.started, "unknown"),
        "exit_code": message.exit_code if message.HasField("exit_code") else None,
        "signal": message.signal or None,
        "duration_ms": message.duration.ToMilliseconds() if has_duration else None,
        "stdout_bytes": message.stdout_bytes,
        "stderr_bytes": message.stderr_bytes,
        "truncated": message.truncated,
        "output_held_open": message.output_held_open,
    }
    if message.error_code:
        facts["error"] = {"code": message.error_code, "message": message.error_message}
    return facts


def stop_reason(value: int) -> str | None:
    """Why a command was stopped before its time: `cancelled`, `max_errors`, `deadline`."""
    found = word(command_pb2.StopReason, value, "STOP_REASON_")
    return None if found == "unspecified" else found


def command(message: command_pb2.Command) -> dict[str, Any]:
    """Schema `edgectl.command/v1`."""
    spec = message.spec
    return {
        "schema": "edgectl.command/v1",
        "id": message.id,
        "name": spec.name or None,
        "argv": list(spec.argv.arguments) if spec.HasField("argv") else None,
        "shell": spec.shell if spec.HasField("shell") else None,
        "script": {"name": spec.script.name, "arguments": list(spec.script.arguments)}
        if spec.HasField("script")
        else None,
        "user": spec.user or None,
        "cwd": spec.working_directory or None,
        "environment": [variable.name for variable in spec.environment],
        "created_at": time_of(message, "created_at"),
        "finished_at": time_of(message, "finished_at"),
        "cancelled_at": time_of(message, "cancelled_at"),
        "stop_reason": stop_reason(message.stop_reason),
        "principal": {"id": message.principal_id, "name": message.principal_name},
        "counts": counts(message.counts),
    }


def execution(message: command_pb2.Execution) -> dict[str, Any]:
    """One element of `executions` in a shown command."""
    return {
        "id": message.id,
        "node": {"id": message.node_id, "name": message.node_name},
        "cluster": message.cluster,
        "state": word(command_pb2.ExecutionState, message.state, "EXECUTION_STATE_"),
        "queued_at": time_of(message, "queued_at"),
        "sent_at": time_of(message, "sent_at"),
        "started_at": time_of(message, "started_at"),
        "ended_at": time_of(message, "ended_at"),
        "corrected_at": time_of(message, "corrected_at"),
        **(end(message.end) if message.HasField("end") else {}),
    }
