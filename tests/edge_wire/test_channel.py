"""Checks how an admin's URL becomes a gRPC target: strictly, since a target may also name a file or a resolver; and
how long the channel to it may take."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv6Address

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_wire.certificates import new_authority
from edge_wire.channel import open_channel, target_of
from edge_wire.errors import InvalidValue, SecretInvalid
from edge_wire.v1 import session_pb2, session_pb2_grpc
from tests.support.services import a_service, silence

HOST = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{1,10}){0,3}", fullmatch=True)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://admin.example.org:8443", "admin.example.org:8443"),
        ("https://admin.example.org", "admin.example.org:44100"),
        ("https://admin.example.org/", "admin.example.org:44100"),
        ("https://192.0.2.1:1", "192.0.2.1:1"),
        ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ("https://[::1]", "[::1]:44100"),
        ("HTTPS://Admin:65535", "admin:65535"),
        # A host may be called like one of gRPC's resolvers.
        ("https://unix:5", "unix:5"),
    ],
)
def test_a_url_becomes_host_and_port(url: str, target: str) -> None:
    assert target_of(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "admin",
        "admin:44100",
        "//admin:44100",
        "http://admin:44100",
        "grpc://admin:44100",
        "unix:/run/admin.sock",
        "unix:///run/admin.sock",
        "dns:///admin:44100",
        "https:admin",
        "https://",
        "https://:44100",
        "https://admin/path",
        "https://admin?query",
        "https://admin:port",
        "https://admin:-1",
        "https://admin:65536",
        "https://admin: 1",
        "https://admin:١",
        "https://[::1",
        "https://::1]:5",
        "https://ℂ℀/",
        "https://admin:0",
        "https://name:secret@admin:44100",
        "https://admin#part",
        "https://ad min",
        "https://admin\x00",
        "https://admin,other:44100",
        "https://admin%2f",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(InvalidValue, match="is not an admin URL: https://host:port"):
        target_of(url)


@settings(deadline=None, derandomize=True)
@given(HOST, st.integers(1, 65535))
def test_every_host_and_port_are_kept(host: str, port: int) -> None:
    assert target_of(f"https://{host}:{port}") == f"{host}:{port}"


@settings(deadline=None, derandomize=True)
@given(st.ip_addresses(v=6), st.integers(1, 65535))
def test_every_ipv6_address_keeps_its_brackets(address: IPv6Address, port: int) -> None:
    assert target_of(f"https://[{address}]:{port}") == f"[{address}]:{port}"


@settings(deadline=None, derandomize=True)
@given(st.text() | st.text().map(lambda text: f"https://{text}"))
def test_whatever_is_given_there_is_a_target_or_one_kind_of_error(url: str) -> None:
    try:
        host, _, port = target_of(url).rpartition(":")
    except InvalidValue:
        return
    assert host
    assert 1 <= int(port) <= 65535


async def test_a_server_that_never_shakes_hands_is_given_up_in_time() -> None:
    authority = new_authority("a")
    async with a_service(silence) as port:
        url = f"https://127.0.0.1:{port}"
        async with open_channel(url, [authority.der], connect_within=timedelta(milliseconds=200)) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await session_pb2_grpc.NodeGateStub(channel).Enroll(session_pb2.EnrollRequest(), timeout=5)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE  # not the call's own deadline


def test_without_a_ca_there_is_no_channel() -> None:
    with pytest.raises(SecretInvalid, match="no CA certificate to trust"):
        open_channel("https://admin:44100", [])
