"""Checks what a failed call becomes: the same error on the other side, and a telling one where only gRPC spoke."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from edge_wire import errors
from edge_wire.calls import ERROR_DETAIL_TRAILER, Conversation, bearer, converse, to_detail, translate_status
from edge_wire.errors import BY_CODE, EdgeError, Started
from edge_wire.v1 import error_pb2

REFUSED = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:44100: "
    "Failed to connect to remote host: connect: Connection refused (111)"
)
UNTRUSTED = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:44100: Ssl handshake failed: "
    "SSL_ERROR_SSL: error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED"
)


def over_the_wire(error: EdgeError, request_id: str = "r-7") -> EdgeError:
    trailing: dict[str, str | bytes] = {ERROR_DETAIL_TRAILER: to_detail(error, request_id).SerializeToString()}
    return translate_status(grpc.StatusCode[error.status], "anything", trailing)


@pytest.mark.parametrize("kind", BY_CODE.values(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("started", ["no", "yes", "unknown"])
def test_every_error_is_the_same_on_the_other_side(kind: type[EdgeError], started: Started) -> None:
    said = kind("what and why", hint="edgectl node list", started=started)
    heard = over_the_wire(said)
    assert type(heard) is kind
    assert (heard.message, heard.hint, heard.started) == ("what and why", "edgectl node list", started)
    assert heard.request_id == "r-7"
    assert heard.may_be_repeated == said.may_be_repeated


def test_an_internal_error_stays_one() -> None:
    heard = over_the_wire(errors.Internal("TypeError"))
    assert (heard.code, heard.message, heard.exit_code) == ("internal", "TypeError", 1)


def test_the_detail_says_that_an_unknown_start_is_not_to_be_repeated() -> None:
    assert to_detail(errors.NodeOffline(), "r-7").retryable
    assert not to_detail(errors.NodeOffline(started="unknown"), "r-7").retryable


def test_a_detail_that_does_not_say_whether_something_started_means_unknown() -> None:
    detail = error_pb2.ErrorDetail(code="node_offline", message="gone").SerializeToString()
    heard = translate_status(grpc.StatusCode.UNAVAILABLE, "", {ERROR_DETAIL_TRAILER: detail})
    assert heard.started == "unknown"
    assert not heard.may_be_repeated


def test_the_detail_wins_over_the_status() -> None:
    detail = to_detail(errors.TokenNotFound("no token ci"), "").SerializeToString()
    heard = translate_status(grpc.StatusCode.UNKNOWN, "no token ci", {ERROR_DETAIL_TRAILER: detail})
    assert type(heard) is errors.TokenNotFound


def test_a_damaged_detail_falls_back_to_the_status() -> None:
    heard = translate_status(grpc.StatusCode.UNAUTHENTICATED, "", {ERROR_DETAIL_TRAILER: b"\xff\xff"})
    assert type(heard) is errors.Unauthenticated


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, REFUSED, errors.Unavailable),
        (grpc.StatusCode.UNAVAILABLE, UNTRUSTED, errors.AdminUntrusted),
        (grpc.StatusCode.UNAVAILABLE, "Hostname Verification Check failed.", errors.AdminUntrusted),
        (grpc.StatusCode.UNAVAILABLE, "Socket closed", errors.StreamBroken),
        (grpc.StatusCode.UNAVAILABLE, "", errors.StreamBroken),
        (grpc.StatusCode.CANCELLED, "", errors.StreamBroken),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", errors.DeadlineExceeded),
        (grpc.StatusCode.UNIMPLEMENTED, "Method not found!", errors.MethodUnimplemented),
        (grpc.StatusCode.UNAUTHENTICATED, "", errors.Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, "", errors.Denied),
        (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "CLIENT: Received message larger than max (70000000 vs. 67108864)",
            errors.MessageTooLarge,
        ),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Bandwidth exhausted", errors.Internal),
        (grpc.StatusCode.UNKNOWN, "Exception calling application", errors.Internal),
        (grpc.StatusCode.INTERNAL, "", errors.Internal),
    ],
)
def test_what_grpc_itself_says_has_a_place_in_the_table(
    code: grpc.StatusCode, details: str, kind: type[EdgeError]
) -> None:
    assert type(translate_status(code, details, {})) is kind


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_has_a_message_of_one_line(code: grpc.StatusCode) -> None:
    message = translate_status(code, "  first line\nsecond line", {}).message
    assert message
    assert "\n" not in message


def test_an_admin_that_is_not_there_is_named_without_grpcs_preamble() -> None:
    assert translate_status(grpc.StatusCode.UNAVAILABLE, REFUSED, {}).message == (
        "the admin cannot be reached (127.0.0.1:44100: Failed to connect to remote host: "
        "connect: Connection refused (111))"
    )


def test_a_broken_connection_without_a_reason_says_so() -> None:
    heard = translate_status(grpc.StatusCode.UNAVAILABLE, " ", {})
    assert heard.message == "the connection to the admin broke (no reason given)"
    assert heard.may_be_repeated


def test_an_unexpected_answer_names_its_status() -> None:
    heard = translate_status(grpc.StatusCode.DATA_LOSS, "x" * 1000, {})
    assert heard.message == f"unexpected answer DATA_LOSS: {'x' * 160}"


def test_a_credential_travels_as_a_bearer_token() -> None:
    assert bearer("edge_op_abc") == (("authorization", "Bearer edge_op_abc"),)


@contextmanager
def refusing(error: EdgeError, is_refused: threading.Event) -> Iterator[int]:
    """The port of a server, with threads of its own, that refuses every conversation before it has read anything."""

    def refuse(_requests: object, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata(((ERROR_DETAIL_TRAILER, to_detail(error, "").SerializeToString()),))
        context.add_callback(is_refused.set)
        context.abort(grpc.StatusCode[error.status], error.message)

    server = grpc.server(ThreadPoolExecutor(1))
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(refuse)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Doors", {"Open": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


async def test_a_refusal_is_heard_while_something_is_being_sent() -> None:
    is_refused = threading.Event()
    with refusing(errors.Denied("not for you"), is_refused) as port:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            method: grpc.aio.StreamStreamMultiCallable[error_pb2.ErrorDetail, error_pb2.ErrorDetail]
            method = channel.stream_stream("/Doors/Open", error_pb2.ErrorDetail.SerializeToString)
            for _ in range(50):
                is_refused.clear()
                with pytest.raises(errors.Denied, match="not for you"):
                    await send_while_refused(converse(method, token="edge_op_abc"), is_refused)


async def send_while_refused(
    conversation: Conversation[error_pb2.ErrorDetail, error_pb2.ErrorDetail], is_refused: threading.Event
) -> None:
    await conversation.write(error_pb2.ErrorDetail(message="x" * 20_000))
    is_refused.wait(10)  # holds up the loop: the refusal waits to be seen while this is sent
    await conversation.write(error_pb2.ErrorDetail(message="x" * 20_000))
    await anext(conversation)
