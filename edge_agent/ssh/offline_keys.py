"""Keys that an admin has verified, for a while in which no admin can be asked. Never passwords."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from edge_wire.v1 import ssh_pb2 as pb

_LIMIT = 64

_Login = tuple[str, bytes, str]
"""User, key and address: what the admin said is about all three."""


class OfflineKeys:
    """The keys that logged in last. On the event loop."""

    def __init__(self, grace: timedelta, now: Callable[[], datetime]) -> None:
        self._grace = grace
        self._now = now
        self._verified: OrderedDict[_Login, tuple[pb.SshAnswer, datetime]] = OrderedDict()

    def remember(self, question: pb.SshQuestion, answer: pb.SshAnswer) -> None:
        """An admin has verified this, and the client has the key.

        Not what came through a tunnel: without an admin there are none, and keys admitted for one login are among
        them.
        """
        if not self._grace or question.origin.principal or not question.public_key:
            return
        login = _login(question)
        if login in self._verified and self._verified[login][0] is answer:
            return  # it came from here, and no admin has verified it anew
        self._verified[login] = (answer, self._now())
        self._verified.move_to_end(login)
        if len(self._verified) > _LIMIT:
            self._verified.popitem(last=False)

    def find(self, question: pb.SshQuestion) -> pb.SshAnswer | None:
        """What the admin said of this not too long ago."""
        if not self._grace or question.origin.principal or not question.public_key:
            return None
        answer, at = self._verified.get(_login(question), (None, None))
        if at is None or not timedelta(0) <= self._now() - at <= self._grace:
            return None
        return answer

    def forget(self, credential_ids: Collection[str]) -> None:
        """These are revoked."""
        for login, (answer, _) in list(self._verified.items()):
            if answer.credential_id in credential_ids:
                del self._verified[login]


def _login(question: pb.SshQuestion) -> _Login:
    return question.user, question.public_key, question.origin.address
