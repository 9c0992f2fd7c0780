"""SSH between domain and protobuf. What nodes send is bounded here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from edge_server.nodes.domain import NodeIdentity
from edge_server.ssh.accounts import NewKey, NewUser, User, wanted_of
from edge_server.ssh.admissions import Host
from edge_server.ssh.domain import LIST_LIMIT, Deeds, Login, NodesWanted, Proof, is_account_name
from edge_server.ssh.logins import Question
from edge_server.ssh.models import SshKeyRow, SshSessionRow
from edge_server.ssh.records import Ended, Failed, Report, Started
from edge_wire.errors import SelectorInvalid
from edge_wire.names import bounded
from edge_wire.timestamps import from_duration, to_duration, to_timestamp
from edge_wire.v1 import selector_pb2
from edge_wire.v1 import ssh_pb2 as pb

_TEXT_LIMIT = 1024
_LARGEST_COUNT = 2**62


def to_user(user: User) -> pb.SshUser:
    """For the wire."""
    row, wanted = user.row, wanted_of(user.row)
    return pb.SshUser(
        name=row.name,
        nodes=selector_pb2.Selector(
            nodes=wanted.nodes, clusters=wanted.clusters, labels=wanted.labels, exclude=wanted.exclude
        ),
        local_account=row.local_account,
        has_password=row.password_hash is not None,
        created_at=to_timestamp(row.created_at),
        expires_at=to_timestamp(row.expires_at),
        created_by=row.created_by,
        key_count=user.key_count,
    )


def to_key(user: str, row: SshKeyRow) -> pb.SshKey:
    """For the wire."""
    return pb.SshKey(
        user=user,
        name=row.name,
        public_key=row.public_key,
        fingerprint=row.fingerprint,
        sources=row.sources,
        created_at=to_timestamp(row.created_at),
        expires_at=to_timestamp(row.expires_at),
    )


def to_host(host: Host) -> pb.SshHost:
    """For the wire."""
    return pb.SshHost(
        node_id=host.node.id,
        node_name=host.node.name,
        cluster=host.node.cluster_name,
        dns_name=host.dns_name,
        host_keys=host.host_keys,
    )


def to_session(row: SshSessionRow) -> pb.SshSession:
    """For the wire."""
    return pb.SshSession(
        id=row.id,
        node_id=row.node_id,
        node_name=row.node_name,
        cluster=row.cluster_name,
        principal=row.principal_name,
        address=row.address,
        user=row.user_name,
        local_account=row.local_account,
        method=row.method,
        fingerprint=row.fingerprint,
        started_at=to_timestamp(row.started_at),
        ended_at=to_timestamp(row.ended_at),
        outcome=row.outcome,
        deeds=pb.SshDeeds(bytes_received=row.bytes_received, bytes_sent=row.bytes_sent, **row.deeds),
        has_recording=row.has_recording,
    )


def from_new_user(request: pb.CreateSshUserRequest) -> NewUser:
    """From the wire. Raises SelectorInvalid."""
    selector = request.nodes
    if selector.online or selector.pick:
        raise SelectorInvalid("an account is good on nodes by name, cluster or label, not by what they do just now")
    wanted = NodesWanted(
        nodes=list(selector.nodes),
        clusters=list(dict.fromkeys(selector.clusters)),
        labels=list(selector.labels),
        exclude=list(selector.exclude),
    )
    return NewUser(
        name=request.name,
        wanted=wanted,
        local_account=request.local_account,
        password=request.password,
        expires_in=_span(request),
    )


def from_new_key(request: pb.CreateSshKeyRequest) -> NewKey:
    """From the wire."""
    return NewKey(
        user=request.user,
        name=request.name,
        public_key=request.public_key,
        sources=list(request.sources),
        expires_in=_span(request),
    )


def from_question(node: NodeIdentity, question: pb.SshQuestion) -> Question:
    """From a node."""
    is_password = question.WhichOneof("proof") == "password"
    return Question(
        node=node,
        user=question.user[:255],
        principal=question.origin.principal,
        address=question.origin.address[:64],
        proof=Proof.PASSWORD if is_password else Proof.PUBLIC_KEY,
        key=question.public_key,
        password=question.password,
    )


def to_answer(question_id: str, login: Login | None, now: datetime) -> pb.SshAnswer:
    """For the node."""
    if login is None:
        return pb.SshAnswer(question_id=question_id)
    return pb.SshAnswer(
        question_id=question_id,
        is_verified=True,
        local_account=login.local_account,
        credential_id=login.credential_id,
        valid_for=to_duration(login.expires_at - now) if login.expires_at is not None else None,
    )


def from_report(report: pb.SshReport) -> Report | None:
    """From a node; None for what a newer one may say."""
    kind = report.WhichOneof("report")
    if kind == "started":
        return _started(report.started)
    if kind == "ended":
        ended = report.ended
        return Ended(
            session_id=ended.session_id[:64],
            outcome=ended.outcome,
            deeds=_deeds(ended.deeds),
            has_recording=ended.has_recording,
        )
    if kind == "failed":
        failed = report.failed
        return Failed(address=failed.origin.address, user=failed.user, reason=failed.reason, count=failed.count)
    return None


def account(name: str) -> str:
    """The account that an agent says it runs as; empty for what could not be one."""
    return name if is_account_name(name) else ""


def _started(started: pb.SshSessionStarted) -> Started:
    return Started(
        session_id=started.session_id[:64],
        principal=started.origin.principal,
        address=started.origin.address,
        user=started.user,
        local_account=started.local_account,
        method=started.method,
        fingerprint=started.fingerprint,
        credential_id=started.credential_id,
    )


def _deeds(deeds: pb.SshDeeds) -> Deeds:
    is_cut = deeds.is_cut or max(len(deeds.programs), len(deeds.forwardings)) > LIST_LIMIT
    return Deeds(
        programs=_texts(deeds.programs),
        forwardings=_texts(deeds.forwardings),
        is_cut=is_cut,
        bytes_received=min(deeds.bytes_received, _LARGEST_COUNT),
        bytes_sent=min(deeds.bytes_sent, _LARGEST_COUNT),
    )


def _texts(texts: Iterable[str]) -> list[str]:
    return [bounded(text, _TEXT_LIMIT) for text in list(texts)[:LIST_LIMIT]]


def _span(request: pb.CreateSshUserRequest | pb.CreateSshKeyRequest) -> timedelta | None:
    return from_duration(request.expires_in) if request.HasField("expires_in") else None
