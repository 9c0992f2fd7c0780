"""The nodes that a copy is with, and the admin through which they are reached while the main thread copies."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from edge_wire.errors import NodesNotMatched, UsageError
from edgectl.connect import Admin, connected, select_nodes
from edgectl.copying.places import RemotePlace
from edgectl.invocation import Invocation
from edgectl.selectors import SelectorWords

ResultT = TypeVar("ResultT")


class AdminInThread:
    """An admin on a loop of its own: paramiko and signals want the main thread."""

    def __init__(self, admin: Admin, loop: asyncio.AbstractEventLoop) -> None:
        self.admin = admin
        self.loop = loop

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run something on the loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


@contextmanager
def admin_in_thread(invocation: Invocation) -> Iterator[AdminInThread]:
    """The admin of this call's context for the time of the block. Raises what `connected` raises."""
    found: Future[AdminInThread] = Future()
    is_over = threading.Event()

    async def serve() -> None:
        async with connected(invocation) as admin:
            found.set_result(AdminInThread(admin, asyncio.get_running_loop()))
            await asyncio.to_thread(is_over.wait)

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if found.done():
                raise
            found.set_exception(error)

    thread = threading.Thread(target=work, name="admin", daemon=True)
    thread.start()
    try:
        yield found.result()
    finally:
        is_over.set()
        thread.join()


async def find_nodes(admin: Admin, far: RemotePlace, words: SelectorWords) -> tuple[Sequence[str], bool]:
    """Names of the nodes, ids where a name is not enough; and whether one was named outright.

    Raises UsageError, NodesNotMatched and what the admin refuses the selector with.
    """
    is_narrowed = bool(words.clusters or words.labels or words.is_all)
    if far.is_one_plain_name and not is_narrowed:
        return [far.nodes], True
    if words.is_empty:
        raise UsageError("which nodes?", hint="NODE:/path, or :/path with --cluster, --label or --all")
    found = await select_nodes(admin, words.to_message())
    if not found:
        raise NodesNotMatched
    counts = Counter(node.name for node in found)
    return [node.name if counts[node.name] == 1 else node.id for node in found], False
