"""A PostgreSQL connection that gives up on a silent server.

A server that is frozen, or a network that swallows everything, answers no query and breaks no connection: TCP is
content, because a kernel acknowledges for a stopped process. No time-out of the server's own can help then, so the
client counts the silence.
"""

from __future__ import annotations

from collections.abc import Generator
from time import monotonic
from typing import Any, TypeVar

import psycopg

SILENCE_LIMIT_SECONDS = 12.0
"""Longer than the server's own limit of a statement, so that a server that lives says itself what took too long."""

ResultT = TypeVar("ResultT")


class PatientConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server, waited for, says nothing for `silence_limit` seconds."""

    silence_limit = SILENCE_LIMIT_SECONDS

    def wait(self, gen: Generator[Any, Any, ResultT], *args: Any, **options: Any) -> ResultT:
        """Run one conversation with the server. Raises OperationalError."""
        try:
            return super().wait(_within(gen, self.silence_limit), *args, **options)
        except ServerSilent:
            self.pgconn.finish()  # what the server was asked it may still do: this connection is of no more use
            raise


class ServerSilent(psycopg.OperationalError):
    """The server said nothing for too long."""


def _within(gen: Generator[Any, Any, ResultT], seconds: float) -> Generator[Any, Any, ResultT]:
    """The same conversation; psycopg resumes it at least every tenth of a second, with nothing when nothing came."""
    began = monotonic()
    try:
        wish = next(gen)
        while True:
            ready = yield wish
            if ready:
                began = monotonic()
            elif monotonic() - began >= seconds:
                raise ServerSilent(f"the server has said nothing for {seconds:g} s")
            wish = gen.send(ready)
    except StopIteration as end:
        result: ResultT = end.value
        return result
