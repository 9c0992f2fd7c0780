"""Checks how requests and responses are rewritten on their way, without a connection."""

from __future__ import annotations

import h11
import pytest

from edge_wire.errors import TargetInvalid
from edge_wire.proxies.http_answers import Refusal
from edge_wire.proxies.http_forwarding import forwards_left, interim_for_client, request_for_origin, response_for_client
from edge_wire.proxies.http_requests import read_resource

Headers = list[tuple[bytes, bytes]]


def request_of(method: str, target: str, headers: Headers | None = None, version: str = "1.1") -> h11.Request:
    return h11.Request(
        method=method, target=target, headers=[(b"Host", b"client"), *(headers or [])], http_version=version
    )


def sent_on(method: str, target: str, headers: Headers | None = None, version: str = "1.1") -> h11.Request:
    """What the origin gets."""
    request = request_of(method, target, headers, version)
    return request_for_origin(request, read_resource(request), pseudonym="edge-test")


def passed_back(headers: Headers, status: int = 200) -> Headers:
    response = response_for_client(
        h11.Response(status_code=status, headers=headers, reason=b"Fine"), pseudonym="edge-test"
    )
    assert (response.status_code, response.reason) == (status, b"Fine")
    return response.headers.raw_items()


@pytest.mark.parametrize(
    ("uri", "target", "path", "host"),
    [
        ("http://printer.lan/", "printer.lan:80", b"/", b"printer.lan"),
        ("http://printer.lan", "printer.lan:80", b"/", b"printer.lan"),
        ("HTTP://Printer.LAN/A", "printer.lan:80", b"/A", b"Printer.LAN"),
        ("http://printer.lan:8080/a?b=c&d=%20/?e", "printer.lan:8080", b"/a?b=c&d=%20/?e", b"printer.lan:8080"),
        ("http://printer.lan?b=c", "printer.lan:80", b"/?b=c", b"printer.lan"),
        ("http://printer.lan:/a//b/../c", "printer.lan:80", b"/a//b/../c", b"printer.lan:"),
        ("http://[fd00::1]/", "[fd00::1]:80", b"/", b"[fd00::1]"),
        ("http://[fd00::1]:81/a@b", "[fd00::1]:81", b"/a@b", b"[fd00::1]:81"),
        ("http://2130706433/", "127.0.0.1:80", b"/", b"2130706433"),
    ],
)
def test_a_uri_is_split_and_its_path_and_query_are_untouched(uri: str, target: str, path: bytes, host: bytes) -> None:
    request = sent_on("GET", uri)
    assert str(read_resource(request_of("GET", uri)).target) == target
    assert request.target == path
    assert request.headers.raw_items() == [(b"Host", host), (b"Via", b"1.1 edge-test")]


@pytest.mark.parametrize(
    "uri",
    [
        "http:///",
        "http://:80/",
        "http://user@printer.lan/",
        "http://user:password@printer.lan/",
        "http://printer.lan:0/",
        "http://printer.lan:65536/",
        "http://printer.lan:a/",
        "http://fd00::1/",
        "http://[fd00::1/",
        "http://[fd00::1]80/",
        "http://a%2eb/",
        "http://printer.lan\\@other.lan/",
        "http://a,b/",
    ],
)
def test_a_uri_that_names_no_host_and_port_is_refused(uri: str) -> None:
    with pytest.raises(TargetInvalid):
        read_resource(request_of("GET", uri))


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("/", "a proxy takes CONNECT"),
        ("/http://printer.lan/", "a proxy takes CONNECT"),
        ("*", "a proxy takes CONNECT"),
        ("printer.lan:80", "a proxy takes CONNECT"),
        ("https://printer.lan/", "through CONNECT"),
        ("ftp://printer.lan/", "through CONNECT"),
        ("http://printer.lan/#top", "fragment"),
        ("http://printer.lan#top", "fragment"),
    ],
)
def test_other_forms_and_schemes_are_refused_with_a_hint(uri: str, hint: str) -> None:
    with pytest.raises(Refusal) as raised:
        read_resource(request_of("GET", uri))
    assert raised.value.answer.status == 400
    assert hint in raised.value.answer.text


def test_a_user_name_in_a_uri_is_refused_with_a_hint() -> None:
    with pytest.raises(TargetInvalid, match="the URI has a user name") as raised:
        read_resource(request_of("GET", "http://user:password@printer.lan/"))
    assert "Authorization" in raised.value.hint


def test_options_for_the_whole_server() -> None:
    assert sent_on("OPTIONS", "http://printer.lan").target == b"*"
    assert sent_on("OPTIONS", "http://printer.lan/").target == b"/"


def test_headers_for_one_connection_end_here_and_all_others_pass_in_order() -> None:
    headers = [
        (b"Accept", b"*/*"),
        (b"Proxy-Authorization", b"Basic c2VjcmV0"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"Connection", b"keep-alive, X-Mine"),
        (b"connection", b"x-other,"),
        (b"Keep-Alive", b"timeout=5"),
        (b"X-Mine", b"1"),
        (b"x-OTHER", b"2"),
        (b"TE", b"trailers"),
        (b"Trailer", b"X-Sum"),
        (b"Cookie", b"a=b"),
        (b"Authorization", b"Basic b3JpZ2lu"),
        (b"X-Twice", b"1"),
        (b"X-Twice", b"2"),
    ]
    assert sent_on("GET", "http://printer.lan/", headers).headers.raw_items() == [
        (b"Host", b"printer.lan"),
        (b"Accept", b"*/*"),
        (b"Cookie", b"a=b"),
        (b"Authorization", b"Basic b3JpZ2lu"),
        (b"X-Twice", b"1"),
        (b"X-Twice", b"2"),
        (b"Via", b"1.1 edge-test"),
    ]


def test_connection_cannot_take_out_what_frames_the_message() -> None:
    headers = [(b"Connection", b"content-length, host, transfer-encoding"), (b"Content-Length", b"3")]
    sent = dict(sent_on("POST", "http://printer.lan/", headers).headers)
    assert (sent[b"host"], sent[b"content-length"]) == (b"printer.lan", b"3")


def test_a_body_in_chunks_stays_one() -> None:
    headers = [(b"Transfer-Encoding", b"Chunked"), (b"Connection", b"transfer-encoding")]
    assert (b"Transfer-Encoding", b"chunked") in sent_on("POST", "http://a/", headers).headers.raw_items()


def test_via_is_appended_with_the_version_that_was_received() -> None:
    sent = sent_on("GET", "http://printer.lan/", [(b"Via", b"1.1 other")], version="1.0").headers.raw_items()
    assert sent[1:] == [(b"Via", b"1.1 other"), (b"Via", b"1.0 edge-test")]


@pytest.mark.parametrize(
    ("connection", "protocol", "version", "passes"),
    [
        (b"Upgrade", b"websocket", "1.1", True),
        (b"keep-alive, upgrade", b"websocket", "1.1", True),
        (b"keep-alive", b"websocket", "1.1", False),
        (b"Upgrade", b"websocket", "1.0", False),
        (b"Upgrade, HTTP2-Settings", b"h2c", "1.1", False),
    ],
)
def test_an_upgrade_passes_when_it_is_meant_for_us_too(
    connection: bytes, protocol: bytes, version: str, passes: bool
) -> None:
    headers = [(b"Connection", connection), (b"Upgrade", protocol), (b"HTTP2-Settings", b"AAMAAABk")]
    sent = dict(sent_on("GET", "http://printer.lan/", headers, version).headers)
    assert (sent.get(b"connection"), sent.get(b"upgrade")) == ((b"Upgrade", protocol) if passes else (None, None))
    assert b"http2-settings" not in sent


@pytest.mark.parametrize(("value", "left"), [(b"0", 0), (b"1", 1), (b"007", 7)])
def test_max_forwards_counts_down_for_options(value: bytes, left: int) -> None:
    headers = [(b"Max-Forwards", value)]
    assert forwards_left(request_of("OPTIONS", "http://printer.lan/", headers)) == left
    assert forwards_left(request_of("GET", "http://printer.lan/", headers)) is None
    sent = dict(sent_on("OPTIONS", "http://printer.lan/", headers).headers)
    assert sent[b"max-forwards"] == b"%d" % (left - 1)
    assert dict(sent_on("GET", "http://printer.lan/", headers).headers)[b"max-forwards"] == value


@pytest.mark.parametrize("values", [[b"-1"], [b"a"], [b""], [b"1", b"1"], [b"9" * 10]])
def test_max_forwards_that_is_no_number_is_refused(values: list[bytes]) -> None:
    headers = [(b"Max-Forwards", value) for value in values]
    with pytest.raises(Refusal):
        forwards_left(request_of("OPTIONS", "http://printer.lan/", headers))


def test_a_response_loses_what_was_for_us_only() -> None:
    headers = [
        (b"Date", b"today"),
        (b"Connection", b"close, X-Mine"),
        (b"X-Mine", b"1"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Authenticate", b"Basic"),
        (b"Set-Cookie", b"a"),
        (b"Set-Cookie", b"b"),
        (b"Content-Length", b"3"),
    ]
    assert passed_back(headers) == [
        (b"Date", b"today"),
        (b"Set-Cookie", b"a"),
        (b"Set-Cookie", b"b"),
        (b"Content-Length", b"3"),
        (b"Via", b"1.1 edge-test"),
    ]


def test_a_response_in_chunks_has_no_length_beside_them() -> None:
    headers = [(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"3")]
    assert passed_back(headers) == [(b"Via", b"1.1 edge-test")]


def test_a_switch_of_protocols_names_the_protocol() -> None:
    headers = [(b"Upgrade", b"websocket"), (b"Connection", b"upgrade"), (b"Sec-WebSocket-Accept", b"x")]
    response = h11.InformationalResponse(status_code=101, headers=headers)
    assert interim_for_client(response, pseudonym="edge-test").headers.raw_items() == [
        (b"Sec-WebSocket-Accept", b"x"),
        (b"Via", b"1.1 edge-test"),
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"websocket"),
    ]
