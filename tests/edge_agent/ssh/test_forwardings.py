"""Connections through the SSH server, in both directions, with OpenSSH's client: -L, -D, -W, -R, -A; and tunnels."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge_wire.listener import ListenAddress, Listener
from edge_wire.sockets import SocketStream
from edge_wire.v1 import ssh_pb2 as pb
from tests.edge_agent.ssh.ssh_node import Ssh, SshNode, lives, ssh_node
from tests.support.eventually import eventually
from tests.support.local_ports import free_port
from tests.support.services import a_service, echo

DATA = os.urandom(2_000_000)


async def exchange(port: int, data: bytes = DATA, host: str = "127.0.0.1") -> bytes:
    """Send all of it, end that direction, and return what comes back."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(data)
        writer.write_eof()
        return await asyncio.wait_for(reader.read(), 20.0)
    finally:
        writer.close()


@asynccontextmanager
async def forwarding(node: SshNode, *options: str) -> AsyncIterator[Ssh]:
    """A client that only forwards, once it does."""
    async with node.running("-N", options=[*options, "-o", "ExitOnForwardFailure=yes", "-o", "LogLevel=INFO"]) as ssh:
        await eventually(lambda: node.admin.started)
        yield ssh


async def test_a_local_port_leads_to_a_port_of_the_node_with_half_close(node: SshNode) -> None:
    port = free_port()
    async with a_service(echo) as service, forwarding(node, "-L", f"{port}:localhost:{service}"):
        await eventually(lambda: _listens(port))
        assert await asyncio.gather(*[exchange(port) for _ in range(4)]) == [DATA] * 4
    deeds = (await node.admin.end_of_a_session()).deeds
    assert list(deeds.forwardings) == [f"local localhost:{service}"]
    assert (deeds.bytes_received, deeds.bytes_sent) == (4 * len(DATA), 4 * len(DATA))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
async def test_stdin_and_stdout_are_the_connection(node: SshNode, host: str) -> None:
    async with a_service(echo) as service:
        done = await node.run(options=["-W", f"{host}:{service}"], stdin=DATA)
    assert done.out == DATA


@pytest.mark.parametrize("target", ["169.254.169.254:80", "192.0.2.7:80", "127.0.0.2:80", "localhost:10250"])
async def test_what_the_node_does_not_dial_is_prohibited(node: SshNode, target: str) -> None:
    done = await node.run(options=["-W", target, "-o", "LogLevel=INFO"])
    assert done.code == 255
    assert "administratively prohibited" in done.err


async def test_what_cannot_be_reached_is_told_from_what_is_prohibited(node: SshNode) -> None:
    done = await node.run(options=["-W", f"localhost:{free_port()}", "-o", "LogLevel=INFO"])
    assert "connect failed" in done.err
    assert "refused" in done.err


async def test_a_socks_port_works(node: SshNode) -> None:
    port = free_port()
    async with a_service(echo) as service, forwarding(node, "-D", str(port)):
        await eventually(lambda: _listens(port))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x05\x01\x00")
        assert await reader.readexactly(2) == b"\x05\x00"
        writer.write(b"\x05\x01\x00\x03\x09localhost" + service.to_bytes(2, "big"))
        assert (await reader.readexactly(10))[1] == 0
        writer.write(b"through")
        writer.write_eof()
        assert await reader.read() == b"through"
        writer.close()


async def test_a_port_of_the_node_leads_back_to_the_client(node: SshNode) -> None:
    async with a_service(echo) as service, forwarding(node, "-R", f"0:localhost:{service}") as ssh:
        assert ssh.process.stderr is not None
        line = await asyncio.wait_for(ssh.process.stderr.readline(), 10.0)
        found = re.search(rb"Allocated port (\d+)", line)
        assert found is not None
        port = int(found[1])
        assert await exchange(port) == DATA
        assert await asyncio.gather(*[exchange(port) for _ in range(3)]) == [DATA] * 3
    assert list((await node.admin.end_of_a_session()).deeds.forwardings) == [f"remote localhost:{port}"]
    assert not _listens(port)


async def test_a_port_of_the_node_is_on_loopback_whatever_was_asked_for(node: SshNode) -> None:
    port = free_port()
    async with a_service(echo) as service, forwarding(node, "-R", f"*:{port}:localhost:{service}"):
        await eventually(lambda: _listens(port))
        assert await exchange(port, b"hello") == b"hello"
        table = Path("/proc/net/tcp").read_text()
        assert f"0100007F:{port:04X}" in table
        assert f"00000000:{port:04X}" not in table


async def test_a_port_can_be_given_back(node: SshNode) -> None:
    port = free_port()
    control = ["-o", f"ControlPath={node.directory}/mux"]
    async with forwarding(node, "-M", *control):
        await eventually((node.directory / "mux").exists)
        for _ in range(2):
            spec = f"{port}:localhost:1"
            assert (await node.run(options=[*control, "-O", "forward", "-R", spec])).code == 0
            assert _listens(port)
            assert (await node.run(options=[*control, "-O", "cancel", "-R", spec])).code == 0
            await eventually(lambda: not _listens(port))


async def test_a_port_in_use_is_refused(node: SshNode) -> None:
    async with a_service(echo) as service:
        done = await node.run("-N", options=["-o", "ExitOnForwardFailure=yes", "-R", f"{service}:localhost:1"])
    assert done.code == 255


async def test_ports_are_bounded(node: SshNode) -> None:
    options = [word for _ in range(17) for word in ("-R", f"{free_port()}:localhost:1")]
    done = await node.run("-N", options=["-o", "ExitOnForwardFailure=yes", *options])
    assert done.code == 255


async def test_the_clients_agent_is_there_and_gone_with_the_client(node: SshNode) -> None:
    socket_path = str(node.directory / "agent")
    agent = await asyncio.create_subprocess_exec(
        "ssh-agent", "-D", "-a", socket_path, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        await eventually(lambda: os.path.exists(socket_path))
        environ = {"SSH_AUTH_SOCK": socket_path}
        subprocess.check_call(["ssh-add", "-q", str(node.directory / "key")], env={**os.environ, **environ})
        command = "ssh-add -l; stat -c %a $(dirname $SSH_AUTH_SOCK); echo $SSH_AUTH_SOCK"
        done = await node.run(command, options=["-A"], environ=environ)
        key, mode, path = done.lines
        assert "ED25519" in key
        assert mode == "700"
        ended = await node.admin.end_of_a_session()
        assert list(ended.deeds.forwardings) == ["agent"]
        assert not os.path.exists(os.path.dirname(path))
    finally:
        agent.kill()
        await agent.wait()


async def test_x11_is_refused(node: SshNode) -> None:
    done = await node.run("echo display:$DISPLAY", options=["-X"], environ={"DISPLAY": ":0"})
    assert done.text == "display:\n"


@pytest.mark.skipif(
    not Path("edge_agent/ssh/sftp_server.py").exists(), reason="the SFTP server is not in this tree yet"
)
@pytest.mark.parametrize("options", [[], ["-O"]], ids=["sftp", "rcp"])
async def test_files_are_copied_both_ways(node: SshNode, tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "here").write_bytes(DATA)
    for source, target in ((f"{tmp_path}/here", "alice@127.0.0.1:"), ("alice@127.0.0.1:", f"{tmp_path}/back")):
        words = [word + f"{tmp_path}/there" if word.endswith(":") else word for word in (source, target)]
        copy = await asyncio.create_subprocess_exec("scp", "-q", *options, *node.options(), *words)
        assert await asyncio.wait_for(copy.wait(), 20.0) == 0
    assert (tmp_path / "back").read_bytes() == DATA


# --- connections that come through tunnels


class Tunnel:
    """What carries bytes inside the process, as a tunnel does: no connection that the kernel could join."""

    def __init__(self, stream: SocketStream) -> None:
        self.read = stream.read
        self.write = stream.write
        self.close_write = stream.close_write
        self.abort = stream.abort


@asynccontextmanager
async def a_tunnel_to(node: SshNode, origin: pb.SshOrigin) -> AsyncIterator[int]:
    """A port whose connections the server takes as if they came through a tunnel."""
    listener = Listener(lambda stream: node.server.serve(Tunnel(stream), origin))
    place = await listener.open(ListenAddress(host="127.0.0.1", port=0))
    try:
        yield place.port
    finally:
        await listener.stop()


ORIGIN = pb.SshOrigin(principal="carol", address="203.0.113.9", tunnel_id="t-1")


async def test_a_connection_through_a_tunnel_carries_who_opened_it(node: SshNode) -> None:
    async with a_tunnel_to(node, ORIGIN) as port:
        done = await node.run("cat; echo $SSH_CLIENT >&2", port=port, stdin=DATA)
    assert (done.code, done.out, done.err) == (0, DATA, "203.0.113.9 0 22\n")
    assert node.admin.questions[0].origin == ORIGIN
    assert node.admin.started[0].origin == ORIGIN


async def test_a_server_without_a_port_serves_tunnels(tmp_path: Path) -> None:
    async with ssh_node(tmp_path, listen=None) as node, a_tunnel_to(node, ORIGIN) as port:
        assert (await node.run("echo hi", port=port)).text == "hi\n"


async def test_a_tunnel_that_breaks_ends_its_session(node: SshNode) -> None:
    async with (
        a_tunnel_to(node, ORIGIN) as port,
        node.running("echo $$; sleep 1000; :", options=["-p", str(port)]) as ssh,
    ):
        pid = int(await ssh.until(b"\n"))
        await ssh.kill()
        await eventually(lambda: not lives(pid))
        assert (await node.admin.end_of_a_session()).outcome == "connection_lost"


async def test_serving_ends_with_the_connection_even_if_the_other_end_stays(node: SshNode) -> None:
    served: list[bool] = []

    async def serve(stream: SocketStream) -> None:
        await node.server.serve(Tunnel(stream), ORIGIN)
        served.append(True)

    async with a_service(serve) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"garbage\r\n")
        assert (await asyncio.wait_for(reader.read(), 10.0)).startswith(b"SSH-2.0-")
        writer.close()
        await eventually(lambda: served)
    assert [failed.origin for failed in node.admin.failed] == [ORIGIN]


async def test_paramiko_is_not_imported_before_the_first_connection(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys, pathlib\n"
        "from tests.edge_agent.ssh.idle_server import main\n"
        f"asyncio.run(main(pathlib.Path({str(tmp_path)!r})))\n"
        "print('paramiko' in sys.modules)\n"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
