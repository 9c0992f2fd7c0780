"""The runner's protocol: messages arrive whole however the bytes are cut, and nonsense is refused."""

from __future__ import annotations

import itertools
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.runner.protocol import HEADER_LIMIT, PAYLOAD_LIMIT, Decoder, Message, ProtocolError, encode

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
fields = st.dictionaries(
    texts.filter(lambda name: name not in {"type", "type_", "payload"}),
    st.none() | st.booleans() | st.integers() | texts | st.lists(texts, max_size=3),
    max_size=4,
)
messages = st.builds(
    lambda type_, fields, payload: Message(type=type_, fields=fields, payload=payload),
    texts,
    fields,
    st.binary(max_size=30),
)


def frame(header: bytes, payload: bytes = b"") -> bytes:
    return struct.pack(">II", len(header), len(payload)) + header + payload


@given(said=st.lists(messages, max_size=5), cuts=st.lists(st.integers(0, 500), max_size=10))
def test_messages_arrive_as_they_were_sent_wherever_the_bytes_are_cut(said: list[Message], cuts: list[int]) -> None:
    data = b"".join(encode(message.type, message.payload, **message.fields) for message in said)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    decoder = Decoder()
    heard = [message for begin, end in itertools.pairwise(places) for message in decoder.feed(data[begin:end])]
    assert heard == said


@given(said=st.lists(messages, max_size=5), size=st.integers(1, 64), cuts=st.lists(st.integers(1, 90), max_size=40))
def test_messages_arrive_as_they_were_sent_however_little_memory_they_are_read_into(
    said: list[Message], size: int, cuts: list[int]
) -> None:
    data = b"".join(encode(message.type, message.payload, **message.fields) for message in said)
    decoder, heard = Decoder(size), list[Message]()
    for cut in [*cuts, *[90] * len(data)]:
        room = decoder.room()
        assert len(room) > 0
        part, data = data[: min(cut, len(room))], data[min(cut, len(room)) :]
        room[: len(part)] = part
        heard += decoder.took(len(part))
    assert heard == said


def test_a_message_is_told_with_its_last_byte_and_not_before() -> None:
    decoder = Decoder()
    data = encode("output", b"hi", id="7", offset=0)
    for byte in data[:-1]:
        assert decoder.feed(bytes([byte])) == []
    assert decoder.feed(data[-1:]) == [Message(type="output", fields={"id": "7", "offset": 0}, payload=b"hi")]


def test_two_messages_in_one_read_are_two_messages() -> None:
    assert [message.type for message in Decoder().feed(encode("one") + encode("two"))] == ["one", "two"]


@pytest.mark.parametrize(
    ("header_size", "payload_size"),
    [(HEADER_LIMIT + 1, 0), (2, PAYLOAD_LIMIT + 1), (2**32 - 1, 2**32 - 1)],
)
def test_a_message_above_the_limits_is_refused_before_it_is_read(header_size: int, payload_size: int) -> None:
    with pytest.raises(ProtocolError, match="too large"):
        Decoder().feed(struct.pack(">II", header_size, payload_size))


def test_a_message_at_the_limits_is_taken() -> None:
    payload = b"x" * PAYLOAD_LIMIT
    assert Decoder().feed(encode("output", payload))[0].payload == payload


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"null",
        b"7",
        b'"type"',
        b"[]",
        b'["type"]',
        b"{}",
        b'{"id": "7"}',
        b'{"type": 7}',
        b'{"type": null}',
    ],
)
def test_a_header_that_is_no_object_with_a_type_is_refused(header: bytes) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(frame(header))


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_refused(data: bytes) -> None:
    decoder = Decoder()
    try:
        decoder.feed(data)
        decoder.feed(data)
    except ProtocolError:
        pass


@given(st.recursive(st.none() | st.booleans() | st.floats() | texts, lambda inner: st.lists(inner, max_size=3)))
def test_any_json_is_a_message_or_refused(value: Any) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(frame(json.dumps(value).encode()))


def test_a_header_nested_without_end_is_refused_like_other_nonsense() -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(frame(b"[" * 200_000))
