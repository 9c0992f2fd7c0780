"""Checks how the head of a request is found and read, and that what parsers differ on is refused."""

from __future__ import annotations

from collections.abc import Callable

import h11
import pytest

from edge_wire.proxies.http_answers import Refusal
from edge_wire.proxies.http_heads import HEAD_LIMIT, HeadCollector, check_framing, read_request

HEAD = b"POST http://printer.lan/a?b=c HTTP/1.1\r\nHost: printer.lan\r\nContent-Length: 3\r\n\r\n"


def collected(*chunks: bytes) -> HeadCollector:
    collector = HeadCollector()
    for chunk in chunks:
        collector.receive(chunk)
        if not collector.taken:
            collector.find()
    return collector


def request_of(head: bytes) -> h11.Request:
    taken = collected(head).taken
    request = read_request(h11.Connection(h11.SERVER), taken)
    check_framing(request, taken)
    return request


def status_of(head: bytes) -> int:
    with pytest.raises(Refusal) as raised:
        request_of(head)
    return raised.value.answer.status


def test_a_head_and_what_is_behind_it() -> None:
    collector = collected(HEAD + b"abc")
    assert (collector.taken, collector.rest) == (HEAD, b"abc")
    assert request_of(HEAD).target == b"http://printer.lan/a?b=c"


@pytest.mark.parametrize("at", range(1, len(HEAD + b"abc")))
def test_a_head_split_anywhere_is_the_same(at: int) -> None:
    collector = collected((HEAD + b"abc")[:at], (HEAD + b"abc")[at:])
    assert (collector.taken, collector.rest) == (HEAD, b"abc")


@pytest.mark.parametrize("size", range(len(HEAD)))
def test_a_head_that_stops_anywhere_is_not_whole(size: int) -> None:
    assert collected(HEAD[:size]).taken == b""


@pytest.mark.parametrize("chunks", [[b"\r\n" + HEAD], [b"\r", b"\n\r", b"\n" + HEAD], [b"\r\n\r\n", HEAD]])
def test_empty_lines_before_a_head_are_skipped(chunks: list[bytes]) -> None:
    assert collected(*chunks).taken == HEAD


@pytest.mark.parametrize(
    "head",
    [
        b"GET http://a/ HTTP/1.1\nHost: a\n\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\n\tHost: a\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n",
        b"GET http://a/\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x05\x01\x00",
    ],
)
def test_a_head_with_other_line_ends_or_control_characters_is_refused_however_it_is_split(head: bytes) -> None:
    with pytest.raises(Refusal, match="control character, a bare line end or a folded line"):
        collected(head)
    for at in range(1, len(head)):
        with pytest.raises(Refusal):
            collected(head[:at], head[at:])


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET\r\n\r\n", 400),
        (b"GET http://a/\r\n\r\n", 400),
        (b"GET  http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET http://a/ b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET http://a/ HTTP/1.1\r\n\r\n", 400),
        (b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET http://a/ HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET http://a/ HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n", 400),
        (b"GET http://a/ HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        (b"GET http://a/ HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
        (b"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
        (b"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400),
        (b"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
        (b"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", 400),
        (b"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
        (b"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\ncontent-length: 1\r\n\r\n", 400),
        (b"POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
        (b"POST http://a/ HTTP/1.1\r\nHost: a\r\n" + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n", 501),
        (b"POST http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET http://a/ HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET http://a/ HTTP/0.9\r\nHost: a\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_what_two_parsers_could_read_differently_is_refused(head: bytes, status: int) -> None:
    assert status_of(head) == status


def test_a_refusal_repeats_nothing_of_the_request() -> None:
    with pytest.raises(Refusal) as raised:
        request_of(b"GET http://a/ HTTP/1.1\r\nHost: a\r\nProxy-Authorization\xff Basic c2VjcmV0\r\n\r\n")
    assert "c2VjcmV0" not in raised.value.answer.text


def test_the_longest_head_is_read_and_one_byte_more_is_refused() -> None:
    filler = HEAD_LIMIT - len(b"GET http://a/ HTTP/1.0\r\nX: \r\n\r\n")
    longest = b"GET http://a/ HTTP/1.0\r\nX: " + b"x" * filler + b"\r\n\r\n"
    assert collected(longest).taken == longest
    with pytest.raises(Refusal) as raised:
        collected(longest.replace(b"X: ", b"X: x"))
    assert raised.value.answer.status == 431


def test_a_megabyte_of_headers_is_refused_before_it_is_all_there() -> None:
    collector = HeadCollector(b"GET http://a/ HTTP/1.1\r\n")
    received = 0

    def send_line() -> None:
        nonlocal received
        received += 32
        collector.receive(b"X-%08d: %s\r\n" % (received, b"x" * 18))
        collector.find()

    with pytest.raises(Refusal) as raised:
        consume(send_line)
    assert raised.value.answer.status == 431
    assert received <= HEAD_LIMIT


def consume(step: Callable[[], None]) -> None:
    for _ in range(1024 * 1024 // 32):
        step()
