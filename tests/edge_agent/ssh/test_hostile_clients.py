"""Clients that are none, or mean no good: bounded in time and number, reported, and gone without a trace."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from datetime import timedelta
from pathlib import Path

import paramiko
import pytest
from paramiko.message import Message

from tests.edge_agent.ssh.ssh_node import PASSWORD, USER, SshNode, eventually_as_before, lives, ssh_node, what_is_there
from tests.support.eventually import eventually
from tests.support.services import a_service, echo

VERSION = b"SSH-2.0-test\r\n"


async def say(node: SshNode, data: bytes) -> bytes:
    """Send this; returns everything that the server says until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(), 10.0)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def failure(node: SshNode) -> str:
    """The reason of the only failure that was reported."""
    await eventually(lambda: node.admin.failed)
    (failed,) = node.admin.failed
    return failed.reason


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
        b"\0" * 100_000,
        b"SSH-1.5-old\r\n",
        b"SSH-2.0-" + b"x" * 100_000,
        VERSION + os.urandom(100_000),
        VERSION + b"\xff\xff\xff\xff" + b"x" * 100_000,
        VERSION + b"\0\0\0\0\0\0\0\0" * 10,
        VERSION + b"\0\0\0\x0c\x0a\x14" + b"\0" * 100,
    ],
    ids=["http", "zeros", "version 1", "long version", "noise", "4 GiB packet", "empty packets", "empty offer"],
)
async def test_garbage_is_closed_at_once(node: SshNode, data: bytes) -> None:
    await say(node, data)
    assert await failure(node) == "garbage"


@pytest.mark.parametrize("data", [b"", b"SSH-2", VERSION], ids=["nothing", "half a version", "a version"])
async def test_a_client_that_stops_in_the_handshake_is_closed_in_time(tmp_path: Path, data: bytes) -> None:
    async with ssh_node(tmp_path, login_grace=timedelta(seconds=0.3)) as node:
        await say(node, data)
        assert await failure(node) == "timed_out"


async def test_a_client_that_leaves_is_no_failure_of_ours(node: SshNode) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(VERSION)
    writer.close()
    assert await failure(node) == "left"


async def test_ten_thousand_attempts_leave_nothing_and_are_a_few_reports(node: SshNode) -> None:
    before = await what_is_there()
    loop = asyncio.get_running_loop()

    def knock(number: int) -> None:
        for index in range(number):
            with socket.socket() as client:
                client.connect(("127.0.0.1", node.port))
                client.sendall((b"", b"GET / HTTP/1.0\r\n\r\n", VERSION)[index % 3])

    await asyncio.gather(*[loop.run_in_executor(None, knock, 2500) for _ in range(4)])
    await eventually_as_before(before)
    assert (await node.run("echo still here")).text == "still here\n"
    node.server._failed_logins.flush()
    assert sum(failed.count for failed in node.admin.failed) == 10_000
    assert len(node.admin.failed) < 20
    assert node.admin.questions[:-1] == []


async def test_connections_that_do_not_log_in_are_bounded_for_each_address(node: SshNode) -> None:
    waiting = [await asyncio.open_connection("127.0.0.1", node.port) for _ in range(8)]
    for reader, _ in waiting:
        assert await reader.readline()
    assert await say(node, b"") == b""
    assert await failure(node) == "too_many"
    waiting.pop()[1].close()
    await eventually(lambda: len(node.admin.failed) == 2)
    assert (await node.run("true")).code == 0
    for _, writer in waiting:
        writer.close()


async def test_sessions_are_bounded(tmp_path: Path) -> None:
    async with ssh_node(tmp_path, max_sessions=1) as node:
        async with node.running("cat") as first:
            await first.type(b"here\n")
            await first.until(b"here\n")
            assert (await node.run("true")).code == 255
            assert await failure(node) == "too_many"
        await eventually(lambda: node.admin.ended)
        assert (await node.run("true")).code == 0


async def test_attempts_are_bounded_for_each_connection(node: SshNode) -> None:
    def guess() -> int:
        with paramiko.Transport(("127.0.0.1", node.port)) as transport:
            transport.connect()
            for number in range(100):
                try:
                    transport.auth_password("alice", f"guess {number}")
                except paramiko.AuthenticationException:
                    continue
                except (paramiko.SSHException, EOFError):
                    return number
        return 100

    assert await asyncio.to_thread(guess) < 10
    assert len(node.admin.questions) == 6
    assert await failure(node) == "refused"


async def test_channels_are_bounded_for_each_connection(tmp_path: Path) -> None:
    async with ssh_node(tmp_path, max_channels=3) as node:
        control = ["-o", f"ControlPath={tmp_path}/mux"]
        async with node.running("cat", options=[*control, "-M"]) as master:
            await master.type(b"here\n")
            await master.until(b"here\n")
            async with node.running("cat", options=control), node.running("cat", options=control) as third:
                await third.type(b"here\n")
                await third.until(b"here\n")
                done = await node.run("true", options=[*control, "-o", "ControlMaster=no"])
                assert "Session open refused" in done.err or done.code != 0
            assert (await node.run("true", options=control)).code == 0


async def test_a_burst_of_connections_is_bounded_before_any_of_them_is_there(tmp_path: Path) -> None:
    def ask_for_many(port: int, number: int) -> list[bool]:
        with paramiko.Transport(("127.0.0.1", node.port)) as transport:
            transport.connect(username=USER, password=PASSWORD)
            opened = [threading.Event() for _ in range(number)]
            channels = [paramiko.Channel(index) for index in range(number)]
            for event, channel in zip(opened, channels, strict=True):
                index = channel.get_id()
                transport._channels.put(index, channel)  # type: ignore[attr-defined]
                transport.channel_events[index] = event
                transport.channels_seen[index] = True
                channel._set_transport(transport)  # type: ignore[attr-defined]
                channel._set_window(2**21, 2**15)  # type: ignore[attr-defined]
                transport._send_user_message(direct_connection(index, port))  # type: ignore[attr-defined]
            assert all(event.wait(10.0) for event in opened)
            return [channel.active for channel in channels]

    async with ssh_node(tmp_path, max_channels=3) as node, a_service(echo) as port:
        assert sum(await asyncio.to_thread(ask_for_many, port, 40)) == 3


def direct_connection(channel: int, port: int) -> Message:
    message = Message()
    message.add_byte(bytes([90]))  # RFC 4254, section 5.1: SSH_MSG_CHANNEL_OPEN
    message.add_string("direct-tcpip")
    for number in (channel, 2**21, 2**15):
        message.add_int(number)
    message.add_string("127.0.0.1")
    message.add_int(port)
    message.add_string("127.0.0.1")
    message.add_int(1)
    return message


async def test_messages_that_make_a_server_count_to_four_billion_do_not(node: SshNode) -> None:
    def send(kind: int) -> bool:
        with paramiko.Transport(("127.0.0.1", node.port)) as transport:
            transport.connect()
            message = Message()
            message.add_byte(bytes([kind]))
            message.add_int(0xFFFFFFFF)
            transport._send_message(message)  # type: ignore[attr-defined]
            try:
                transport.auth_none("alice")
            except paramiko.BadAuthenticationType:
                return True
            except (paramiko.SSHException, EOFError):
                return False
        return False

    assert await asyncio.to_thread(send, 7), "what a client announces is passed over"
    await asyncio.to_thread(send, 61)  # answers to questions that were never put
    await eventually(lambda: len(node.admin.failed) == 1)


async def test_more_data_than_was_allowed_ends_the_connection(node: SshNode) -> None:
    def flood() -> bool:
        key = paramiko.Ed25519Key.from_private_key_file(str(node.directory / "key"))
        with paramiko.Transport(("127.0.0.1", node.port)) as transport:
            transport.connect(username="alice", pkey=key)
            channel = transport.open_session()
            channel.exec_command("sleep 1000")
            channel.out_window_size = 2**31
            try:
                for _ in range(2000):
                    channel.sendall(b"x" * 30_000)
                    if not transport.is_active():
                        return True
            except (OSError, EOFError):
                return True
        return False

    assert await asyncio.to_thread(flood)
    assert (await node.admin.end_of_a_session()).outcome == "connection_lost"


async def test_a_session_that_is_cut_ends(node: SshNode) -> None:
    async with node.running("echo $$; exec sleep 1000") as ssh:
        pid = int(await ssh.until(b"\n"))
        await ssh.kill()
        await eventually(lambda: not lives(pid))
    assert (await node.admin.end_of_a_session()).outcome == "connection_lost"


async def test_a_client_that_answers_nothing_any_more_is_given_up(tmp_path: Path) -> None:
    async with ssh_node(tmp_path, keepalive=timedelta(seconds=0.05)) as node:
        async with node.running("cat") as ssh:
            await ssh.type(b"here\n")
            await ssh.until(b"here\n")
            os.kill(ssh.process.pid, 19)
            ended = await node.admin.end_of_a_session()
        assert ended.outcome == "connection_lost"


async def test_a_silent_client_that_answers_is_kept(tmp_path: Path) -> None:
    """Asked often enough that one which does not answer would be given up, and rarely enough for a busy machine."""
    async with ssh_node(tmp_path, keepalive=timedelta(seconds=0.15)) as node:
        assert (await node.run("sleep 4; echo here")).text == "here\n"
