# mypy: disable-error-code="attr-defined"
"""Packets of SSH: what a client makes us read is bounded, and data goes out with less copying."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import paramiko
from paramiko.message import Message

from edge_agent.ssh.sealing import Buffer, Code, EncryptAndMac, EncryptThenMac, Gcm, Plain, Seal

CONNECTION_LOST = (OSError, EOFError, paramiko.SSHException)
"""What sending raises: on a closed channel, on a socket that was shut down, in a key exchange that does not end."""
_LIMIT_BEFORE_LOGIN = 256 * 1024
_LIMIT = 4 * 1024 * 1024
"""Larger than what any kernel takes as one command line, so that such a command is refused and nothing breaks."""
_LINE_LIMIT = 255
"""Bytes of a version, RFC 4253, section 4.2."""


@dataclass(frozen=True)
class Payloads:
    """Messages that go out together, each in the parts that it consists of."""

    each: Sequence[Sequence[Buffer]]


class Packetizer(paramiko.packet.Packetizer):
    """Bounds what a client makes us read, and starts no thread for a time-out that its connection has anyway.

    Sending is its own: what goes out together is one write, and no packet is copied more than it must be. So the number
    of packets and what was sent under one key are counted here; paramiko's counters of these stay at 0.
    """

    may_send_much = False
    is_ended_by_client = False
    """It closed its connection, in whatever state."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._seal: Seal = Plain()
        self._next_number = 0
        self._sent_packets = self._sent_bytes = 0
        """Under the present key."""
        self._sending = threading.Lock()

    def set_outbound_cipher(  # type: ignore[no-untyped-def]
        self, block_engine, block_size, mac_engine, mac_size, mac_key, sdctr=False, etm=False, aead=False, iv_out=None
    ):
        """Protect what goes out in this way from now on. None of our ciphers but GCM needs its padding to be random."""
        super().set_outbound_cipher(block_engine, block_size, mac_engine, mac_size, mac_key, sdctr, etm, aead, iv_out)
        if aead:
            self._seal = Gcm(block_engine, block_size, iv_out)
        else:
            kind = EncryptThenMac if etm else EncryptAndMac
            self._seal = kind(block_engine, block_size, Code(mac_key, mac_engine, mac_size))
        self._sent_packets = self._sent_bytes = 0

    def reset_seqno_out(self) -> None:
        """Strict key exchange numbers packets anew."""
        self._next_number = 0

    def send_message(self, data: Message | Payloads) -> None:
        """Send it, and ask for new keys when the present ones have protected enough."""
        payloads = data.each if isinstance(data, Payloads) else ((data.asbytes(),),)
        with self._sending:
            out: list[Buffer] = []
            for payload in payloads:
                out += self._seal.seal(payload, self._number())
            packets = b"".join(out)
            self.write_all(memoryview(packets))
            self._sent_packets += len(payloads)
            self._sent_bytes += len(packets)
            is_much = self._sent_packets >= self.REKEY_PACKETS or self._sent_bytes >= self.REKEY_BYTES
            if is_much and not self.need_rekey():
                self._trigger_rekey()

    def _number(self) -> int:
        number, self._next_number = self._next_number, (self._next_number + 1) & 0xFFFF_FFFF
        if self._next_number == 0 and not self._initial_kex_done:
            raise paramiko.SSHException("the first key exchange does not end")
        return number

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > (_LIMIT if self.may_send_much else _LIMIT_BEFORE_LOGIN):
            raise paramiko.SSHException("a packet is too large")
        try:
            return super().read_all(n, check_rekey)
        except (EOFError, ConnectionError):
            self._note_end()
            raise

    def write_all(self, out: Any) -> None:
        try:
            super().write_all(out)
        except EOFError:
            self._note_end()
            raise

    def _note_end(self) -> None:
        self.is_ended_by_client = not self.closed

    def readline(self, timeout: float) -> str:
        """The client's version, which is the first thing that it says (RFC 4253, section 4.2)."""
        line = bytearray()
        while not line.endswith(b"\n"):
            line += self.read_all(1)
            if len(line) > _LINE_LIMIT or not b"SSH-".startswith(line[:4]):
                raise paramiko.SSHException("this is not the SSH protocol")
        return line.rstrip(b"\r\n").decode("utf-8", "replace")

    def start_handshake(self, timeout: float) -> None:
        """Its connection ends a client that says nothing."""
