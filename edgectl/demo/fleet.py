"""A whole fleet on this machine: one admin on SQLite and some agents, started so that they outlive this program."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from edge_wire import credentials
from edge_wire.errors import Conflict, DemoFailed, EdgeError, Unavailable
from edge_wire.private_files import write_private
from edge_wire.timestamps import to_duration
from edge_wire.v1 import enrollment_pb2, node_pb2, principal_pb2
from edgectl.connect import Admin, connected_to
from edgectl.contexts import Context, load_contexts, remove_context, save_context
from edgectl.demo import processes
from edgectl.demo.layout import ADMIN, Layout, State
from edgectl.demo.processes import Process
from edgectl.secret_store import store_token

CONTEXT = "demo"
_START_WITHIN = 30.0
_LOOK_EVERY = 0.1
_STOP_GRACE = timedelta(seconds=15)

ReadyT = TypeVar("ReadyT")


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What runs now."""

    names: list[str]
    url: str
    is_current: bool
    """The context `demo` is the current one."""


class Demo:
    """Starts and stops the fleet of one directory; the caller holds the directory's lock."""

    def __init__(self, layout: Layout, say: Callable[[str], None]) -> None:
        self._layout = layout
        self._say = say
        self._state = layout.load()

    async def up(self, count: int) -> Fleet:
        """Start what does not run yet, enroll what is not enrolled, and wait until all are online. Raises EdgeError."""
        _refuse_foreign_context(self._layout)
        token, context = await self._start_admin()
        store_token(context, token)
        save_context(context, make_current=False)
        async with connected_to(context, token) as admin:
            known = {alias for node in await _nodes(admin) for alias in node.aliases}
            wanted = {f"edge{number:02}" for number in range(1, count + 1)}
            names = sorted(wanted | (known & set(self._agents())))
            await self._start_agents(admin, names, known)
            await self._wait_online(admin, names)
        for name in names:
            self._layout.key_of(name).unlink(missing_ok=True)
        is_current = load_contexts().current == CONTEXT
        return Fleet(names=names, url=context.admin_urls[0], is_current=is_current)

    def down(self) -> list[str]:
        """Stop exactly what was started, agents before the admin. Returns the names of what ran."""
        running = [name for name, process in self._state.processes.items() if process.is_running]
        agents = [self._state.processes[name] for name in running if name != ADMIN]
        runners = [self._runner_of(name) for name in self._agents()]
        processes.stop(agents, grace=_STOP_GRACE)
        processes.stop([runner for runner in runners if runner is not None], grace=_STOP_GRACE)
        processes.stop([self._state.processes[name] for name in running if name == ADMIN], grace=_STOP_GRACE)
        self._remember(State(port=self._state.port))
        return running

    def purge(self) -> None:
        """Forget the context and remove every file; nothing may run any more."""
        context = load_contexts().by_name.get(CONTEXT)
        if context is not None and context.credential_file == str(self._layout.credential):
            remove_context(CONTEXT)
        shutil.rmtree(self._layout.root)

    def _agents(self) -> list[str]:
        """Names of all agents that this directory knows, running or not."""
        return [path.name for path in self._layout.root.glob("edge[0-9]*") if path.is_dir()]

    async def _start_admin(self) -> tuple[str, Context]:
        known = self._state.processes.get(ADMIN)
        if known is None or not known.is_running:
            if self._state.port == 0:
                self._remember(State(port=_free_port(), processes=self._state.processes))
            self._say("starting the admin")
            url = f"https://127.0.0.1:{self._state.port}"
            environ = {
                "DATA_DIR": str(self._layout.admin_data),
                "GRPC_LISTEN": f"127.0.0.1:{self._state.port}",
                "ADMIN_URLS": url,
                "RECONNECT_GRACE_SECONDS": "5",
            }
            self._start(ADMIN, "edge_server", ["serve"], environ)
        return await self._until_ready([ADMIN], "the admin", self._ask_admin)

    async def _ask_admin(self) -> tuple[str, Context] | None:
        """The credential and the context, when the admin answers with them."""
        try:
            secret = credentials.decode_login((self._layout.admin_data / "login").read_text())
        except (OSError, EdgeError):  # not written yet
            return None
        context = Context(
            name=CONTEXT,
            admin_urls=list(secret.admin_urls),
            ca_certificate=secret.ca_certificate,
            store="file",
            credential_file=str(self._layout.credential),
        )
        try:
            async with connected_to(context, secret.token) as admin:
                await admin.call(admin.tokens.WhoAmI, principal_pb2.WhoAmIRequest(), timeout=timedelta(seconds=5))
        except Unavailable:
            return None
        return secret.token, context

    async def _start_agents(self, admin: Admin, names: list[str], enrolled: set[str]) -> None:
        stopped = [name for name in names if not self._is_running(name)]
        missing = [name for name in stopped if name not in enrolled]
        key = await _enrollment_key(admin, len(missing)) if missing else ""
        if stopped:
            self._say(f"starting {len(stopped)} agents")
        for name in stopped:
            environ = {"DATA_DIR": str(self._layout.data_of(name)), "NODE_ALIAS": name}
            if name in missing:
                write_private(self._layout.key_of(name), key + "\n")
                environ["ENROLLMENT_KEY_FILE"] = str(self._layout.key_of(name))
            self._start(name, "edge_agent", ["run"], environ)

    async def _wait_online(self, admin: Admin, names: list[str]) -> None:
        async def are_online() -> bool | None:
            online = {
                alias
                for node in await _nodes(admin)
                if node.status == node_pb2.NODE_STATUS_ONLINE
                for alias in node.aliases
            }
            return True if online >= set(names) else None

        await self._until_ready(names, "the agents", are_online)

    async def _until_ready(self, names: list[str], what: str, look: Callable[[], Awaitable[ReadyT | None]]) -> ReadyT:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_WITHIN
        while True:
            ready = await look()
            if ready is not None:
                return ready
            for name in names:
                if not self._is_running(name):
                    raise DemoFailed(f"{name} ended: {self._last_line(name)}", hint=f"see {self._layout.log_of(name)}")
            if loop.time() > deadline:
                raise DemoFailed(f"{what} did not get ready in {_START_WITHIN:.0f} s", hint=f"see {self._layout.root}")
            await asyncio.sleep(_LOOK_EVERY)

    def _start(self, name: str, module: str, arguments: list[str], environ: dict[str, str]) -> None:
        process = processes.start(module, arguments, environ=environ, log=self._layout.log_of(name))
        self._remember(self._state.with_process(name, process))

    def _remember(self, state: State) -> None:
        self._state = state
        self._layout.save(state)

    def _is_running(self, name: str) -> bool:
        process = self._state.processes.get(name)
        return process is not None and process.is_running

    def _runner_of(self, name: str) -> Process | None:
        """The process that owns an agent's commands; it outlives the agent by design, so it is stopped by itself."""
        try:
            stored = json.loads((self._layout.data_of(name) / "runner" / "pid").read_text())
            return Process(pid=int(stored["pid"]), start_ticks=int(stored["start_ticks"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _last_line(self, name: str) -> str:
        lines = self._layout.log_of(name).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it wrote nothing"


def missing_part() -> str:
    """What is missing for a demo on this machine; empty when nothing is."""
    from importlib.util import find_spec

    if not Path("/proc/self/stat").exists():
        return "the demo needs Linux: agents run there"
    if find_spec("edge_server") is None or find_spec("sqlalchemy") is None:
        return "the demo needs the admin's packages: install edgectl[cli,server]"
    return ""


def layout_of_context() -> Layout | None:
    """The demo that the context belongs to; None when there is no context, or it is nobody's demo."""
    context = load_contexts().by_name.get(CONTEXT)
    if context is None or not context.credential_file:
        return None
    layout = Layout(Path(context.credential_file).parent)
    return layout if layout.is_used and context.credential_file == str(layout.credential) else None


def _refuse_foreign_context(layout: Layout) -> None:
    """The context of a demo that does not run is taken over; that demo takes it back when it is started again."""
    context = load_contexts().by_name.get(CONTEXT)
    if context is None or context.credential_file == str(layout.credential):
        return
    other = layout_of_context()
    if other is not None:
        if any(process.is_running for process in other.load().processes.values()):
            raise Conflict(
                f"another demo runs, in {other.root}",
                hint=f"stop it: edgectl demo down --dir {shlex.quote(str(other.root))}",
            )
        return
    if context.credential_file and not Path(context.credential_file).parent.exists():
        return
    raise Conflict(f"the context {CONTEXT} belongs to something else", hint=f"edgectl logout --context {CONTEXT}")


async def _nodes(admin: Admin) -> list[node_pb2.Node]:
    request = node_pb2.ListNodesRequest(page_size=1000)
    return list((await admin.call(admin.nodes.List, request)).nodes)


async def _enrollment_key(admin: Admin, uses: int) -> str:
    request = enrollment_pb2.CreateEnrollmentKeyRequest(
        cluster="default", uses=uses, expires_in=to_duration(timedelta(hours=1)), labels={"demo": "yes"}
    )
    return (await admin.call(admin.enrollment_keys.Create, request)).secret


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
