"""Throws bytes at the proxy ports and the parsers: random ones, and good conversations with something wrong in them.

A fixed number of the same inputs each time. What holds for all of them: nothing is raised, everything ends, answers
are short, how bytes were split makes no difference, and what reaches an origin is a request that is read one way only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_wire.errors import EdgeError
from edge_wire.proxies.http_answers import Refusal
from edge_wire.proxies.http_connect import ConnectRequest
from edge_wire.proxies.http_heads import HeadCollector, check_framing, read_request
from edge_wire.proxies.socks4 import Socks4Handshake
from edge_wire.proxies.socks5 import Connect as Socks5Connect
from edge_wire.proxies.socks5 import Refuse, Socks5Handshake
from edge_wire.streams import RelayLimits
from edge_wire.targets import parse_destination
from tests.support.byte_streams import MemoryStream
from tests.support.proxy_clients import IMPATIENT, PATIENT, Port, any_port, basic, http_port, served
from tests.support.proxy_gates import Dialled, MemoryGate

pytestmark = pytest.mark.slow

CREDENTIALS = basic("gw-01", "secret")
SOCKS5 = b"\5\2\0\2\1\5gw-01\6secret\5\1\0\3\x0bprinter.lan\x23\x8cearly"
SOCKS5_IPV6 = b"\5\1\0\5\1\0\4\xfd" + bytes(14) + b"\1\1\xbbearly"
SOCKS4 = b"\4\1\x23\x8c\0\0\0\1gw-01\0printer.lan\0early"
CONNECT = b"CONNECT printer.lan:9100 HTTP/1.1\r\nHost: printer.lan:9100\r\n" + CREDENTIALS + b"\r\nearly"
GET = (
    b"GET http://printer.lan/a?b=c HTTP/1.1\r\nHost: printer.lan\r\nVia: 1.1 other\r\nConnection: x-a\r\nX-A: b\r\n\r\n"
)
POST = b"POST http://[fd00::1]:81/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"PUT http://printer.lan HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n3;x=y\r\nyou\r\n0\r\nX-Sum: 1\r\n\r\n"
)
UPGRADE = b"GET http://printer.lan/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly"
OPTIONS = b"OPTIONS http://printer.lan HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\n\r\n"
CONVERSATIONS = [
    SOCKS5,
    SOCKS5_IPV6,
    SOCKS4,
    CONNECT,
    GET + POST + GET,
    POST + CHUNKED,
    CHUNKED + GET,
    UPGRADE,
    OPTIONS + GET,
]
RESPONSES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 Not Found\r\nConnection: close\r\n\r\nno",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw",
    b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
]
TROUBLE = [
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b"\r\n ",
    b"\r\n\r\n",
    b"\xff",
    b"0",
    b"-1",
    b"99999999999999999999999",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Connection: close\r\n",
    b"Connection: host, content-length\r\n",
    b"Host: other\r\n",
    b"Expect: 100-continue\r\n",
    b"Via: 1.1 edge-test\r\n",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"HEAD ",
    b"TRACE ",
    b"@",
    b"#",
    b"https://",
]


class Mutation(Protocol):
    def __call__(self, data: bytes, at: int, what: bytes) -> bytes: ...


MUTATIONS: list[Mutation] = [
    lambda data, at, what: data[:at] + what + data[at:],
    lambda data, at, what: data[:at] + what + data[at + len(what) :],
    lambda data, at, what: data[:at] + data[at + len(what) :],
    lambda data, at, what: data[:at],
    lambda data, at, what: data[:at] + data[at // 2 :],
]


@st.composite
def mutated(draw: st.DrawFn, originals: Sequence[bytes]) -> bytes:
    """One of them with up to three things wrong in it."""
    data = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        what = draw(st.sampled_from(TROUBLE) | st.binary(min_size=1, max_size=4))
        data = draw(st.sampled_from(MUTATIONS))(data, at, what)
    return data


@st.composite
def split(draw: st.DrawFn, contents: st.SearchStrategy[bytes]) -> list[bytes]:
    """The contents in up to four chunks."""
    data = draw(contents)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=3)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]


fuzz = settings(max_examples=500, derandomize=True, deadline=None, database=None)
ANYTHING = split(st.binary(max_size=300))
ALMOST_GOOD = split(mutated(CONVERSATIONS))


class AnsweringGate(MemoryGate):
    """Every target of it answers every head with the same bytes, and ends when it is told the end."""

    def __init__(self, response: bytes = RESPONSES[0], *, ends: bool = False) -> None:
        super().__init__(limits=RelayLimits(idle=IMPATIENT, total=PATIENT))
        self._response = response
        self._ends = ends
        self.heard: list[bytearray] = []

    async def answer_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._answer(await self.dialled.get()))

    async def _answer(self, target: Dialled) -> None:
        heard = bytearray()
        self.heard.append(heard)
        with suppress(EdgeError):
            while data := await target.stream.read():
                before = heard.count(b"\r\n\r\n")
                heard += data
                for _ in range(heard.count(b"\r\n\r\n") - before):
                    await target.stream.write(self._response)
                    if self._ends:
                        await target.stream.close_write()
                        self._response = b""
            await target.stream.close_write()


async def converse(port: Port, gate: AnsweringGate, chunks: Sequence[bytes]) -> bytes:
    """All that a client gets that sends this and ends; b"" when the port broke the connection."""
    answering = asyncio.create_task(gate.answer_all())
    try:
        async with asyncio.timeout(10), served(port, gate) as client:
            return await _say_and_hear(client, chunks)
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


async def _say_and_hear(client: MemoryStream, chunks: Sequence[bytes]) -> bytes:
    try:
        for chunk in chunks:
            await client.write(chunk)
            await asyncio.sleep(0)
        await client.close_write()
        return await client.read_all()
    except EdgeError:
        client.abort()
        return b""


@fuzz
@given(chunks=ANYTHING | ALMOST_GOOD)
async def test_any_bytes_end_without_an_exception(chunks: list[bytes]) -> None:
    gate = AnsweringGate()
    answer = await converse(any_port, gate, chunks)
    assert len(answer) < 10_000
    assert gate.dialled.empty()


@fuzz
@given(chunks=split(mutated([GET + POST + GET, POST + CHUNKED, CHUNKED + GET, OPTIONS + GET, UPGRADE])))
async def test_what_reaches_an_origin_is_read_one_way_only(chunks: list[bytes]) -> None:
    gate = AnsweringGate()
    await converse(http_port, gate, chunks)
    for heard in gate.heard:
        if b"\r\nConnection: Upgrade\r\n" not in heard and not b"".join(chunks).startswith(b"CONNECT"):
            check_requests(bytes(heard))


def check_requests(data: bytes) -> None:
    """Every request but the last is whole, each head is unambiguous, names one host and says that it came by us."""
    while data:
        head = HeadCollector(data)
        assert head.find()
        connection = h11.Connection(h11.SERVER)
        request = read_request(connection, head.taken)
        check_framing(request, head.taken)
        names = [name for name, _ in request.headers]
        assert names[0] == b"host"
        assert b"edge-test" in [value.split()[-1] for name, value in request.headers if name == b"via"]
        assert not {b"proxy-authorization", b"te", b"keep-alive", b"proxy-connection"} & set(names)
        if head.rest:
            connection.receive_data(head.rest)
        event: object = None
        while event is not h11.NEED_DATA and not isinstance(event, h11.EndOfMessage):
            event = connection.next_event()
        data = connection.trailing_data[0] if isinstance(event, h11.EndOfMessage) else b""


@pytest.mark.parametrize("ends", [False, True])
@fuzz
@given(response=mutated(RESPONSES) | st.binary(max_size=100), request=st.sampled_from([GET, POST, UPGRADE]))
async def test_any_response_of_an_origin_ends_well(ends: bool, response: bytes, request: bytes) -> None:
    answer = await converse(http_port, AnsweringGate(response, ends=ends), [request])
    assert len(answer) < 10_000
    assert answer == b"" or answer.startswith(b"HTTP/1.1 ")


# --- parsers ----------------------------------------------------------------------------------------------------------


def socks5_events(chunks: Sequence[bytes]) -> tuple[object, ...]:
    handshake = Socks5Handshake(needs_password=False)
    events: list[object] = []
    for chunk in chunks:
        handshake.receive(chunk)
        while not (events and isinstance(events[-1], Refuse | Socks5Connect)) and (event := handshake.next_event()):
            events.append(event)
    return (*events, handshake.rest)


def socks4_events(chunks: Sequence[bytes]) -> tuple[object, ...]:
    handshake = Socks4Handshake()
    event = None
    for chunk in chunks:
        handshake.receive(chunk)
        event = event or handshake.next_event()
    return event, handshake.rest


def head_events(chunks: Sequence[bytes]) -> tuple[object, ...]:
    head = HeadCollector()
    try:
        is_whole = False
        for chunk in chunks:
            head.receive(chunk)
            is_whole = is_whole or head.find()
    except Refusal as refusal:
        return (refusal.answer.status,)
    return is_whole, head.taken, head.rest


def connect_events(chunks: Sequence[bytes]) -> tuple[object, ...]:
    request = ConnectRequest(parse_destination("printer.lan:9100"), user="gw-01", password="secret")
    opened = b""
    is_open = False
    try:
        for chunk in chunks:
            if is_open:
                opened += chunk
            else:
                is_open = request.receive(chunk)
    except EdgeError as error:
        return (type(error),)
    return is_open, request.rest + opened if is_open else b""


Parser = Callable[[Sequence[bytes]], tuple[object, ...]]


@pytest.mark.parametrize("parser", [socks5_events, socks4_events, head_events, connect_events])
@fuzz
@given(chunks=ANYTHING | ALMOST_GOOD | split(mutated(RESPONSES)))
def test_how_bytes_are_split_makes_no_difference(parser: Parser, chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    expected = parser([whole] if whole else [])
    assert parser(chunks) == expected
    assert parser([whole[at : at + 1] for at in range(len(whole))]) == expected
