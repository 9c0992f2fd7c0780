"""Enrolling: one call that makes a node of this agent. Asking again with the same key pair gives the same node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_agent import identity as identities
from edge_agent.facts import collect_facts
from edge_agent.identity import Identity
from edge_wire import calls, credentials
from edge_wire.channel import CROWDED_WITHIN, open_channel
from edge_wire.errors import AlreadyEnrolled, SecretInvalid, Unavailable
from edge_wire.names import is_alias
from edge_wire.v1 import enrollment_pb2, session_pb2, session_pb2_grpc
from edge_wire.version import PROGRAM


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the agent would like to be called."""

    alias: str = ""
    labels: Mapping[str, str]


async def enroll(data_dir: Path, key_text: str, wishes: Wishes) -> Identity:
    """Enroll this data directory and store what came of it.

    Raises SecretInvalid, AlreadyEnrolled, AdminUntrusted, Unavailable, EnrollmentKeyInvalid, EnrollmentKeyExpired,
    EnrollmentKeySpent, NodeLimitReached.
    """
    secret = credentials.decode_enrollment(key_text)
    known = identities.load_identity(data_dir)
    if known is not None and secret.ca_certificate not in known.ca_certificates:
        raise AlreadyEnrolled(
            f"this agent is {known.node_name} of another installation",
            hint="to move it, stop the agent, move its data directory away and enroll anew",
        )
    return keep(data_dir, await _ask(secret, _request(data_dir, secret, wishes)))


def keep(data_dir: Path, response: session_pb2.EnrollResponse) -> Identity:
    """Store who this agent is from now on."""
    identity = Identity(
        node_id=response.node_id,
        node_name=response.node_name,
        cluster=response.cluster,
        admin_urls=list(response.admin_urls),
        ca_certificates=list(response.ca_certificates),
        certificate=response.certificate,
    )
    identities.save_identity(data_dir, identity)
    return identity


def describe_refused_wish(wishes: Wishes, identity: Identity) -> str:
    """What to say when the node is called otherwise than it wished; empty when there is nothing to say."""
    if wishes.alias in {"", identity.node_name}:
        return ""
    return (
        f"the name {wishes.alias} is taken, or this agent was enrolled before:"
        f" edgectl node alias {identity.node_id} NAME gives another"
    )


def read_key_file(path: Path) -> str:
    """An enrollment key from a file. Raises SecretInvalid."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretInvalid(f"the enrollment key cannot be read from {path} ({error})") from None


def _request(data_dir: Path, secret: enrollment_pb2.EnrollmentSecret, wishes: Wishes) -> session_pb2.EnrollRequest:
    from edge_wire import certificates  # needed once in the life of an agent

    keys = identities.load_or_make_keys(data_dir)
    key = certificates.load_key(keys.key_pem)
    token_hash = credentials.hash_token(keys.token)
    certificate_request = certificates.new_certificate_request(key)
    facts = collect_facts()
    host = facts.hostname.partition(".")[0].lower()
    return session_pb2.EnrollRequest(
        key_id=secret.key_id,
        nonce=secret.nonce,
        certificate_request=certificate_request,
        token_hash=token_hash,
        signature=certificates.sign_enrollment(
            key, nonce=secret.nonce, token_hash=token_hash, certificate_request=certificate_request
        ),
        facts=facts,
        agent_version=PROGRAM,
        alias=wishes.alias or (host if is_alias(host) else ""),
        labels=wishes.labels,
    )


async def _ask(
    secret: enrollment_pb2.EnrollmentSecret, request: session_pb2.EnrollRequest
) -> session_pb2.EnrollResponse:
    """The first admin that answers decides; only silence goes on to the next."""
    failure = Unavailable("the enrollment key names no admin")
    for url in secret.admin_urls:
        channel = open_channel(url, [secret.ca_certificate], connect_within=CROWDED_WITHIN)
        try:
            return await calls.call(session_pb2_grpc.NodeGateStub(channel).Enroll, request)
        except Unavailable as error:
            if type(error) is not Unavailable:
                raise  # an admin answered, and what it said is more than that it is there
            failure = Unavailable(f"{url}: {error.message}", hint="check that this machine reaches that address")
        finally:
            await channel.close()
    raise failure
