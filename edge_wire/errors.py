"""The EdgeError family: class ↔ stable code ↔ gRPC status ↔ exit code, in one place.

The docstring of a class is its default message. Servicers and services raise these; the server's binder turns them
into a status and trailing metadata, `edge_wire.calls` rebuilds the same class on the other side, and `edgectl` prints
one line and exits with `exit_code`. Imports no gRPC: status is named by its gRPC name.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Started = Literal["no", "yes", "unknown"]


class EdgeError(Exception):
    """Something failed."""

    code: ClassVar[str] = "internal"
    status: ClassVar[str] = "INTERNAL"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str = "",
        started: Started = "no",
        request_id: str = "",
    ) -> None:
        self.message = message or default_message(type(self))
        self.hint = hint
        self.started = started
        self.request_id = request_id
        super().__init__(self.message)

    @property
    def may_be_repeated(self) -> bool:
        """Whether the same call may be made again: never when it is unknown whether something was started."""
        return self.retryable and self.started != "unknown"


def default_message(kind: type[EdgeError]) -> str:
    """The first line of the class's docstring, as a clause."""
    return (kind.__doc__ or "").strip().splitlines()[0].rstrip(".")


class Internal(EdgeError):
    """Internal error."""


# --- usage: exit 2 -----------------------------------------------------------------------------------------------


class InvalidValue(EdgeError):
    """A value is not acceptable."""

    code = "value_invalid"
    status = "INVALID_ARGUMENT"
    exit_code = 2


class UsageError(InvalidValue):
    """The command line is not understood."""

    code = "usage"


class Declined(UsageError):
    """The question was answered with no."""

    code = "declined"


class NameInvalid(InvalidValue):
    """A name must be a DNS label: lower-case letters, digits and inner dashes."""

    code = "name_invalid"


class LabelInvalid(InvalidValue):
    """A label is not acceptable."""

    code = "label_invalid"


class ArgvInvalid(InvalidValue):
    """The command to run is empty or too large."""

    code = "argv_invalid"


class SelectorEmpty(InvalidValue):
    """No node is selected: name nodes, or use --cluster or --all."""

    code = "selector_empty"


class SelectorInvalid(InvalidValue):
    """The selector is not understood."""

    code = "selector_invalid"


class ScriptInvalid(InvalidValue):
    """The script cannot be used."""

    code = "script_invalid"


class StdinTooLarge(InvalidValue):
    """More was brought to stdin than the admin keeps for nodes that have not taken it."""

    code = "stdin_too_large"


class NodeAmbiguous(InvalidValue):
    """The node reference fits several nodes."""

    code = "node_ambiguous"


class PageTokenInvalid(InvalidValue):
    """The page token is not one that this server gave out."""

    code = "page_token_invalid"


class TargetInvalid(InvalidValue):
    """A target is a port, or a host and a port."""

    code = "target_invalid"


class SshUserInvalid(InvalidValue):
    """The account for SSH is not acceptable."""

    code = "ssh_user_invalid"


class SshKeyInvalid(InvalidValue):
    """The public key is not one that can be used."""

    code = "ssh_key_invalid"


class SettingsInvalid(InvalidValue):
    """The settings are not usable."""

    code = "settings_invalid"


class SecretInvalid(InvalidValue):
    """The pasted key or login string is damaged or of another kind."""

    code = "secret_invalid"


class FrameInvalid(InvalidValue):
    """A message is not what the protocol allows."""

    code = "frame_invalid"


class MessageTooLarge(InvalidValue):
    """A message is larger than the other side accepts."""

    code = "message_too_large"
    status = "RESOURCE_EXHAUSTED"


class ProtocolUnsupported(EdgeError):
    """The two programs speak different major versions of the protocol."""

    code = "protocol_unsupported"
    status = "FAILED_PRECONDITION"
    exit_code = 2


# --- not found: exit 5 -------------------------------------------------------------------------------------------


class NotFound(EdgeError):
    """There is no such thing."""

    code = "not_found"
    status = "NOT_FOUND"
    exit_code = 5


class NodeNotFound(NotFound):
    """There is no such node."""

    code = "node_not_found"


class NodesNotMatched(NotFound):
    """The selector matched no node."""

    code = "nodes_not_matched"


class LabelUnknown(NotFound):
    """No node has such a label."""

    code = "label_unknown"


class AliasNotFound(NotFound):
    """The node has no such alias."""

    code = "alias_not_found"


class ClusterNotFound(NotFound):
    """There is no such cluster."""

    code = "cluster_not_found"


class EnrollmentKeyNotFound(NotFound):
    """There is no such enrollment key."""

    code = "enrollment_key_not_found"


class TokenNotFound(NotFound):
    """There is no such token."""

    code = "token_not_found"


class TunnelUnknown(NotFound):
    """Nobody waits for this tunnel."""

    code = "tunnel_unknown"


class SshUserNotFound(NotFound):
    """There is no such account for SSH."""

    code = "ssh_user_not_found"


class SshKeyNotFound(NotFound):
    """There is no such key."""

    code = "ssh_key_not_found"


class SshSessionNotFound(NotFound):
    """There is no such SSH session."""

    code = "ssh_session_not_found"


class SshRecordingNotFound(NotFound):
    """The node has no recording of this session."""

    code = "ssh_recording_not_found"


class CommandNotFound(NotFound):
    """There is no such command."""

    code = "command_not_found"


class ContextNotFound(NotFound):
    """There is no such context."""

    code = "context_not_found"


# --- who are you: exit 6 -----------------------------------------------------------------------------------------


class Unauthenticated(EdgeError):
    """The credential is missing, wrong, revoked or expired."""

    code = "unauthenticated"
    status = "UNAUTHENTICATED"
    exit_code = 6


class NotLoggedIn(Unauthenticated):
    """Not logged in."""

    code = "not_logged_in"


class CredentialExpired(Unauthenticated):
    """The credential has expired."""

    code = "credential_expired"


class CredentialUnreadable(Unauthenticated):
    """The stored credential cannot be read."""

    code = "credential_unreadable"


class EnrollmentKeyInvalid(Unauthenticated):
    """The enrollment key is not known here."""

    code = "enrollment_key_invalid"


class EnrollmentKeyExpired(Unauthenticated):
    """The enrollment key has expired."""

    code = "enrollment_key_expired"


class EnrollmentKeySpent(Unauthenticated):
    """The enrollment key has no uses left."""

    code = "enrollment_key_spent"


class EnrollmentProofInvalid(Unauthenticated):
    """The enrollment request does not prove possession of its key."""

    code = "enrollment_proof_invalid"


class AdminUntrusted(Unauthenticated):
    """The other side is not an admin of this installation."""

    code = "admin_untrusted"


# --- denied: exit 7 ----------------------------------------------------------------------------------------------


class Denied(EdgeError):
    """This credential may not do that."""

    code = "denied"
    status = "PERMISSION_DENIED"
    exit_code = 7


class ScopeDenied(Denied):
    """This credential is confined to other clusters."""

    code = "scope_denied"


class SshUserDenied(Denied):
    """The account for SSH is not good on this node."""

    code = "ssh_user_denied"


class TargetDenied(Denied):
    """The node's egress policy does not allow this target."""

    code = "target_denied"


# --- some node could not be asked, or its end is not known: exit 4 ------------------------------------------------


class NodeOffline(EdgeError):
    """The node is offline."""

    code = "node_offline"
    status = "UNAVAILABLE"
    exit_code = 4
    retryable = True


class NoContact(EdgeError):
    """The node's session is gone; what was started runs on."""

    code = "no_contact"
    status = "UNAVAILABLE"
    exit_code = 4


class ExecutionLost(EdgeError):
    """It may have started and its end cannot be known."""

    code = "execution_lost"
    status = "DATA_LOSS"
    exit_code = 4


class ExecutionExpired(EdgeError):
    """It was queued for too long and never started."""

    code = "execution_expired"
    status = "DEADLINE_EXCEEDED"
    exit_code = 4


class ExecutionDropped(EdgeError):
    """The node was deleted."""

    code = "execution_dropped"
    status = "ABORTED"
    exit_code = 4


class ExecutionNotStarted(EdgeError):
    """It was stopped before it started."""

    code = "execution_not_started"
    status = "ABORTED"
    exit_code = 8


class OutputIncomplete(EdgeError):
    """Some of the output is not to be had any more."""

    code = "output_incomplete"
    status = "DATA_LOSS"
    exit_code = 4


# --- something could not be copied: exit 3 ------------------------------------------------------------------------


class CopyFailed(EdgeError):
    """Something could not be copied."""

    code = "copy_failed"
    status = "FAILED_PRECONDITION"
    exit_code = 3


class CopyMismatch(CopyFailed):
    """What arrived is not what was sent."""

    code = "copy_mismatch"
    status = "DATA_LOSS"


class CopyUnchecked(CopyFailed):
    """The node can compute no checksum, so what arrived cannot be checked."""

    code = "copy_unchecked"


class CopyInterrupted(EdgeError):
    """The copy was interrupted."""

    code = "copy_interrupted"
    status = "CANCELLED"
    exit_code = 130


# --- try again: exit 9 -------------------------------------------------------------------------------------------


class Unavailable(EdgeError):
    """The admin cannot be reached."""

    code = "admin_unreachable"
    status = "UNAVAILABLE"
    exit_code = 9
    retryable = True


class ShuttingDown(Unavailable):
    """The admin is shutting down."""

    code = "shutting_down"


class DatabaseUnavailable(Unavailable):
    """The admin's database is down."""

    code = "database_unavailable"


class StorageFull(DatabaseUnavailable):
    """The disk of the admin's database is full."""

    code = "storage_full"
    status = "RESOURCE_EXHAUSTED"


class StreamBroken(Unavailable):
    """The connection ended before the last word."""

    code = "stream_broken"


class DeadlineExceeded(Unavailable):
    """The admin did not answer in time."""

    code = "deadline_exceeded"
    status = "DEADLINE_EXCEEDED"


class TooManyAttempts(Unavailable):
    """Too many failed attempts from this address; wait a minute."""

    code = "too_many_attempts"
    status = "RESOURCE_EXHAUSTED"


class NodeOnOtherAdmin(Unavailable):
    """The node's session is held by another admin."""

    code = "node_on_other_admin"
    status = "FAILED_PRECONDITION"


class JournalFull(Unavailable):
    """The node's journal is full."""

    code = "journal_full"
    status = "RESOURCE_EXHAUSTED"


class TargetUnreachable(Unavailable):
    """The node cannot reach the target."""

    code = "target_unreachable"
    retryable = False


class TargetRefused(TargetUnreachable):
    """The target refused the connection."""

    code = "target_refused"


class TargetTimedOut(TargetUnreachable):
    """The target did not answer in time."""

    code = "target_timed_out"


class TargetNotResolved(TargetUnreachable):
    """The node cannot resolve the target's name."""

    code = "target_not_resolved"


class TunnelUnsupported(Unavailable):
    """The node's agent is too old for tunnels."""

    code = "tunnel_unsupported"
    status = "UNIMPLEMENTED"
    retryable = False


class SshUnsupported(Unavailable):
    """The node has no SSH server."""

    code = "ssh_unsupported"
    status = "UNIMPLEMENTED"
    retryable = False


class TunnelIdle(Unavailable):
    """Nothing moved in the tunnel for too long."""

    code = "tunnel_idle"


class TunnelTooOld(Unavailable):
    """The tunnel was open for as long as tunnels may be."""

    code = "tunnel_too_old"


class TunnelLimitReached(Unavailable):
    """Too many tunnels are open."""

    code = "tunnel_limit_reached"


# --- conflict: exit 10 -------------------------------------------------------------------------------------------


class Conflict(EdgeError):
    """The current state does not allow that."""

    code = "conflict"
    status = "FAILED_PRECONDITION"
    exit_code = 10


class ClusterExists(Conflict):
    """A cluster of that name exists."""

    code = "cluster_exists"
    status = "ALREADY_EXISTS"


class ClusterNotEmpty(Conflict):
    """The cluster still has nodes."""

    code = "cluster_not_empty"


class NodeLimitReached(Conflict):
    """The cluster's node limit is reached."""

    code = "node_limit_reached"


class AliasExists(Conflict):
    """A node of that cluster has this alias."""

    code = "alias_exists"
    status = "ALREADY_EXISTS"


class SshUserExists(Conflict):
    """An account for SSH of that name exists."""

    code = "ssh_user_exists"
    status = "ALREADY_EXISTS"


class SshKeyExists(Conflict):
    """The account has this key, or one of that name."""

    code = "ssh_key_exists"
    status = "ALREADY_EXISTS"


class TokenExists(Conflict):
    """A token of that name exists."""

    code = "token_exists"
    status = "ALREADY_EXISTS"


class ContextExists(Conflict):
    """A context of that name exists."""

    code = "context_exists"


class IdentityInUse(Conflict):
    """Another machine uses this node's identity."""

    code = "identity_in_use"


class RequestIdReused(Conflict):
    """The request id belongs to another command."""

    code = "request_id_reused"


class CommandOpen(Conflict):
    """The command is not over."""

    code = "command_open"


class DatabaseInUse(Conflict):
    """Another admin uses this SQLite file."""

    code = "database_in_use"


class DatabaseDamaged(Conflict):
    """The database file is damaged or is none."""

    code = "database_damaged"


class DatabaseNewer(Conflict):
    """The database was written by a newer program that this one may not touch."""

    code = "database_newer"


class DatabaseNotMigrated(Conflict):
    """The database is older than this program."""

    code = "database_not_migrated"


class PortInUse(Conflict):
    """The port is in use."""

    code = "port_in_use"


class DirectoryNotWritable(Conflict):
    """The directory cannot be written."""

    code = "directory_not_writable"


class OutputNotWritable(Conflict):
    """Our own output cannot be written."""

    code = "output_not_writable"


class AlreadyEnrolled(Conflict):
    """This agent is enrolled already."""

    code = "already_enrolled"


class NotEnrolled(Conflict):
    """This agent is not enrolled."""

    code = "not_enrolled"


class AgentRunning(Conflict):
    """Another agent runs on this data directory."""

    code = "agent_running"


class DemoBusy(Conflict):
    """Another edgectl demo works in this directory."""

    code = "demo_busy"


class DemoFailed(EdgeError):
    """A process of the demo ended before it was ready."""

    code = "demo_failed"


class MethodUnimplemented(EdgeError):
    """The other side does not know this call."""

    code = "method_unimplemented"
    status = "UNIMPLEMENTED"
    exit_code = 1


EXECUTION_CODES: dict[str, str] = {
    "program_not_found": "The node has no such program.",
    "program_not_executable": "The node may not execute the program.",
    "argv_too_large": "The command is larger than the node's kernel takes.",
    "spawn_failed": "The node could not start a process.",
    "working_directory_not_found": "The working directory does not exist on the node, or is none.",
    "user_unknown": "The node has no such local account.",
    "user_denied": "An agent that is not root runs commands as its own account only.",
    "argv_invalid": "No kernel could run this.",
    "journal_full": "The node keeps as many results as it can until they are acknowledged.",
    "runner_died": "What owned the process on the node died.",
    "machine_rebooted": "The node was rebooted.",
    "unknown_to_node": "The node does not know the execution any more.",
    "node_offline": "The node had no session.",
    "node_deleted": "The node was deleted.",
    "cancelled": "The command was cancelled before this node's turn.",
    "max_errors": "Too many other executions had ended badly.",
    "deadline": "The whole command's time was over.",
}
"""Codes in the end of an execution: why it was not started, or ended oddly."""


def _family(root: type[EdgeError]) -> list[type[EdgeError]]:
    return [root, *(found for child in root.__subclasses__() for found in _family(child))]


BY_CODE: dict[str, type[EdgeError]] = {kind.code: kind for kind in _family(EdgeError) if kind is not EdgeError}
"""Every stable code with its class."""


def from_code(code: str, message: str, *, hint: str = "", started: Started = "no", request_id: str = "") -> EdgeError:
    """Rebuild an error that crossed the wire; an unknown code of a newer peer becomes its plain root class."""
    kind = BY_CODE.get(code, Internal)
    return kind(message, hint=hint, started=started, request_id=request_id)
