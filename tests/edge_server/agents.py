"""An agent's half of enrolling, for tests of the admin's half."""

from __future__ import annotations

from edge_server.enrollment.domain import EnrollmentKey
from edge_server.enrollment.service import Application
from edge_wire import certificates
from edge_wire.credentials import hash_token


class Agent:
    """An agent's half of enrolling: one key pair, one token."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.key = certificates.new_key()

    def application(
        self, made: tuple[EnrollmentKey, bytes], *, alias: str = "", version: str = "0.1.0", token: str = ""
    ) -> Application:
        key, nonce = made
        token_hash = hash_token(token or self.token)
        request = certificates.new_certificate_request(self.key)
        proof = certificates.sign_enrollment(self.key, nonce=nonce, token_hash=token_hash, certificate_request=request)
        return Application(
            key_id=key.id,
            nonce=nonce,
            certificate_request=request,
            token_hash=token_hash,
            signature=proof,
            facts={"hostname": "web"},
            agent_version=version,
            alias=alias,
            labels={"rack": "7"},
        )
