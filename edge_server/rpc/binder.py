"""Binding servicers to gRPC: every method passes here, in this order: request id → errors → credential → parsing.

Nothing is parsed before the caller is known, so garbage from strangers costs nothing. A servicer is any object with a
method per RPC, `async def Name(call, request)` or `async def Name(call, requests)` yielding responses; a service whose
methods are not all there, or not all in the table of permissions, does not start.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from edge_server.rpc.gatekeeper import Call, Gatekeeper
from edge_server.rpc.permissions import ACCESS
from edge_wire import calls
from edge_wire.errors import EdgeError, FrameInvalid, Internal, StreamBroken

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


def bind(service: ServiceDescriptor, servicer: object, gatekeeper: Gatekeeper) -> grpc.GenericRpcHandler:
    """The handlers of one service. Raises LookupError when a method is missing or has no permission."""
    handlers = {method.name: _bind_method(method, servicer, gatekeeper) for method in service.methods}
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _bind_method(method: MethodDescriptor, servicer: object, gatekeeper: Gatekeeper) -> grpc.RpcMethodHandler[Any, Any]:
    name = f"/{method.containing_service.full_name}/{method.name}"
    if name not in ACCESS:
        raise LookupError(f"{name} has no entry in the table of permissions")
    serve: Callable[[Call, Any], Any] | None = getattr(servicer, method.name, None)
    if serve is None:
        raise LookupError(f"{type(servicer).__name__} lacks {method.name}")
    parse = _parser(GetMessageClass(method.input_type))
    if method.client_streaming:
        answer = _stream(name, lambda call, raw: serve(call, _parse_all(raw, parse)), gatekeeper)
        return grpc.stream_stream_rpc_method_handler(answer, response_serializer=_serialize)
    if method.server_streaming:
        answer = _stream(name, lambda call, raw: serve(call, parse(raw)), gatekeeper)
        return grpc.unary_stream_rpc_method_handler(answer, response_serializer=_serialize)
    unary = _unary(name, lambda call, raw: serve(call, parse(raw)), gatekeeper)
    return grpc.unary_unary_rpc_method_handler(unary, response_serializer=_serialize)


def _unary(
    name: str, serve: Callable[[Call, bytes], Awaitable[Message]], gatekeeper: Gatekeeper
) -> Callable[[bytes, Context], Awaitable[Message]]:
    async def answer(raw: bytes, context: Context) -> Message:
        request_id = str(uuid4())
        try:
            call = await gatekeeper.admit(name, request_id, context)
            context.set_trailing_metadata(((calls.REQUEST_ID_TRAILER, request_id),))
            return await serve(call, raw)
        except Exception as error:  # every failure of a handler ends here, as the status of its call
            await _abort(context, error, name, request_id)
            raise AssertionError("an aborted call goes on") from error

    return answer


def _stream(
    name: str, serve: Callable[[Call, Any], AsyncGenerator[Message, None]], gatekeeper: Gatekeeper
) -> Callable[[Any, Context], AsyncIterator[Message]]:
    async def answer(raw: Any, context: Context) -> AsyncIterator[Message]:
        request_id = str(uuid4())
        try:
            call = await gatekeeper.admit(name, request_id, context)
            # Closed here and not by the garbage collector: a servicer lets its session or watcher go in `finally`.
            async with aclosing(serve(call, raw)) as responses:
                async for response in responses:
                    yield response
        except Exception as error:  # every failure of a handler ends here, as the status of its call
            await _abort(context, error, name, request_id)

    return answer


async def _abort(context: Context, error: Exception, name: str, request_id: str) -> None:
    if not isinstance(error, EdgeError):
        log.exception("internal error in %s", name, extra={"request_id": request_id})
        error = Internal(f"internal error, request {request_id}: see the admin's log")
    detail = calls.to_detail(error, request_id)
    trailing = (
        (calls.ERROR_CODE_TRAILER, error.code),
        (calls.ERROR_DETAIL_TRAILER, detail.SerializeToString()),
        (calls.REQUEST_ID_TRAILER, request_id),
    )
    await context.abort(grpc.StatusCode[error.status], error.message, trailing)


def _parser(kind: type[Message]) -> Callable[[bytes], Message]:
    def parse(raw: bytes) -> Message:
        try:
            message = kind()
            message.ParseFromString(raw)
        except DecodeError:
            raise FrameInvalid(f"the message is not a {kind.DESCRIPTOR.name}") from None
        return message

    return parse


async def _parse_all(raw: AsyncIterator[bytes], parse: Callable[[bytes], Message]) -> AsyncIterator[Message]:
    try:
        async for message in raw:
            yield parse(message)
    except grpc.aio.AbortError:  # whoever still reads is not the handler that answered with an error
        raise StreamBroken("the call has been answered with an error") from None


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
