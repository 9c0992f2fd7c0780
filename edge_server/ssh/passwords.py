"""Passwords of accounts for SSH: Argon2id, off the event loop, few at a time.

Every check costs the same work, whether there is such an account or not.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from edge_wire.errors import SshUserInvalid

ResultT = TypeVar("ResultT")

SHORTEST, LONGEST = 8, 1024
_AT_ONCE = 2
_MEMORY_KIB, _ROUNDS, _LANES = 19 * 1024, 2, 1  # OWASP's first choice


class Passwords:
    """Hashes and checks passwords."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="argon2")
        self._nobody: str | None = None
        self.checked = 0
        """How many checks were made: each is one Argon2id, whoever it was for."""

    async def hash(self, password: str) -> str:
        """As it is stored. Raises SshUserInvalid."""
        if not SHORTEST <= len(password) <= LONGEST:
            raise SshUserInvalid(f"a password has {SHORTEST} to {LONGEST} characters")
        return await self._run(_hash, password)

    async def is_right(self, password: str, stored: str | None) -> bool:
        """Whether it is the one; None is nobody's, and takes as long."""
        if self._nobody is None:
            self._nobody = await self._run(_hash, os.urandom(16).hex())
        self.checked += 1
        is_right = await self._run(_is_right, password[:LONGEST], stored or self._nobody)
        return is_right and stored is not None

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[..., ResultT], *words: str) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *words)


def _hash(password: str) -> str:
    made = Argon2id(salt=os.urandom(16), length=32, iterations=_ROUNDS, lanes=_LANES, memory_cost=_MEMORY_KIB)
    return made.derive_phc_encoded(password.encode())


def _is_right(password: str, stored: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password.encode(), stored)
    except InvalidKey:
        return False
    return True
