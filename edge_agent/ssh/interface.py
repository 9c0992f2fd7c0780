"""What a client may ask of a connection, in paramiko's words. Called in the transport's thread.

Numbers and texts come from the client; what does not make sense is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import paramiko
from paramiko.channel import Channel
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_FAILED_RESOURCE_SHORTAGE,
    OPEN_SUCCEEDED,
)
from paramiko.message import Message
from paramiko.pkey import PKey

from edge_agent.ssh.programs import TerminalRequest

if TYPE_CHECKING:
    from edge_agent.ssh.connection import Connection

_EXTENT_LIMIT = 65_535
"""Columns or rows that the kernel takes."""


class Interface(paramiko.ServerInterface):
    """The requests of one client."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._are_sessions_over = False

    # --- logging in

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password"

    def check_auth_none(self, username: str) -> int:
        self._connection.authentication.introduce(username)
        return AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:
        if not isinstance(password, str):  # paramiko gives bytes that are no UTF-8 as they are
            return AUTH_FAILED
        return AUTH_SUCCESSFUL if self._connection.authentication.approves_password(username, password) else AUTH_FAILED

    def check_auth_publickey(self, username: str, key: PKey) -> int:
        is_approved = self._connection.authentication.approves_key(username, key.asbytes())
        return AUTH_SUCCESSFUL if is_approved else AUTH_FAILED

    # --- the connection

    def check_global_request(self, kind: str, msg: Message) -> bool:
        if kind == "no-more-sessions@openssh.com":
            self._are_sessions_over = True
            return True
        return False  # which answers a request for a sign of life

    def check_port_forward_request(self, address: str, port: int) -> int:
        return self._connection.open_remote_port(address, port)

    def cancel_port_forward_request(self, address: str, port: int) -> None:
        self._connection.close_remote_port(address, port)

    # --- channels

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if kind != "session" or self._are_sessions_over:
            return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        return OPEN_SUCCEEDED if self._connection.has_room_for_a_channel else OPEN_FAILED_RESOURCE_SHORTAGE

    def check_channel_pty_request(
        self, channel: Channel, term: bytes, width: int, height: int, pixelwidth: int, pixelheight: int, modes: bytes
    ) -> bool:
        kind = term.decode("ascii", "replace")
        wanted = TerminalRequest(kind=kind, columns=_extent(width, 80), rows=_extent(height, 24), modes=modes)
        return self._connection.channels.set_terminal(channel, wanted)

    def check_channel_window_change_request(
        self, channel: Channel, width: int, height: int, pixelwidth: int, pixelheight: int
    ) -> bool:
        return self._connection.channels.resize(channel, _extent(width, 80), _extent(height, 24))

    def check_channel_env_request(self, channel: Channel, name: bytes, value: bytes) -> bool:
        variable, text = name.decode("ascii", "replace"), value.decode("utf-8", "surrogateescape")
        return self._connection.channels.set_variable(channel, variable, text)

    def check_channel_shell_request(self, channel: Channel) -> bool:
        return self._connection.start_program(channel, "shell", b"")

    def check_channel_exec_request(self, channel: Channel, command: bytes) -> bool:
        return self._connection.start_program(channel, "exec", command)

    def check_channel_subsystem_request(self, channel: Channel, name: str) -> bool:
        return self._connection.start_program(channel, "subsystem", name.encode())

    def check_channel_forward_agent_request(self, channel: Channel) -> bool:
        return self._connection.open_agent()


def _extent(wanted: int, usual: int) -> int:
    """Columns or rows; clients without a terminal say 0."""
    return min(wanted, _EXTENT_LIMIT) or usual
