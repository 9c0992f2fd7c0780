"""What an HTTP proxy answers itself: the opened tunnel, and refusals of one line of text.

The text of an error may quote names from anywhere: it is made one printable line, and never goes into a header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

import h11

from edge_wire.errors import EdgeError, InvalidValue
from edge_wire.names import printable
from edge_wire.proxies.error_answers import http_status

ERROR_HEADER = b"Edge-Error"
"""Carries the stable code of the error that the answer stands for."""

_TEXT_LIMIT = 1000
_CHALLENGE = (b"Proxy-Authenticate", b'Basic realm="edge"')


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer without a body, or with one line of text."""

    status: HTTPStatus
    headers: Sequence[tuple[bytes, bytes]] = ()
    text: str = ""
    content_type: str = "text/plain; charset=utf-8"


def page(text: str, content_type: str) -> Answer:
    """Something of our own to read, which no browser takes for a script of the page that asks for it."""
    return Answer(
        status=HTTPStatus.OK,
        headers=[(b"X-Content-Type-Options", b"nosniff")],
        text=text.removesuffix("\n"),
        content_type=content_type,
    )


class Refusal(Exception):
    """A request that no proxy may serve, whoever asks: an error of HTTP that has no EdgeError of its own."""

    def __init__(
        self, status: HTTPStatus, message: str, *, hint: str = "", headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        super().__init__(message)
        self.answer = Answer(
            status=status,
            headers=[*headers, (ERROR_HEADER, InvalidValue.code.encode())],
            text=_one_line(message, hint),
        )


def answer_to(error: EdgeError) -> Answer:
    """The answer that tells the client of an error."""
    status = http_status(error)
    challenge = [_CHALLENGE] if status is HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else []
    headers = [*challenge, (ERROR_HEADER, error.code.encode())]
    return Answer(status=status, headers=headers, text=_one_line(error.message, error.hint))


def render(connection: h11.Connection, answer: Answer, *, method: bytes, is_last: bool) -> bytes:
    """The answer in bytes; with it the connection is over when `is_last`, or h11 finds that the client cannot go on.

    `method` is that of the request, or b"" when there was none to be read.
    """
    body = f"{answer.text}\n".encode() if answer.text else b""
    headers = [*answer.headers, (b"Content-Length", b"%d" % len(body)), (b"Cache-Control", b"no-store")]
    if body:
        headers.append((b"Content-Type", answer.content_type.encode()))
    if is_last or connection.their_state in {h11.IDLE, h11.SEND_BODY, h11.ERROR}:
        headers.append((b"Connection", b"close"))
    response = h11.Response(status_code=answer.status, headers=headers, reason=answer.status.phrase.encode())
    shown = b"" if method == b"HEAD" else body
    events = [response, *([h11.Data(data=shown)] if shown else []), h11.EndOfMessage()]
    return b"".join(connection.send(event) or b"" for event in events)


def render_connected(connection: h11.Connection) -> bytes:
    """The answer to a CONNECT whose target answered."""
    response = h11.Response(status_code=HTTPStatus.OK, headers=[], reason=b"Connection established")
    return connection.send(response) or b""


def _one_line(message: str, hint: str) -> str:
    return printable(f"{message} ({hint})" if hint else message, _TEXT_LIMIT)
