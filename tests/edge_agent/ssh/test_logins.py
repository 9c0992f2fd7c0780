"""Who gets in: what the admin is asked, what happens without it, what ends a login, and which algorithms there are."""

from __future__ import annotations

import asyncio
import re
import subprocess
from datetime import timedelta
from pathlib import Path

import paramiko
import pytest

from edge_agent.ssh import transport
from edge_agent.ssh.wire_socket import WireSocket
from tests.edge_agent.ssh.ssh_node import CREDENTIAL, PASSWORD, USER, SshNode, lives, new_key, ssh_node
from tests.support.eventually import eventually


async def test_a_key_is_asked_about_once_for_each_connection(node: SshNode) -> None:
    assert (await node.run("true")).code == 0
    (question,) = node.admin.questions
    assert (question.user, question.origin.address, question.origin.principal) == (USER, "127.0.0.1", "")
    assert question.public_key in node.admin.keys


async def test_a_password_lets_in(node: SshNode) -> None:
    def log_in(password: str) -> bool:
        with paramiko.Transport(("127.0.0.1", node.port)) as transport:
            transport.connect()
            try:
                transport.auth_password(USER, password)
            except paramiko.AuthenticationException:
                return False
            return transport.is_authenticated()

    assert await asyncio.to_thread(log_in, PASSWORD)
    assert not await asyncio.to_thread(log_in, "wrong")
    assert not await asyncio.to_thread(log_in, "x" * 100_000)
    await eventually(lambda: node.admin.failed)
    assert [failed.reason for failed in node.admin.failed] == ["refused"]
    assert [started.method for started in node.admin.started] == ["password"]


@pytest.mark.parametrize("user", ["mallory", "Bad User!", "x" * 255])
async def test_an_unknown_user_is_asked_about_like_any_other(node: SshNode, user: str) -> None:
    done = await node.run("true", user=user)
    assert done.code == 255
    assert "Permission denied (publickey,password)" in done.err
    await eventually(lambda: node.admin.failed)
    (failed,) = node.admin.failed
    assert (failed.user, failed.reason, failed.count) == (user, "refused", 1)
    assert [question.user for question in node.admin.questions] == [user]


async def test_a_user_name_longer_than_any_is_refused_without_a_question(node: SshNode) -> None:
    assert (await node.run("true", user="x" * 256)).code == 255
    assert node.admin.questions == []


async def test_the_wrong_key_does_not_get_in(node: SshNode) -> None:
    new_key(node.directory / "other")
    assert (await node.run("true", key=node.directory / "other")).code == 255
    assert node.admin.started == []


async def test_keys_that_are_none_do_not_end_the_connection_before_the_right_one(node: SshNode) -> None:
    subprocess.check_call(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", str(node.directory / "rsa")])
    options = ["-i", str(node.directory / "rsa"), "-o", "PubkeyAcceptedAlgorithms=ssh-rsa,ssh-ed25519"]
    assert (await node.run("true", options=options)).code == 0


async def test_rsa_keys_are_accepted_with_sha2_only(node: SshNode) -> None:
    path = node.directory / "rsa"
    subprocess.check_call(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", str(path)])
    node.admin.keys[paramiko.RSAKey.from_private_key_file(str(path)).asbytes()] = "rsa"
    assert (await node.run("true", key=path)).code == 0
    assert (await node.run("true", key=path, options=["-o", "PubkeyAcceptedAlgorithms=ssh-rsa"])).code == 255


@pytest.mark.parametrize(
    "option",
    [
        "KexAlgorithms=diffie-hellman-group14-sha1",
        "KexAlgorithms=diffie-hellman-group-exchange-sha1",
        "KexAlgorithms=diffie-hellman-group16-sha512",
        "Ciphers=aes128-cbc",
        "Ciphers=3des-cbc",
        "HostKeyAlgorithms=ssh-rsa",
    ],
)
async def test_old_algorithms_are_not_offered(node: SshNode, option: str) -> None:
    done = await node.run("true", options=["-o", option, "-o", "LogLevel=INFO"])
    assert done.code == 255
    assert "Unable to negotiate" in done.err


async def test_old_checksums_are_not_offered(node: SshNode) -> None:
    options = ["-o", "Ciphers=aes128-ctr", "-o", "MACs=hmac-sha1,hmac-md5", "-o", "LogLevel=INFO"]
    done = await node.run("true", options=options)
    assert "Unable to negotiate" in done.err


@pytest.mark.parametrize(
    "option",
    [
        "KexAlgorithms=curve25519-sha256",
        "KexAlgorithms=ecdh-sha2-nistp521",
        "Ciphers=aes256-gcm@openssh.com",
        "Ciphers=aes256-ctr",
        "MACs=hmac-sha2-512",
        "HostKeyAlgorithms=ecdsa-sha2-nistp256",
    ],
)
async def test_each_modern_algorithm_works_by_itself(node: SshNode, option: str) -> None:
    assert (await node.run("cat", stdin=b"x" * 100_000, options=["-o", option])).out == b"x" * 100_000


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("Compression=no", "aes128-gcm@openssh.com"),  # nothing said about ciphers: OpenSSH would like another one
        ("Ciphers=chacha20-poly1305@openssh.com,aes256-ctr,aes256-gcm@openssh.com", "aes256-gcm@openssh.com"),
        ("Ciphers=aes256-ctr,aes128-ctr", "aes256-ctr"),
    ],
)
async def test_openssh_nearby_gets_the_cipher_that_costs_least_of_those_it_takes(
    node: SshNode, option: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_NEAR_MILLISECONDS", 10_000)  # near, however busy this machine is
    options = ["-v", "-o", option, "-o", "RekeyLimit=200K", "-o", "LogLevel=DEBUG1"]
    done = await node.run("cat", stdin=b"x" * 1_000_000, options=options)
    assert done.out == b"x" * 1_000_000
    ciphers = re.findall(r"kex: (?:server->client|client->server) cipher: (\S+)", done.err)
    assert set(ciphers) == {expected}
    assert len(ciphers) > 4  # also after new keys were agreed on


async def test_openssh_far_away_gets_what_it_likes_best(node: SshNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WireSocket, "has_more", lambda *_: False)
    done = await node.run("cat", stdin=b"x" * 1_000_000, options=["-v", "-o", "LogLevel=DEBUG1"])
    assert done.out == b"x" * 1_000_000
    assert "server->client cipher: aes128-ctr" in done.err


async def test_a_client_that_waits_for_the_servers_algorithms_is_not_kept_waiting(node: SshNode) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(b"SSH-2.0-patient\r\n")
    await reader.readuntil(b"\r\n")
    async with asyncio.timeout(5):
        said = await reader.readuntil(b"curve25519-sha256")
    assert said[5] == 20  # SSH_MSG_KEXINIT, behind the length of the packet and of its padding
    writer.close()


async def test_the_post_quantum_key_exchange_works(node: SshNode) -> None:
    def agree() -> str:
        with paramiko.Transport(("127.0.0.1", node.port)) as transport:
            transport.get_security_options().kex = ("mlkem768x25519-sha256",)
            transport.connect()
            return transport.remote_version

    assert (await asyncio.to_thread(agree)).startswith("SSH-2.0-")


async def test_keys_are_exchanged_anew_in_the_middle_of_data(node: SshNode) -> None:
    data = b"0123456789" * 1_000_000
    assert (await node.run("cat", stdin=data, options=["-o", "RekeyLimit=1M"])).out == data


# --- without an admin


async def test_without_an_admin_nobody_gets_in(node: SshNode) -> None:
    await node.run("true")
    node.admin.is_there = False
    assert (await node.run("true")).code == 255
    await eventually(lambda: node.admin.failed)
    assert node.admin.failed[0].reason == "no_admin"


async def test_a_key_that_logged_in_lets_in_again_for_the_grace(tmp_path: Path) -> None:
    async with ssh_node(tmp_path, offline_grace=timedelta(hours=1)) as node:
        node.admin.is_there = False
        assert (await node.run("true")).code == 255, "it was never verified"
        node.admin.is_there = True
        assert (await node.run("true")).code == 0
        node.admin.is_there = False
        assert (await node.run("true")).code == 0
        node.clock.offset += timedelta(minutes=50)
        assert (await node.run("true")).code == 0
        node.clock.offset += timedelta(minutes=50)
        assert (await node.run("true")).code == 255


async def test_a_revoked_key_does_not_let_in_without_an_admin(tmp_path: Path) -> None:
    async with ssh_node(tmp_path, offline_grace=timedelta(hours=1)) as node:
        assert (await node.run("true")).code == 0
        node.admin.is_there = False
        node.server.end([CREDENTIAL])
        assert (await node.run("true")).code == 255


async def test_a_key_that_an_admin_refused_does_not_let_in_without_one(tmp_path: Path) -> None:
    async with ssh_node(tmp_path, offline_grace=timedelta(hours=1)) as node:
        assert (await node.run("true")).code == 0
        assert node.server.remembered() == [CREDENTIAL]
        keys, node.admin.keys = node.admin.keys, {}
        assert (await node.run("true")).code == 255
        node.admin.keys, node.admin.is_there = keys, False
        assert (await node.run("true")).code == 255
        assert node.server.remembered() == []


# --- the end of a login


async def test_a_revoked_login_ends_in_the_middle_of_its_session(node: SshNode) -> None:
    new_key(node.directory / "other")
    other = paramiko.Ed25519Key.from_private_key_file(str(node.directory / "other")).asbytes()
    node.admin.keys[other] = "key-2"
    async with (
        node.running("echo $$; exec sleep 1000") as ssh,
        node.running("cat", key=node.directory / "other") as unconcerned,
    ):
        pid = int(await ssh.until(b"\n"))
        await unconcerned.type(b"here\n")
        await unconcerned.until(b"here\n")
        assert {live.credential_id for live in node.server.live()} == {CREDENTIAL, "key-2"}
        node.server.end([CREDENTIAL, "never-heard-of"])
        assert (await ssh.wait())[0] == 255
        await eventually(lambda: not lives(pid))
        assert (await node.admin.end_of_a_session()).outcome == "revoked"
        await unconcerned.type(b"still here\n")
        await unconcerned.until(b"still here\n")
        assert [live.credential_id for live in node.server.live()] == ["key-2"]


async def test_stopping_ends_every_session(node: SshNode) -> None:
    async with node.running("echo $$; sleep 1000; :") as ssh:
        pid = int(await ssh.until(b"\n"))
        await node.server.stop()
        assert not lives(pid)
        assert (await ssh.wait())[0] == 255
    assert (await node.admin.end_of_a_session()).outcome == "node_stopped"
    assert node.server.live() == []


async def test_host_keys_stay_and_are_private(node: SshNode) -> None:
    first = list(node.server.facts.host_keys)
    assert [line.split()[0] for line in first] == ["ssh-ed25519", "ecdsa-sha2-nistp256"]
    files = sorted((node.directory / "data/ssh").glob("host-*"))
    assert [oct(path.stat().st_mode & 0o777) for path in files] == ["0o600", "0o600"]
    again = type(node.server)(
        settings=node.server._settings,
        data_dir=node.directory / "data",
        policy=node.server._policy,
        authority=node.admin,
        now=node.clock,
    )
    assert list(again.facts.host_keys) == first
