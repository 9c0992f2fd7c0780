"""What people and machines get wrong: the documented code, one clear line, and nothing half-written."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import ssl
import uuid
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from sqlalchemy.engine import URL

from edge_agent.identity import load_or_make_keys
from edge_agent.status import collect_status, render
from edge_server.commands.stdin_spool import FileSpool
from edge_server.db.engine import make_engine
from edge_wire import calls, certificates, credentials
from edge_wire.channel import open_channel
from edge_wire.errors import (
    AdminUntrusted,
    ArgvInvalid,
    ClusterNotFound,
    EdgeError,
    FrameInvalid,
    LabelInvalid,
    MessageTooLarge,
    NameInvalid,
    NodeAmbiguous,
    StreamBroken,
    Unauthenticated,
)
from edge_wire.v1 import cluster_pb2, command_pb2, node_pb2, session_pb2, session_pb2_grpc
from edge_wire.version import protocol
from edgectl.connect import connected_to
from tests.support.eventually import eventually
from tests.support.harness import MASTER_KEY, Installation, installation
from tests.support.programs import Finished, run_program


async def enroll(site: Installation, key: str, name: str = "new") -> Finished:
    """`edge-agent enroll`, with the key on its standard input."""
    environ = {"DATA_DIR": str(site.directory / name)}
    return await run_program("edge_agent", "enroll", "--key-file", "-", environ=environ, stdin=key.encode())


async def assert_no_node(site: Installation) -> None:
    """No node was made, and the agent's directory has no identity."""
    assert await site.nodes() == []
    assert not (site.directory / "new" / "identity.json").exists()


async def test_a_wrong_token_is_refused_and_nothing_is_stored(site: Installation) -> None:
    secret = credentials.decode_login(site.admin.login)
    secret.token = "edge_op_wrong"
    environ = {"EDGECTL_CONFIG_DIR": str(site.directory / "fresh")}
    words = ("login", "--keyring", "file")
    done = await run_program("edgectl", *words, environ=environ, stdin=credentials.encode_login(secret).encode())
    assert done.code == 6
    assert done.err.startswith("edgectl: unauthenticated: ")
    assert not (site.directory / "fresh").exists()


async def test_a_refusal_says_what_to_type_and_which_request_it_was(site: Installation) -> None:
    for token in ("edge_op_wrong", "x" * 600):
        async with site.operator(token=token) as nobody:
            with pytest.raises(Unauthenticated) as refused:
                await nobody.call(nobody.nodes.List, node_pb2.ListNodesRequest())
        assert refused.value.hint == "log in anew: edgectl login"
        assert uuid.UUID(refused.value.request_id).version == 4


async def test_an_agent_whose_node_is_gone_is_told_to_enroll_anew(site: Installation) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await _open_session(site, [], token="edge_node_wrong")
    assert "enroll it anew" in refused.value.hint


@pytest.mark.parametrize("text", ["", "el1.", "el1.%%%", "ek1.AAAA", "hello", "el1." + "A" * 20_000])
async def test_a_damaged_login_string_is_refused(site: Installation, text: str) -> None:
    environ = {"EDGECTL_CONFIG_DIR": str(site.directory / "fresh")}
    done = await run_program("edgectl", "login", "--keyring", "file", environ=environ, stdin=text.encode())
    assert (done.code, done.err.split(": ")[1]) == (2, "secret_invalid")
    assert not (site.directory / "fresh").exists()


async def test_without_a_login_every_command_says_what_to_type(tmp_path: Path) -> None:
    done = await run_program("edgectl", "node", "list", environ={"EDGECTL_CONFIG_DIR": str(tmp_path)})
    assert (done.code, done.err.split(": ")[1]) == (6, "not_logged_in")
    assert "edgectl login, or edgectl demo up" in done.err


async def test_an_expired_enrollment_key(site: Installation) -> None:
    key = await site.enrollment_key(expires_in=Duration(nanos=1_000_000))
    done = await enroll(site, key)
    assert (done.code, done.err.splitlines()[0]) == (
        6,
        "edge-agent: enrollment_key_expired: The enrollment key has expired",
    )
    await assert_no_node(site)


async def test_a_spent_enrollment_key(site: Installation) -> None:
    key = await site.enrollment_key(uses=1)
    assert (await enroll(site, key, "first")).code == 0
    done = await enroll(site, key)
    assert done.code == 6
    assert "enrollment_key_spent" in done.err
    assert len(await site.nodes()) == 1
    assert not (site.directory / "new" / "identity.json").exists()


async def test_the_same_agent_may_ask_again_and_spends_no_further_use(site: Installation) -> None:
    key = await site.enrollment_key(uses=2)
    assert (await enroll(site, key, "first")).code == 0
    (site.directory / "first" / "identity.json").unlink()  # as if the answer had been lost
    assert (await enroll(site, key, "first")).code == 0
    assert len(await site.nodes()) == 1
    listed = json.loads((await site.edgectl("enroll-key", "list", "-o", "json")).text)
    assert listed[0]["uses_left"] == 1


@pytest.mark.root
async def test_a_place_that_takes_no_units_is_found_before_enrolling(site: Installation) -> None:
    words = ("install", "--key-file", "-", "--unit-dir", "/proc/units")
    environ = {"DATA_DIR": str(site.directory / "new")}
    key = (await site.enrollment_key()).encode()
    done = await run_program("edge_agent", *words, environ=environ, stdin=key)
    assert (done.code, "directory_not_writable" in done.err) == (10, True), done.err
    await assert_no_node(site)


async def test_the_agent_says_its_version_and_where_its_settings_are_explained() -> None:
    version = await run_program("edge_agent", "--version", environ={})
    assert (version.code, version.text.split()[0]) == (0, "edge-agent")
    assert "docs/reference/settings.md" in (await run_program("edge_agent", "--help", environ={})).text


async def test_a_name_that_another_node_has_is_said_to_be_taken(site: Installation) -> None:
    await site.add_agent("edge01")
    environ = {"DATA_DIR": str(site.directory / "new"), "NODE_ALIAS": "edge01"}
    key = (await site.enrollment_key()).encode()
    done = await run_program("edge_agent", "enroll", "--key-file", "-", environ=environ, stdin=key)
    assert done.code == 0
    assert "enrolled as node-" in done.err
    assert "the name edge01 is taken" in done.err
    environ = {**environ, "DATA_DIR": str(site.directory / "other"), "ENROLLMENT_KEY": await site.enrollment_key()}
    running = await site.start_program("edge_agent", "run", environ=environ, log="other.log")
    await eventually(lambda: "the name edge01 is taken" in running.output, within=20.0)


async def test_the_agent_of_a_cloned_machine_is_told_what_to_do(site: Installation) -> None:
    await site.add_agent("edge01")
    (site.directory / "copy").mkdir()
    for name in ("keys.json", "identity.json"):
        shutil.copy(site.directory / "edge01" / name, site.directory / "copy" / name)
    await site.start_agent_without_wait("copy")
    await eventually(lambda: "identity_in_use" in render(collect_status(site.directory / "edge01")), within=20.0)
    assert "enroll it anew" in render(collect_status(site.directory / "edge01"))


async def test_a_deleted_enrollment_key(site: Installation) -> None:
    key = await site.enrollment_key()
    key_id = credentials.decode_enrollment(key).key_id
    assert (await site.edgectl("enroll-key", "delete", key_id, "--yes")).code == 0
    done = await enroll(site, key)
    assert (done.code, "enrollment_key_invalid" in done.err) == (6, True)
    await assert_no_node(site)


async def test_a_key_of_another_installation(site: Installation, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with installation(tmp_path / "other") as other:
        await other.start_admin()
        foreign = credentials.decode_enrollment(await other.enrollment_key())
    foreign.admin_urls[:] = site.admin.address.urls
    done = await enroll(site, credentials.encode_enrollment(foreign))
    assert (done.code, "admin_untrusted" in done.err) == (6, True), done.err
    foreign.ca_certificate = site.admin.authority.der
    done = await enroll(site, credentials.encode_enrollment(foreign))
    assert (done.code, "enrollment_key_invalid" in done.err) == (6, True), done.err
    await assert_no_node(site)


async def test_a_node_certificate_is_never_an_admin(site: Installation) -> None:
    authority = site.admin.authority
    key = certificates.new_key()
    leaf = certificates.sign_leaf(authority, role="node", subject_id="n1", public_key=key.public_key())
    chain = site.directory / "chain.pem"
    chain.write_bytes(certificates.to_pem(leaf) + certificates.to_pem(authority.der) + certificates.key_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    context.set_alpn_protocols(["h2"])
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        channel = open_channel(f"https://127.0.0.1:{port}", [authority.der])
        stub = session_pb2_grpc.NodeGateStub(channel)
        with pytest.raises(AdminUntrusted):
            await calls.call(stub.Enroll, session_pb2.EnrollRequest())
        await channel.close()


async def test_a_cloned_data_directory_is_refused_and_the_first_keeps_its_session(site: Installation) -> None:
    await site.add_agent("edge01")
    shutil.copytree(
        site.directory / "edge01", site.directory / "clone", ignore=shutil.ignore_patterns("runner", "lock")
    )
    clone = await site.start_agent_without_wait("clone")

    def is_told() -> bool:
        status = json.loads((site.directory / "clone" / "status.json").read_text())
        first = json.loads((site.directory / "edge01" / "status.json").read_text())
        return "identity_in_use" in json.dumps([status, first])

    await eventually(is_told, within=20.0, what="one of the two is told")
    node = (await site.nodes())[0]
    assert node.status == node_pb2.NODE_STATUS_CONFLICT
    site.agents.pop("clone")
    await clone.stop()


async def test_an_ambiguous_node(site: Installation) -> None:
    await site.edgectl("cluster", "create", "oslo")
    await site.add_agent("web")
    key = await site.enrollment_key("oslo")
    await site.start_agent_without_wait("other", enrollment_key=key, node_alias="web")
    await eventually(lambda: _count_nodes(site, 2))
    done = await site.edgectl("exec", "web", "-o", "json", "--", "true")
    error = json.loads(done.text)
    assert (done.code, error["code"], error["started"]) == (255, NodeAmbiguous.code, False)
    assert "web.default" in done.err
    assert "web.oslo" in done.err
    assert (await site.edgectl("exec", "web.oslo", "--", "echo", "it")).text == "it\n"


@pytest.mark.parametrize(("module", "words"), [("edge_server", ["serve"]), ("edge_agent", ["run"])])
async def test_a_data_directory_that_cannot_be_written(tmp_path: Path, module: str, words: list[str]) -> None:
    (tmp_path / "file").write_text("")
    done = await run_program(module, *words, environ={"DATA_DIR": str(tmp_path / "file" / "data")})
    assert (done.code, "directory_not_writable" in done.err) == (10, True), done.err
    assert "Traceback" not in done.err


async def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = await run_program("edge_server", "serve", environ={"DATA_DIR": str(tmp_path), "GRPC_LISTEN": listen})
    assert (done.code, "port_in_use" in done.err, listen in done.err) == (10, True, True), done.err
    assert f"made secrets in {tmp_path / 'secrets.json'}" in done.err


@pytest.mark.sqlite
async def test_a_second_admin_on_the_same_sqlite_file(site: Installation) -> None:
    environ = {"DATA_DIR": str(site.directory / "admin"), "GRPC_LISTEN": "127.0.0.1:0"}
    done = await run_program("edge_server", "serve", environ=environ)
    assert (done.code, "database_in_use" in done.err) == (10, True), done.err


@pytest.mark.sqlite
async def test_a_database_newer_than_the_program(bare: Installation) -> None:
    await bare.start_admin()
    engine = make_engine(URL.create("sqlite", database=str(bare.directory / "admin" / "edge-server.db")), pool_size=1)
    await bare.stop_admin()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE compatibility SET oldest_generation = 99")
    engine.dispose()
    environ = {"DATA_DIR": str(bare.directory / "admin"), "GRPC_LISTEN": "127.0.0.1:0"}
    done = await run_program("edge_server", "serve", environ=environ)
    assert (done.code, "database_newer" in done.err) == (10, True), done.err


async def test_a_database_that_is_down_at_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environ = {
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": f"postgresql://someone:hidden-word@127.0.0.1:{port}/edge",
        "MASTER_KEY": MASTER_KEY,
        "ENCRYPTION_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    }
    done = await run_program("edge_server", "serve", environ=environ)
    assert (done.code, "database_unavailable" in done.err) == (9, True), done.err
    assert "hidden-word" not in done.err


async def test_garbage_on_the_port_disturbs_nobody(site: Installation) -> None:
    await site.add_agent("edge01")
    for garbage in (b"\x00" * 4096, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 4096):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.admin.address.port)
        writer.write(garbage)
        writer.write_eof()
        await reader.read()
        writer.close()
    assert (await site.edgectl("exec", "edge01", "--", "echo", "fine")).text == "fine\n"


async def test_a_session_without_a_credential_and_frames_that_are_none(site: Installation) -> None:
    ping = session_pb2.AgentFrame(ping=session_pb2.Ping(nonce=1)).SerializeToString()
    with pytest.raises(Unauthenticated):
        await _open_session(site, [ping], token="edge_node_wrong")
    with pytest.raises(Unauthenticated):
        await _open_session(site, [b"\xff" * 1000], token="")
    await site.add_agent("edge01")
    token = load_or_make_keys(site.directory / "edge01").token
    with pytest.raises(FrameInvalid):
        await _open_session(site, [ping], token=token)
    with pytest.raises(EdgeError):
        await _open_session(site, [b"\xff" * 1000], token=token)
    assert (await site.edgectl("exec", "edge01", "--", "echo", "fine")).text == "fine\n"


async def test_a_session_frame_that_is_too_large_ends_the_session_with_the_reason(site: Installation) -> None:
    key = await site.enrollment_key()
    assert (await enroll(site, key)).code == 0
    token = load_or_make_keys(site.directory / "new").token
    hello = session_pb2.AgentFrame(
        hello=session_pb2.Hello(protocol=protocol(), instance_id=str(uuid.uuid4()), agent_version="0")
    )
    chunk = command_pb2.OutputChunk(stream=command_pb2.OUTPUT_STREAM_STDOUT, data=b"x" * 2_000_000)
    report = session_pb2.ExecutionReport(execution_id=str(uuid.uuid4()), output=chunk)
    large = session_pb2.AgentFrame(reports=session_pb2.ExecutionReports(reports=[report]))
    with pytest.raises(MessageTooLarge):
        await _open_session(site, [hello.SerializeToString(), large.SerializeToString()], token=token)


async def test_a_message_that_is_too_large(site: Installation) -> None:
    async with site.operator() as admin:
        spec = command_pb2.CommandSpec(shell="x" * 5_000_000)
        with pytest.raises(MessageTooLarge):
            await admin.call(admin.commands.Create, command_pb2.CreateCommandRequest(spec=spec))
        request = command_pb2.CreateCommandRequest(spec=command_pb2.CommandSpec(shell="a\x00b"))
        request.selector.all = True
        with pytest.raises(ArgvInvalid):
            await admin.call(admin.commands.Create, request)


async def test_names_and_labels_with_control_characters(site: Installation) -> None:
    await site.add_agent("edge01")
    async with site.operator() as admin:
        with pytest.raises(NameInvalid) as name:
            await admin.call(admin.nodes.AddAlias, node_pb2.AddAliasRequest(node="edge01", alias="a\x1b[31mb"))
        assert "\x1b" not in name.value.message
        with pytest.raises(NameInvalid):
            await admin.call(admin.clusters.Create, cluster_pb2.CreateClusterRequest(name="os\nlo"))
        request = node_pb2.UpdateNodeRequest(node="edge01", set_labels={"site": "a\x07b"})
        with pytest.raises(LabelInvalid) as label:
            await admin.call(admin.nodes.Update, request)
        assert "\x07" not in label.value.message
        with pytest.raises(ClusterNotFound) as cluster:
            await admin.call(admin.nodes.Move, node_pb2.MoveNodeRequest(node="edge01", cluster="\x1b]0;x\x07"))
        assert "\x1b" not in cluster.value.message
    assert [(node.name, dict(node.labels)) for node in await site.nodes()] == [("edge01", {})]


async def test_control_characters_in_what_a_node_says_of_itself_reach_no_terminal(site: Installation) -> None:
    await site.add_agent("edge01")
    done = await site.edgectl("exec", "edge01", "--", "bad\x1b[2Jprogram")
    assert done.code == 127
    assert "\x1b" not in done.err


@pytest.mark.parametrize("years", ["-20y", "+20y"])
async def test_an_agent_with_a_clock_twenty_years_off_enrolls_and_works(site: Installation, years: str) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed")
    key = await site.enrollment_key()
    environ = {"DATA_DIR": str(site.directory / "edge01"), "NODE_ALIAS": "edge01", "ENROLLMENT_KEY": key}
    await site.start_program("edge_agent", "run", environ=environ, log="edge01.log", prefix=("faketime", "-f", years))
    node = await site.wait_status("edge01", node_pb2.NODE_STATUS_ONLINE)
    assert abs(node.clock_skew_ms) > 19 * 365 * 86_400_000
    done = await site.edgectl("exec", "edge01", "--timeout", "20s", "--", "echo", "works")
    assert (done.code, done.text) == (0, "works\n"), done.err


async def test_the_admin_refuses_a_context_of_another_installation(site: Installation, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with installation(tmp_path / "other") as other:
        await other.start_admin()
        context = other.context()
        ours = site.context()
        wrong = type(context)(
            name="wrong", admin_urls=ours.admin_urls, ca_certificate=context.ca_certificate, store="file"
        )
        async with connected_to(wrong, MASTER_KEY) as admin:
            with pytest.raises(AdminUntrusted):
                await admin.call(admin.nodes.List, node_pb2.ListNodesRequest())


async def _count_nodes(site: Installation, count: int) -> bool:
    return len(await site.nodes()) == count


async def test_stdin_that_never_ends_is_refused_when_a_node_has_not_begun_to_read(
    pair: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileSpool, "limit", 2 * 1024 * 1024)
    words = ("exec", "--all", "--fanout", "1", "--stdin", "/dev/zero", "-o", "json", "--", "sleep", "1000")
    done = await pair.edgectl(*words)
    assert (done.code, json.loads(done.text)["code"]) == (2, "stdin_too_large")
    assert "raise --fanout" in done.err
    command = json.loads((await pair.edgectl("command", "list", "-o", "json")).text)[0]["id"]
    waited = await pair.edgectl("command", "wait", command, "-o", "json")
    assert json.loads(waited.text)["counts"]["not_started"] == 1


async def test_a_line_of_fifty_megabytes_is_shown_in_pieces_and_held_by_nobody(pair: Installation) -> None:
    shell = "head -c 50000000 /dev/zero | tr '\\0' x"
    done = await pair.edgectl("exec", "edge01,edge01", "--shell", "--", shell)
    assert done.code == 0, done.err
    shown = sum(len(line.removeprefix("edge01: ")) for line in done.lines)
    missing = sum(int(found) for found in re.findall(r"\[(\d+) bytes of stdout are missing\]", done.err))
    assert shown + missing == 50_000_000
    assert max(len(line) for line in done.lines) < 70_000


async def _open_session(site: Installation, frames: list[bytes], *, token: str) -> None:
    """Send raw bytes as the frames of a session and read until it ends. Raises EdgeError.

    The reason is lost when it arrives while a frame is being written; agents try again then, and so does this.
    """
    for _ in range(10):
        with suppress(StreamBroken):
            return await _send_frames(site, frames, token=token)
    raise StreamBroken


async def _send_frames(site: Installation, frames: list[bytes], *, token: str) -> None:
    channel = open_channel(site.admin.address.urls[0], [site.admin.authority.der])
    try:
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
            "/edge_wire.v1.NodeGate/Session"
        )
        conversation = calls.converse(method, token=token)
        for frame in frames:
            await conversation.write(frame)
        async for _ in conversation:
            continue
    finally:
        await channel.close()
