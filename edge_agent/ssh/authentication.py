"""The logins that one connection tries: what the admin is asked, and what it said. Runs in the transport's thread."""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic

from edge_wire.errors import EdgeError
from edge_wire.names import bounded
from edge_wire.v1 import ssh_pb2 as pb

log = logging.getLogger(__name__)

ASK_SECONDS = 10.0
"""What a client waits for an admin at most."""
_USER_LIMIT = 255
"""Bytes."""
_PASSWORD_LIMIT = 1024
_QUESTIONS_PER_ATTEMPT = 2
"""A client may ask about keys that it does not use; this bounds how many of them."""
_APPROVAL_SECONDS = 5.0
"""Between a client's question about a key and its signature; afterwards the admin may think otherwise."""

Ask = Callable[[pb.SshQuestion], Awaitable[pb.SshAnswer]]


@dataclass(frozen=True, kw_only=True)
class Login:
    """A login that the admin approves of."""

    question: pb.SshQuestion = field(repr=False)
    answer: pb.SshAnswer
    method: str
    fingerprint: str


class Authentication:
    """Approvals of one connection. One of a user and a key is good for the signature that follows soon."""

    def __init__(
        self,
        *,
        ask: Ask,
        loop: asyncio.AbstractEventLoop,
        origin: pb.SshOrigin,
        attempts: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._ask = ask
        self._loop = loop
        self._origin = origin
        self._clock = clock
        self._questions_left = attempts * _QUESTIONS_PER_ATTEMPT
        self._pending: concurrent.futures.Future[pb.SshAnswer] | None = None
        self._is_over = False
        self._approved: dict[tuple[str, bytes], tuple[Login, float]] = {}
        """With the time at which each was asked for."""
        self.credential_ids: set[str] = set()
        """What approvals hang on, from the moment at which the loop knows of them."""
        self.last: Login | None = None
        """What was approved last: when the proof is valid, this is the login."""
        self.user = ""
        """Who the client says it is."""
        self.had_no_admin = False
        """A question could not be answered."""

    def introduce(self, user: str) -> None:
        """Who the client says it is."""
        self.user = bounded(user, _USER_LIMIT)

    def approves_key(self, user: str, blob: bytes) -> bool:
        """Whether this key may log in; its signature is checked elsewhere."""
        self.last, asked_at = self._approved.get((user, blob), (None, 0.0))
        if self.last is None or self._clock() - asked_at > _APPROVAL_SECONDS:
            self._approved.pop((user, blob), None)
            asked_at = self._clock()
            question = pb.SshQuestion(user=user, origin=self._origin, public_key=blob)
            self.last = self._decide(question, "publickey", fingerprint_of(blob))
            if self.last is not None:
                self._approved[user, blob] = self.last, asked_at
        return self.last is not None

    def approves_password(self, user: str, password: str) -> bool:
        """Whether this password is right."""
        self.last = None
        if len(password) > _PASSWORD_LIMIT:
            return False
        question = pb.SshQuestion(user=user, origin=self._origin, password=password)
        self.last = self._decide(question, "password", "")
        return self.last is not None

    def forget(self) -> None:
        """What was approved is so no more, and nothing is asked any more; whoever waits for an answer has none."""
        self._is_over = True
        self._approved.clear()
        pending = self._pending
        if pending is not None:
            pending.cancel()

    def _decide(self, question: pb.SshQuestion, method: str, fingerprint: str) -> Login | None:
        self.introduce(question.user)
        if len(question.user.encode()) > _USER_LIMIT or self._questions_left <= 0:
            return None
        self._questions_left -= 1
        answer = self._answer_to(question)
        if answer is None or not answer.is_verified:
            return None
        return Login(question=question, answer=answer, method=method, fingerprint=fingerprint)

    def _answer_to(self, question: pb.SshQuestion) -> pb.SshAnswer | None:
        self._pending = asyncio.run_coroutine_threadsafe(self._put(question), self._loop)
        if self._is_over:
            self._pending.cancel()
        try:
            return self._pending.result(ASK_SECONDS)
        except (EdgeError, TimeoutError, concurrent.futures.CancelledError):
            self._pending.cancel()
        except Exception:
            log.exception("an SSH login could not be asked about")
        finally:
            self._pending = None
        self.had_no_admin = True
        return None

    async def _put(self, question: pb.SshQuestion) -> pb.SshAnswer:
        answer = await self._ask(question)
        if answer.is_verified:
            self.credential_ids.add(answer.credential_id)
        return answer


def fingerprint_of(blob: bytes) -> str:
    """`SHA256:…`, as `ssh-keygen -l` prints it."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii")
    return f"SHA256:{digest.rstrip('=')}"
