"""One wrapper around every call: adds the credential, sets the deadline, turns what gRPC raises into an EdgeError."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any, Generic, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # its stubs leave it out

from edge_wire import errors
from edge_wire.errors import EdgeError
from edge_wire.tasks import is_being_cancelled
from edge_wire.v1 import error_pb2

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
Metadata = tuple[tuple[str, str | bytes], ...]

UNARY_TIMEOUT = timedelta(seconds=30)
_STATUS_WITHIN = timedelta(seconds=5)
"""The status of a call in which nothing can be sent any more is on its way, unless gRPC refused the message itself."""
_WRITE_FAILURES = (grpc.aio.AioRpcError, asyncio.InvalidStateError, cygrpc.InternalError)
ERROR_CODE_TRAILER = "edge-error"
ERROR_DETAIL_TRAILER = "edge-error-bin"
REQUEST_ID_TRAILER = "edge-request-id"

STARTED_TO_WIRE: dict[errors.Started, error_pb2.Started.ValueType] = {
    "no": error_pb2.STARTED_NO,
    "yes": error_pb2.STARTED_YES,
    "unknown": error_pb2.STARTED_UNKNOWN,
}
_STARTED_FROM_WIRE: dict[int, errors.Started] = {wire: name for name, wire in STARTED_TO_WIRE.items()}


def bearer(token: str) -> Metadata:
    """The metadata that carries a credential."""
    return (("authorization", f"Bearer {token}"),)


async def call(
    method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
    request: RequestT,
    *,
    token: str = "",
    timeout: timedelta = UNARY_TIMEOUT,
) -> ResponseT:
    """Make one unary call. Raises EdgeError."""
    metadata = bearer(token) if token else ()
    try:
        return await method(request, metadata=metadata, timeout=timeout.total_seconds())
    except grpc.aio.AioRpcError as error:
        raise translate(error) from None


async def stream(
    method: grpc.aio.UnaryStreamMultiCallable[RequestT, ResponseT], request: RequestT, *, token: str
) -> AsyncIterator[ResponseT]:
    """Make one server-streaming call; the caller judges whether the last message was the last word.

    Raises EdgeError.
    """
    running = method(request, metadata=bearer(token))
    try:
        async for response in running:
            yield response
    except grpc.aio.AioRpcError as error:
        raise translate(error) from None
    finally:
        running.cancel()


class Conversation(Generic[RequestT, ResponseT]):
    """One bidirectional call: `write` requests, iterate over responses, always `close`.

    One reader at a time; writes are serialised here. Both raise EdgeError.
    """

    def __init__(self, running: grpc.aio.StreamStreamCall[RequestT, ResponseT]) -> None:
        self._running = running
        self._write_lock = asyncio.Lock()

    async def write(self, request: RequestT) -> None:
        """Send one request; waits while the other side is slow."""
        try:
            async with self._write_lock:
                await self._send(request)
        except _WRITE_FAILURES:
            # What a failed write says itself is only that it failed.
            raise await self._why_it_ended() from None

    def __aiter__(self) -> AsyncIterator[ResponseT]:
        return self

    async def __anext__(self) -> ResponseT:
        """The next response; StopAsyncIteration when the other side closed without an error."""
        try:
            response = await self._running.read()
        except grpc.aio.AioRpcError as error:
            raise translate(error) from None
        except asyncio.CancelledError:
            # gRPC says so to the reader of a call that is closed here, too: nobody wants that reader to end.
            if is_being_cancelled():
                raise
            raise errors.StreamBroken("the conversation was closed") from None
        if response is grpc.aio.EOF:
            await self._raise_failure()
            raise StopAsyncIteration
        return cast("ResponseT", response)

    async def finish(self, within: timedelta) -> None:
        """Say that nothing more is written, and wait until the other side has ended the call.

        Raises how it ended, or StreamBroken. The other side has to have said its last word: more of it is dropped.
        """
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._running.done_writing()
                async for _ in self:
                    pass
        except TimeoutError:
            raise errors.StreamBroken("the other side does not end the call") from None
        except _WRITE_FAILURES:
            raise await self._why_it_ended() from None

    def close(self) -> None:
        """End the call, whatever its state."""
        self._running.cancel()

    async def _send(self, request: RequestT) -> None:
        """As `write` of the call, which a failure makes forget the status that the other side has given it.

        It writes "Internal error from Core" over it (grpc issue 36066), so a refusal would be reported as a broken
        stream.
        """
        if self._running.done():
            raise asyncio.InvalidStateError
        await self._running.wait_for_connection()
        running: Any = self._running  # there is no public way around it
        serialize = running._request_serializer  # noqa: SLF001
        try:
            await running._cython_call.send_serialized_message(serialize(request) if serialize else request)  # noqa: SLF001
        except asyncio.CancelledError:
            self._running.cancel()
            raise

    async def _raise_failure(self) -> None:
        if await self._running.code() is not grpc.StatusCode.OK:
            raise await self._why_it_ended()

    async def _why_it_ended(self) -> EdgeError:
        try:
            async with asyncio.timeout(_STATUS_WITHIN.total_seconds()):
                code = await self._running.code()
        except TimeoutError:
            return errors.StreamBroken("something could not be sent, and nobody says why")
        if code is grpc.StatusCode.OK:
            return errors.StreamBroken("the other side has closed the conversation")
        trailing = await self._running.trailing_metadata()
        return translate_status(code, await self._running.details() or "", _as_dict(trailing))


def converse(
    method: grpc.aio.StreamStreamMultiCallable[RequestT, ResponseT], *, token: str
) -> Conversation[RequestT, ResponseT]:
    """Open one bidirectional call."""
    return Conversation(method(metadata=bearer(token)))


def translate(error: grpc.aio.AioRpcError) -> EdgeError:
    """The EdgeError that a failed call stands for."""
    return translate_status(error.code(), error.details() or "", _as_dict(error.trailing_metadata()))


def translate_status(code: grpc.StatusCode, details: str, trailing: dict[str, str | bytes]) -> EdgeError:
    """The EdgeError of a status with its trailing metadata."""
    detail = trailing.get(ERROR_DETAIL_TRAILER)
    if isinstance(detail, bytes):
        try:
            return _from_detail(error_pb2.ErrorDetail.FromString(detail))
        except DecodeError:  # the status is still worth something
            return _from_grpc(code, details)
    return _from_grpc(code, details)


def to_detail(error: EdgeError, request_id: str) -> error_pb2.ErrorDetail:
    """What the server sends about a failed call."""
    return error_pb2.ErrorDetail(
        code=error.code,
        message=error.message,
        hint=error.hint,
        retryable=error.may_be_repeated,
        started=STARTED_TO_WIRE[error.started],
        request_id=request_id,
    )


def _from_detail(detail: error_pb2.ErrorDetail) -> EdgeError:
    return errors.from_code(
        detail.code,
        detail.message,
        hint=detail.hint,
        started=_STARTED_FROM_WIRE.get(detail.started, "unknown"),
        request_id=detail.request_id,
    )


def _from_grpc(code: grpc.StatusCode, details: str) -> EdgeError:
    """Errors that gRPC itself makes; only here its texts are looked at, because it has no codes for them."""
    if code is grpc.StatusCode.UNAVAILABLE:
        if "CERTIFICATE_VERIFY_FAILED" in details or "Verification Check failed" in details:
            return errors.AdminUntrusted(hint="the address is another installation's, or someone is in between")
        if "failed to connect" in details:
            return errors.Unavailable(f"the admin cannot be reached ({_first_clause(details)})")
        return errors.StreamBroken(f"the connection to the admin broke ({_first_clause(details)})")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
        return errors.MessageTooLarge()
    simple: dict[grpc.StatusCode, type[EdgeError]] = {
        grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
        grpc.StatusCode.CANCELLED: errors.StreamBroken,
        grpc.StatusCode.UNIMPLEMENTED: errors.MethodUnimplemented,
        grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
        grpc.StatusCode.PERMISSION_DENIED: errors.Denied,
    }
    kind = simple.get(code)
    return kind() if kind else errors.Internal(f"unexpected answer {code.name}: {_first_clause(details)}")


def _first_clause(details: str) -> str:
    """The most telling part of gRPC's long texts."""
    last = details.rsplit("ipv4:", 1)[-1] if "ipv4:" in details else details
    return last.strip().splitlines()[0][:160] if last.strip() else "no reason given"


def _as_dict(metadata: object) -> dict[str, str | bytes]:
    return dict(cast("Iterable[tuple[str, str | bytes]]", metadata or ()))
