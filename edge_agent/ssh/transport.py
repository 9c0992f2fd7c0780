# mypy: disable-error-code="attr-defined,misc"
"""paramiko's transport, made fit for untrusted clients and for what OpenSSH's client expects.

The stubs of paramiko leave out what is not public, and a server needs some of it; this file and
`login_exchange` are the only ones that do. What is changed, and why:

- Only modern algorithms, and the usual name of curve25519.
- Sizes and counts that a client names are bounded before anything is allocated or looped over.
- Channels are held until the client has closed them; paramiko forgets the numbers of dead ones never.
- Opening a forwarded connection, a signal and the end of a client's interest reach us; dialling does not hold up
  other channels.
- An answer that falls into a new key exchange waits for its end instead of blocking the thread that would end it.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from struct import Struct
from typing import Any, Protocol, cast

import paramiko
from paramiko.channel import Channel
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    cMSG_CHANNEL_OPEN_FAILURE,
    cMSG_CHANNEL_OPEN_SUCCESS,
    cMSG_CHANNEL_REQUEST,
    cMSG_CHANNEL_WINDOW_ADJUST,
    cMSG_GLOBAL_REQUEST,
)
from paramiko.kex_curve25519 import KexCurve25519
from paramiko.message import Message

from edge_agent.ssh import algorithms
from edge_agent.ssh.direct_connection import DirectConnection
from edge_agent.ssh.login_exchange import LoginExchange
from edge_agent.ssh.packetizer import Packetizer, Payloads
from edge_agent.ssh.wire_socket import WireSocket

log = logging.getLogger(__name__)

# Clients tell those programs that nobody reads their output any more (`ssh NODE yes | head -1`) only to servers of
# this name; we understand it as OpenSSH's does.
_VERSION = "SSH-2.0-OpenSSH_edge"
_WINDOW = 2 * 1024 * 1024
_NEAR_MILLISECONDS = 10
"""How long ours wait for a client's algorithms. Whoever is farther away would pay for a cheaper cipher with a round
trip at every login, and has no line on which ciphers matter."""
_DATA_HEAD = Struct(">BII")
_ERROR_HEAD = Struct(">BIII")
_STDERR = 1
"""RFC 4254, section 5.2."""
_OVERHEAD = 64
"""Bytes of a packet that are no data, at most."""
_AT_ONCE = 256 * 1024
"""Bytes of data that are sent together."""


class ChannelWatcher(Protocol):
    """Who is told about a channel. Called in the transport's thread; must not block."""

    def wake(self) -> None:
        """The client takes more."""

    def take(self, data: bytes) -> bytes:
        """The client sent this; returns what is to wait in the channel's buffer."""

    def channel_closed(self) -> None:
        """The client closed it, or the connection is over."""

    def signal(self, name: str) -> None:
        """The client asks for a signal, `TERM`."""

    def output_unwanted(self) -> None:
        """The client reads no more of the output."""


class TransportOwner(Protocol):
    """Who is told about a connection. Called in the transport's thread."""

    def logged_in(self, user: str, method: str) -> bool:
        """A proof was valid; returns whether the login may happen."""

    def proof_failed(self) -> None:
        """A key was not ours, or its signature was not valid."""

    def connection_asked(self, request: DirectConnection) -> None:
        """The client wants a connection to somewhere; answered by `confirm` or `refuse`. Must not block."""

    def said_goodbye(self) -> None:
        """The client ended the connection as it should."""

    def transport_over(self, had_open_channels: bool) -> None:
        """The transport's thread is about to end."""


class Transport(paramiko.Transport):
    """One connection of one client."""

    packetizer: Packetizer
    _active_check_timeout = 2.0  # how often an idle connection wakes up; an end wakes it by itself
    _preferred_kex = algorithms.KEY_EXCHANGES
    _preferred_ciphers = algorithms.CIPHERS
    _preferred_macs = algorithms.MACS
    _preferred_keys = algorithms.HOST_KEYS
    _preferred_pubkeys = algorithms.USER_KEYS
    _kex_info = {**paramiko.Transport._kex_info, "curve25519-sha256": KexCurve25519}  # noqa: RUF012, SLF001

    def __init__(self, connection: WireSocket, owner: TransportOwner, *, attempts: int, keepalive: timedelta) -> None:
        if keepalive:
            self._active_check_timeout = min(self._active_check_timeout, keepalive.total_seconds() / 2)
        super().__init__(cast("Any", connection), packetizer_class=Packetizer)
        self._preferred_kex = tuple(name for name in algorithms.KEY_EXCHANGES if name in self._kex_info)
        self.local_version = _VERSION
        self.name = "ssh-transport"
        self.owner = owner
        self.attempts = attempts
        self.packetizer.set_keepalive(keepalive.total_seconds(), self._ask_for_life)
        self._held_channels: dict[int, Channel] = {}
        """paramiko itself holds them weakly."""
        self._expected: set[DirectConnection] = set()
        self._watchers: dict[int, ChannelWatcher] = {}
        self._postponed: list[Message | Payloads] = []
        self._is_client_closing = self._had_open_channels = False
        self._connection = connection
        self._is_begun = False
        """It is decided whether the client's algorithms come before ours."""
        self._channel_handler_table = {
            **paramiko.Transport._channel_handler_table,  # noqa: SLF001
            MSG_CHANNEL_CLOSE: self._close_channel,
            MSG_CHANNEL_DATA: self._feed,
            MSG_CHANNEL_EXTENDED_DATA: lambda _channel, _message: None,  # nothing of ours would read it
            MSG_CHANNEL_REQUEST: self._channel_request,
            MSG_CHANNEL_WINDOW_ADJUST: self._window_adjust,
        }

    # --- for those who use it

    @property
    def channel_count(self) -> int:
        """Channels that are open, that are expected to be, or that the client has not closed yet."""
        with self.lock:
            return len(self._held_channels) + len(self._expected)

    def expect(self, request: DirectConnection) -> None:
        """Somebody tries to reach this; until it is a channel or `give_up`, it counts as one."""
        with self.lock:
            self._expected.add(request)

    def give_up(self, request: DirectConnection) -> None:
        """Nobody tries any more."""
        with self.lock:
            self._expected.discard(request)

    def watch(self, channel: Channel, watcher: ChannelWatcher) -> None:
        """Tell this one about the channel from now on."""
        self._watchers[channel.get_id()] = watcher
        if channel.closed:
            watcher.channel_closed()

    def confirm(self, request: DirectConnection) -> Channel:
        """The connection that a client wants is there."""
        with self.lock:
            number = self._next_channel()
            channel = Channel(number)
            self._channels.put(number, channel)
            self.channels_seen[number] = True
            self._expected.discard(request)
            self._held_channels[number] = channel
            channel._set_transport(self)  # noqa: SLF001
            channel._set_window(_WINDOW, self.default_max_packet_size)  # noqa: SLF001
            channel._set_remote_channel(request.channel, request.window, request.packet_size)  # noqa: SLF001
        reply = Message()
        reply.add_byte(cMSG_CHANNEL_OPEN_SUCCESS)
        for field in (request.channel, number, _WINDOW, self.default_max_packet_size):
            reply.add_int(field)
        self._send_user_message(reply)
        return channel

    def refuse(self, request: DirectConnection, code: int, reason: str) -> None:
        """The connection that a client wants cannot be had."""
        reply = Message()
        reply.add_byte(cMSG_CHANNEL_OPEN_FAILURE)
        reply.add_int(request.channel)
        reply.add_int(code)
        reply.add_string(reason)
        reply.add_string("en")
        self._send_user_message(reply)

    def open_channel(self, *args: Any, **kwargs: Any) -> Channel:
        """As paramiko's. Blocks; raises SSHException."""
        channel = super().open_channel(*args, **kwargs)
        self._held_channels[channel.get_id()] = channel
        if channel.closed:
            self._held_channels.pop(channel.get_id(), None)
        return channel

    def send_data(self, channel: Channel, data: memoryview, *, is_error: bool) -> int:
        """Send as much of it as the client takes just now, as `Channel.send` does with half of its work.

        Raises TimeoutError when the client takes nothing, one of CONNECTION_LOST when nobody is there.
        """
        with channel.lock:
            if channel.closed or channel.eof_sent or not self.active:
                raise OSError("the channel is closed")
            size = min(len(data), channel.out_window_size, _AT_ONCE)
            if size <= 0:
                raise TimeoutError
            channel.out_window_size -= size
        step = channel.out_max_packet_size - _OVERHEAD
        pieces = [data[at : min(at + step, size)] for at in range(0, size, step)]
        self._send_user_message(
            Payloads([(_data_head(channel, len(piece), is_error=is_error), piece) for piece in pieces])
        )
        return size

    def grant(self, channel: Channel, size: int) -> None:
        """So much was taken past the channel's buffer: the client may send as much again, and is told now and then.

        Raises one of CONNECTION_LOST.
        """
        size = channel._check_add_window(size)  # noqa: SLF001
        if size > 0:
            message = Message()
            message.add_byte(cMSG_CHANNEL_WINDOW_ADJUST)
            message.add_int(channel.remote_chanid)
            message.add_int(size)
            self._send_user_message(message)

    def send_exit_signal(self, channel: Channel, name: str) -> None:
        """How a program ended that a signal ended."""
        request = Message()
        request.add_byte(cMSG_CHANNEL_REQUEST)
        request.add_int(channel.remote_chanid)
        request.add_string("exit-signal")
        request.add_boolean(False)
        request.add_string(name)
        request.add_boolean(False)  # whether there is a core
        request.add_string("")
        request.add_string("")
        self._send_user_message(request)

    def _ask_for_life(self) -> None:
        """Send something that the client answers, whatever it is."""
        request = Message()
        request.add_byte(cMSG_GLOBAL_REQUEST)
        request.add_string("keepalive@openssh.com")
        request.add_boolean(True)
        self._send_user_message(request)

    # --- what paramiko calls

    def run(self) -> None:
        try:
            super().run()
        finally:
            for watcher in list(self._watchers.values()):
                watcher.channel_closed()
            self._watchers.clear()
            self._held_channels.clear()
            self.sock.close()
            log.debug("an SSH transport ended: %r", self.saved_exception)
            self.owner.transport_over(self._had_open_channels)

    def _send_kex_init(self) -> None:
        if not self._is_begun:
            self._is_begun = True
            if algorithms.speaks_first(self.remote_version) and self._connection.has_more(_NEAR_MILLISECONDS):
                return  # ours follows the client's, and depends on it
        super()._send_kex_init()

    def _negotiate_keys(self, m: Message) -> None:
        if self.local_kex_init is None:  # else ours was sent, and what is agreed on follows from it
            said = self._really_parse_kex_init(Message(m.asbytes()))
            both_ways = {*said["client_encrypt_algo_list"]}.intersection(said["server_encrypt_algo_list"])
            self._preferred_ciphers = algorithms.offered_ciphers(both_ways)
        super()._negotiate_keys(m)

    def _parse_newkeys(self, m: Message) -> None:
        if self.auth_handler is None:
            self.auth_handler = LoginExchange(self)
        super()._parse_newkeys(m)
        while self._postponed and self.clear_to_send.is_set():
            self._send_message(self._postponed.pop(0))

    def _send_user_message(self, data: Message | Payloads) -> None:
        if threading.current_thread() is self and self.active and not self.clear_to_send.is_set():
            self._postponed.append(data)
            return
        super()._send_user_message(data)

    def _parse_ext_info(self, msg: Message) -> None:
        """What a client announces is of no use to a server, and it may announce four billion things."""

    def _parse_disconnect(self, m: Message) -> None:
        self.owner.said_goodbye()

    def _parse_channel_open(self, m: Message) -> None:
        if m.get_text() != "direct-tcpip":
            m.rewind()
            super()._parse_channel_open(m)
            return
        numbers = {"channel": m.get_int(), "window": m.get_int(), "packet_size": m.get_int()}
        self.owner.connection_asked(DirectConnection(**numbers, host=m.get_text(), port=m.get_int()))

    def _queue_incoming_channel(self, channel: Channel) -> None:
        self._held_channels[channel.get_id()] = channel

    def _unlink_channel(self, chanid: int) -> None:
        super()._unlink_channel(chanid)
        self.channels_seen.pop(chanid, None)
        self._held_channels.pop(chanid, None)
        self._had_open_channels |= not self._is_client_closing
        watcher = self._watchers.pop(chanid, None)
        if watcher is not None:
            watcher.channel_closed()

    def _close_channel(self, channel: Channel, message: Message) -> None:
        self._is_client_closing = True
        channel._handle_close(message)  # noqa: SLF001
        self._is_client_closing = False

    def _feed(self, channel: Channel, message: Message) -> None:
        if len(channel.in_buffer) > 2 * _WINDOW:
            raise paramiko.SSHException("the client sends more than it may")
        watcher = self._watchers.get(channel.get_id())
        data = message.get_binary()
        rest = data if watcher is None else watcher.take(data)
        if rest:
            channel._feed(rest)  # noqa: SLF001

    def _window_adjust(self, channel: Channel, message: Message) -> None:
        channel._window_adjust(message)  # noqa: SLF001
        watcher = self._watchers.get(channel.get_id())
        if watcher is not None:
            watcher.wake()

    def _channel_request(self, channel: Channel, message: Message) -> None:
        kind = message.get_text()
        watcher = self._watchers.get(channel.get_id())
        if kind not in {"signal", "eow@openssh.com"} or watcher is None:
            message.rewind()
            message.get_int()  # the channel
            channel._handle_request(message)  # noqa: SLF001
            return
        message.get_boolean()  # RFC 4254, section 6.9: neither is answered
        if kind == "signal":
            watcher.signal(message.get_text())
        else:
            watcher.output_unwanted()


def _data_head(channel: Channel, size: int, *, is_error: bool) -> bytes:
    """What comes before so much data in its message; RFC 4254, section 5.2."""
    if is_error:
        return _ERROR_HEAD.pack(MSG_CHANNEL_EXTENDED_DATA, channel.remote_chanid, _STDERR, size)
    return _DATA_HEAD.pack(MSG_CHANNEL_DATA, channel.remote_chanid, size)
