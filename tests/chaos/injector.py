"""Makes the faults of a schedule happen, each at its time, and mends everything at the end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from tests.chaos.database import Postgres
from tests.chaos.faults import Fault, Kind
from tests.chaos.proxy import Connection
from tests.chaos.site import Site
from tests.support.programs import Program

Say = Callable[[str], None]
ItemT = TypeVar("ItemT")


class Injector:
    """Breaks a site."""

    def __init__(self, site: Site, *, clients: Callable[[], Sequence[Program]], say: Say) -> None:
        self._site = site
        self._clients = clients
        self._say = say
        self._frozen: dict[object, Callable[[], None]] = {}
        self.done: Counter[str] = Counter()
        """Faults that happened, by kind."""
        self.missed: Counter[str] = Counter()
        """Faults that found nothing to break."""

    async def run(self, faults: Sequence[Fault]) -> None:
        """Let every fault happen at its time."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for fault in faults:
            await asyncio.sleep(max(0.0, began + fault.at - loop.time()))
            has_happened = self._do(fault)
            (self.done if has_happened else self.missed)[fault.kind.value] += 1
            self._say(f"{fault}{'' if has_happened else ' (nothing there)'}")

    async def mend(self) -> None:
        """End every fault: what is frozen goes on, what is down is started."""
        for key in list(self._frozen):
            self._frozen.pop(key)()
        for connection in self._site.connections():
            connection.stall(0.0)
        if isinstance(self._site.database, Postgres):
            await self._site.database.wait_started()

    def _do(self, fault: Fault) -> bool:
        kind = fault.kind
        if kind in _CONNECTION_FAULTS:
            return self._break_connections(fault)
        if kind in {Kind.KILL_CLIENT, Kind.FREEZE_CLIENT}:
            return self._hit_client(fault)
        if kind in {Kind.KILL_DATABASE, Kind.FREEZE_DATABASE}:
            return self._hit_database(fault)
        if kind is Kind.KILL_AGENT:
            return self._site.agents[fault.target].kill(fault.seconds)
        if kind is Kind.KILL_RUNNER:
            return self._site.kill_runner(fault.target)
        if kind is Kind.KILL_NODE:
            return any([self._site.agents[fault.target].kill(fault.seconds), self._site.kill_runner(fault.target)])
        if kind is Kind.KILL_ADMIN:
            return self._site.admin(fault.target).program.kill(fault.seconds)
        if kind is Kind.FREEZE_RUNNER:
            return self._freeze_pid(self._site.runner_pid(fault.target), fault.seconds)
        if kind is Kind.FREEZE_AGENT:
            return self._freeze(self._site.agents[fault.target].program, fault.seconds)
        return self._freeze(self._site.admin(fault.target).program.program, fault.seconds)

    def _break_connections(self, fault: Fault) -> bool:
        connections: Sequence[Connection] = self._site.connections()
        if not fault.kind.value.endswith("every connection"):
            connections = _picked(connections, fault.pick)
        for connection in connections:
            _break(connection, fault)
        return bool(connections)

    def _hit_client(self, fault: Fault) -> bool:
        for client in _picked(self._clients(), fault.pick):
            if fault.kind is Kind.FREEZE_CLIENT:
                return self._freeze(client, fault.seconds)
            client.signal(signal.SIGKILL)
            return True
        return False

    def _hit_database(self, fault: Fault) -> bool:
        database = self._site.database
        assert isinstance(database, Postgres)
        if fault.kind is Kind.KILL_DATABASE:
            return database.kill(fault.seconds)
        pids = database.freeze()
        self._thaw_later(database, lambda: database.thaw(pids), fault.seconds)
        return bool(pids)

    def _freeze(self, program: Program | None, seconds: float) -> bool:
        if program is None or not program.is_running:
            return False
        program.signal(signal.SIGSTOP)
        self._thaw_later(program, lambda: program.signal(signal.SIGCONT), seconds)
        return True

    def _freeze_pid(self, pid: int | None, seconds: float) -> bool:
        if pid is None:
            return False
        _signal(pid, signal.SIGSTOP)
        self._thaw_later(pid, lambda: _signal(pid, signal.SIGCONT), seconds)
        return True

    def _thaw_later(self, key: object, thaw: Callable[[], None], seconds: float) -> None:
        self._frozen[key] = thaw

        def due() -> None:
            if self._frozen.get(key) is thaw:
                del self._frozen[key]
                thaw()

        asyncio.get_running_loop().call_later(seconds, due)


_CONNECTION_FAULTS = frozenset(
    {Kind.CUT, Kind.RESET, Kind.STALL, Kind.HALF_OPEN, Kind.CUT_ALL, Kind.RESET_ALL, Kind.STALL_ALL}
)


def _break(connection: Connection, fault: Fault) -> None:
    if fault.kind in {Kind.CUT, Kind.CUT_ALL}:
        connection.cut()
    elif fault.kind in {Kind.RESET, Kind.RESET_ALL}:
        connection.reset()
    elif fault.kind is Kind.HALF_OPEN:
        connection.half_open(is_near_kept=int(fault.seconds * 1000) % 2 == 0)
    else:
        connection.stall(fault.seconds)


def _picked(items: Sequence[ItemT], pick: float) -> Sequence[ItemT]:
    index = int(pick * len(items))
    return items[index : index + 1]


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
