# mypy: disable-error-code="attr-defined,misc"
"""The messages of a login (RFC 4252), server's side; whose proofs are valid is decided elsewhere.

The stubs of paramiko leave out what is not public, and this needs some of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paramiko.auth_handler import AuthHandler
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, MSG_SERVICE_REQUEST, MSG_USERAUTH_REQUEST
from paramiko.message import Message

from edge_agent.ssh import algorithms

if TYPE_CHECKING:
    from edge_agent.ssh.transport import Transport

_KEY_LIMIT = 16 * 1024
"""Bytes of a public key."""


class LoginExchange(AuthHandler):
    """Keys and passwords. What is no proof at all is not counted once; too many failures end the connection."""

    transport: Transport

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._failures = 0
        self._has_asked_for_methods = False

    @property
    def _server_handler_table(self) -> dict[int, Any]:
        return {
            MSG_SERVICE_REQUEST: self._parse_service_request,
            MSG_USERAUTH_REQUEST: self._parse_userauth_request,
        }

    def _parse_userauth_request(self, m: Message) -> None:
        user, _, method = m.get_text(), m.get_text(), m.get_text()
        if method == "publickey" and not self.authenticated and not self._is_a_key(m):
            # paramiko would end the connection, and with it the keys that the client offers next.
            self._send_auth_result(user, method, AUTH_FAILED)
            return
        m.rewind()
        super()._parse_userauth_request(m)

    def _is_a_key(self, m: Message) -> bool:
        m.get_boolean()
        algorithm, blob = m.get_text(), m.get_string()
        if algorithm not in algorithms.USER_KEYS or len(blob) > _KEY_LIMIT:
            return False
        try:
            return self._generate_key_from_request(algorithm, blob) is not None
        except Exception:  # whatever the libraries make of bytes that a client chose
            return False

    def _send_auth_result(self, username: str, method: str, result: int) -> None:
        if result == AUTH_SUCCESSFUL and not self.transport.owner.logged_in(username, method):
            self._disconnect_no_more_auth()
            return
        if result != AUTH_SUCCESSFUL:
            self._count_failure(method)
        else:
            self.transport.packetizer.may_send_much = True
        self.auth_fail_count = 0  # we count
        super()._send_auth_result(username, method, result)
        if self._failures >= self.transport.attempts:
            self._disconnect_no_more_auth()

    def _count_failure(self, method: str) -> None:
        if method == "none" and not self._has_asked_for_methods:
            self._has_asked_for_methods = True
            return
        self._failures += 1
        self.transport.owner.proof_failed()
