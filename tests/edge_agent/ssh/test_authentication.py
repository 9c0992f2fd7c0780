"""How long what an admin said of a key is good on one connection."""

from __future__ import annotations

import asyncio

from edge_agent.ssh.authentication import Authentication
from edge_wire.v1 import ssh_pb2 as pb


async def test_an_approval_is_good_for_a_signature_that_follows_soon() -> None:
    answers = [True, True, False]
    seconds = 0.0

    async def ask(question: pb.SshQuestion) -> pb.SshAnswer:
        return pb.SshAnswer(is_verified=answers.pop(0), credential_id="key/1")

    authentication = Authentication(
        ask=ask, loop=asyncio.get_running_loop(), origin=pb.SshOrigin(), attempts=6, clock=lambda: seconds
    )

    async def approves() -> bool:
        return await asyncio.to_thread(authentication.approves_key, "alice", b"key")

    assert await approves()
    seconds = 5.0
    assert await approves()
    assert len(answers) == 2, "within five seconds it is asked once"
    seconds = 5.1
    assert await approves()
    assert len(answers) == 1
    seconds = 10.2
    assert not await approves()
    assert authentication.last is None
