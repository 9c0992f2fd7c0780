"""Keys that an admin has verified, for a while in which no admin can be asked. Never passwords."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge_wire.v1 import ssh_pb2 as pb

_LIMIT = 64

_LASTING = "key/"
"""How the ids of credentials begin that are worth remembering; others are good for one login, or for a person."""

_Login = tuple[str, bytes, str]
"""User, key and address: what the admin said is about all three."""


@dataclass(frozen=True, kw_only=True)
class _Verified:
    answer: pb.SshAnswer
    at: datetime
    good_for: timedelta

    def is_good(self, now: datetime) -> bool:
        return timedelta(0) <= now - self.at <= self.good_for


class OfflineKeys:
    """The keys that logged in last. On the event loop."""

    def __init__(self, grace: timedelta, now: Callable[[], datetime]) -> None:
        self._grace = grace
        self._now = now
        self._verified: OrderedDict[_Login, _Verified] = OrderedDict()

    def remember(self, question: pb.SshQuestion, answer: pb.SshAnswer) -> None:
        """An admin has verified this, and the client has the key.

        Not what came through a tunnel: without an admin there are none, and keys admitted for one login are among
        them.
        """
        if not self._is_for(question) or not answer.credential_id.startswith(_LASTING):
            return
        login = _login(question)
        if login in self._verified and self._verified[login].answer is answer:
            return  # it came from here, and no admin has verified it anew
        self._verified[login] = _Verified(answer=answer, at=self._now(), good_for=self._good_for(answer))
        self._verified.move_to_end(login)
        if len(self._verified) > _LIMIT:
            self._verified.popitem(last=False)

    def find(self, question: pb.SshQuestion) -> pb.SshAnswer | None:
        """What the admin said of this not too long ago."""
        if not self._is_for(question):
            return None
        verified = self._verified.get(_login(question))
        return verified.answer if verified is not None and verified.is_good(self._now()) else None

    def credential_ids(self) -> list[str]:
        """What hangs on which credential is remembered, each once; what is good no more is dropped."""
        now = self._now()
        for login, verified in list(self._verified.items()):
            if not verified.is_good(now):
                del self._verified[login]
        return list(dict.fromkeys(verified.answer.credential_id for verified in self._verified.values()))

    def deny(self, question: pb.SshQuestion) -> None:
        """An admin said no to this user and key, wherever it came from."""
        for user, key, address in list(self._verified):
            if (user, key) == (question.user, question.public_key):
                del self._verified[user, key, address]

    def forget(self, credential_ids: Collection[str]) -> None:
        """These are revoked."""
        for login, verified in list(self._verified.items()):
            if verified.answer.credential_id in credential_ids:
                del self._verified[login]

    def _is_for(self, question: pb.SshQuestion) -> bool:
        return bool(self._grace and not question.origin.principal and question.public_key)

    def _good_for(self, answer: pb.SshAnswer) -> timedelta:
        if not answer.HasField("valid_for"):
            return self._grace
        seconds = min(float(answer.valid_for.seconds), self._grace.total_seconds())  # more than a timedelta may hold
        return timedelta(seconds=max(seconds, 0.0))


def _login(question: pb.SshQuestion) -> _Login:
    return question.user, question.public_key, question.origin.address
