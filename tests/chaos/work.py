"""The load: operators who run commands one after another, with the real command line and with the API, and write down
what they were told.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from edge_wire import calls
from edge_wire.errors import DatabaseUnavailable, DeadlineExceeded, EdgeError, ShuttingDown, StreamBroken, Unavailable
from edge_wire.timestamps import to_duration
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import selector_pb2
from edgectl import shapes
from edgectl.connect import Admin, connected_to
from tests.chaos import payload
from tests.chaos.ledger import Account, End
from tests.chaos.site import Site
from tests.chaos.supervisor import tied_prefix
from tests.chaos.wishes import Wish, narrowed, wishes
from tests.support.harness import MASTER_KEY
from tests.support.programs import Program

EXEC_OPERATORS = ("cli1", "cli2", "cli3")
"""Each runs one edgectl at a time: every start of it costs half a second of a processor."""
API_OPERATORS = ("api1", "api2", "api3", "api4", "api5")
_NARROWINGS = 4
_ASK_TIMES = 6
_ASK_PAUSE = 0.5
_CALL_TIMEOUT = timedelta(seconds=8)
_WATCH_SECONDS = 20.0
_PASSING = (Unavailable, DatabaseUnavailable, ShuttingDown, DeadlineExceeded, StreamBroken)
_OFFLINE = {"fail": pb.OFFLINE_POLICY_FAIL, "skip": pb.OFFLINE_POLICY_SKIP, "queue": pb.OFFLINE_POLICY_QUEUE}


class Work:
    """Everything that the operators do."""

    def __init__(self, site: Site, *, seed: int) -> None:
        self._site = site
        self._seed = seed
        self._clients: list[Program] = []
        self._under_way: list[str] = []
        self._working: asyncio.Task[None] | None = None
        self._is_stopping = asyncio.Event()
        self.accounts: list[Account] = []
        (site.directory / "clients").mkdir()

    def clients(self) -> list[Program]:
        """Every edgectl that runs now."""
        return [client for client in self._clients if client.is_running]

    def start(self) -> None:
        """Let the operators work until `stop`."""
        self._working = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Begin nothing new; what is under way goes on."""
        self._is_stopping.set()

    async def wait(self, within: float) -> None:
        """Until nobody waits for anything, but no longer than so many seconds. Raises what broke an operator."""
        assert self._working is not None
        done, _ = await asyncio.wait({self._working}, timeout=within)
        for task in done:
            task.result()

    def waiting(self) -> list[str]:
        """Tokens of what somebody waits for."""
        return list(self._under_way)

    async def kill(self) -> None:
        """End everything at once."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        for client in self.clients():
            await client.kill()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for name in EXEC_OPERATORS:
                tasks.create_task(self._operate(name, self._exec, brings_stdin=True))
            for name in API_OPERATORS:
                tasks.create_task(self._operate(name, self._ask, brings_stdin=False))

    async def _operate(self, name: str, do: Callable[[Account], Awaitable[None]], *, brings_stdin: bool) -> None:
        for wish in wishes(self._seed, name, self._site.nodes, brings_stdin=brings_stdin):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_stopping.wait(), wish.pause)
            if self._is_stopping.is_set():
                return
            asked = wish
            for attempt in range(1, _NARROWINGS + 1):
                account = Account(wish=asked)
                self.accounts.append(account)
                self._under_way.append(asked.token)
                await do(account)
                self._under_way.remove(asked.token)
                if "node_on_other_admin" not in account.errors or self._is_stopping.is_set():
                    break
                asked = narrowed(wish, attempt)

    # --- the command line ----------------------------------------------------------------------------------------

    async def _exec(self, account: Account) -> None:
        wish = account.wish
        log = self._site.directory / "clients" / f"{wish.token}.log"
        words = ["exec", *exec_words(wish, self._stdin_file(wish)), "--", *_argv(wish)]
        environ = self._site.operator_environment(wish.admin)
        account.is_cancelled = wish.cancel_after is not None and not wish.is_detached
        program = await Program.start("edgectl", *words, environ=environ, log=log, prefix=tied_prefix())
        self._clients.append(program)
        interrupting = asyncio.create_task(self._interrupt(program, account))
        try:
            code = await program.process.wait()
        finally:
            interrupting.cancel()
        self._clients.remove(program)
        account.exit_code = code if code >= 0 else None
        take_lines(account, log.read_text(errors="replace"))

    async def _interrupt(self, program: Program, account: Account) -> None:
        """Ctrl-C once the command is accepted, which its first event tells."""
        if not account.is_cancelled:
            return
        while program.is_running and '"schema"' not in program.output:
            await asyncio.sleep(0.05)
        assert account.wish.cancel_after is not None
        await asyncio.sleep(account.wish.cancel_after)
        program.signal(signal.SIGINT)

    def _stdin_file(self, wish: Wish) -> Path | None:
        if not wish.stdin_bytes:
            return None
        path = self._site.directory / "clients" / f"{wish.token}.stdin"
        path.write_bytes(b"x" * wish.stdin_bytes)
        return path

    # --- the API -------------------------------------------------------------------------------------------------

    async def _ask(self, account: Account) -> None:
        command_id = await self._create(account)
        if not command_id:
            return
        wish = account.wish
        if wish.cancel_after is not None:
            account.is_cancelled = True
            await asyncio.sleep(wish.cancel_after)
            await self.cancel(account, command_id)
        if not wish.is_detached:
            await self._watch(account, command_id)

    async def _create(self, account: Account) -> str:
        """Ask, and ask again with the same request id until there is an answer; once more when there was one."""
        request = create_request(account.wish)
        for attempt in range(_ASK_TIMES):
            try:
                async with connected_to(self._site.context(account.wish.admin + attempt), MASTER_KEY) as admin:
                    made = await admin.call(admin.commands.Create, request, timeout=_CALL_TIMEOUT)
            except EdgeError as error:
                account.errors.append(error.code)
                if not isinstance(error, _PASSING):
                    return ""
                await asyncio.sleep(_ASK_PAUSE)
                continue
            account.answers.append(made.command_id)
            account.created += not made.repeated_request
            if account.wish.token[-1] not in "05" or len(account.answers) > 1:
                break
        return account.answers[-1] if account.answers else ""

    async def cancel(self, account: Account, command_id: str) -> None:
        """Ask for a cancel until it is heard."""
        account.is_cancelled = True
        request = pb.CancelCommandRequest(command_id=command_id)
        for attempt in range(_ASK_TIMES):
            try:
                async with connected_to(self._site.context(account.wish.admin + attempt), MASTER_KEY) as admin:
                    await admin.call(admin.commands.Cancel, request, timeout=_CALL_TIMEOUT)
                return
            except EdgeError as error:
                account.errors.append(error.code)
                await asyncio.sleep(_ASK_PAUSE)

    async def _watch(self, account: Account, command_id: str) -> None:
        """Watch for a while; what breaks is left."""
        try:
            async with (
                asyncio.timeout(_WATCH_SECONDS),
                connected_to(self._site.context(account.wish.admin), MASTER_KEY) as admin,
            ):
                await _take_events(account, admin, pb.WatchCommandRequest(command_id=command_id))
        except EdgeError as error:
            account.errors.append(error.code)
        except TimeoutError:
            return


def exec_words(wish: Wish, stdin: Path | None) -> list[str]:
    """The options of `edgectl exec`."""
    words = [*wish.nodes, "-o", "jsonl", "--request-id", wish.token, "--yes"]
    words += ["--offline", wish.offline, "--kill-after", "1s"]
    spans = {"timeout": wish.timeout, "deadline": wish.deadline, "expires": wish.expires}
    numbers = {"batch": wish.batch, "fanout": wish.fanout, "max-errors": wish.max_errors}
    for name, seconds in spans.items():
        words += [f"--{name}", f"{seconds}s"] if seconds is not None else []
    for name, number in numbers.items():
        words += [f"--{name}", str(number)] if number is not None else []
    if stdin is not None:
        words += ["--stdin", str(stdin)]
    return [*words, "--detach"] if wish.is_detached else words


def create_request(wish: Wish) -> pb.CreateCommandRequest:
    """The same by the API, which brings no stdin."""
    spec = pb.CommandSpec(offline=_OFFLINE[wish.offline], kill_after=to_duration(timedelta(seconds=1)))
    spec.argv.arguments.extend(_argv(wish))
    for name in ("timeout", "deadline", "expires"):
        seconds = getattr(wish, name)
        if seconds is not None:
            getattr(spec, name).CopyFrom(to_duration(timedelta(seconds=seconds)))
    for name in ("batch", "fanout", "max_errors"):
        number = getattr(wish, name)
        if number is not None:
            getattr(spec, name).count = number
    return pb.CreateCommandRequest(selector=selector_pb2.Selector(nodes=wish.nodes), spec=spec, request_id=wish.token)


def take_lines(account: Account, text: str) -> None:
    """Read what an edgectl said in `-o jsonl`."""
    for row in _objects(text):
        if row.get("command") and row["command"] not in account.answers:
            account.answers.append(row["command"])
        if row.get("schema") == "edgectl.error/v1":
            account.errors.append(row["code"])
        elif row.get("schema") == "edgectl.exec.event/v1":
            _take_event(account, row["node"]["name"], row)


def _take_event(account: Account, node: str, row: Mapping[str, Any]) -> None:
    if row["type"] == "stdout":
        account.received[node] += len(row["data"])  # what the payload prints is ASCII
    elif row["type"] == "gap" and row["stream"] == "stdout":
        account.missed[node] += row["to"] - row["from"]
    elif row["type"] == "end":
        account.ends[node] = End(outcome=row["outcome"], exit_code=row["exit_code"], signal=row["signal"] or "")


async def _take_events(account: Account, admin: Admin, request: pb.WatchCommandRequest) -> None:
    found = await admin.call(admin.commands.Get, pb.GetCommandRequest(command_id=request.command_id))
    names = {execution.id: execution.node_name for execution in found.executions}
    async for response in calls.stream(admin.commands.Watch, request, token=admin.token):
        for event in response.events:
            if event.HasField("end"):
                end = event.end
                account.ends[names[event.execution_id]] = End(
                    outcome=shapes.outcome_word(end.outcome),
                    exit_code=end.exit_code if end.HasField("exit_code") else None,
                    signal=end.signal,
                )
        if response.HasField("finished"):
            account.is_finished = True


def _argv(wish: Wish) -> list[str]:
    return payload.argv(
        wish.token,
        seconds=wish.seconds,
        ending=wish.ending,
        output_bytes=wish.output_bytes,
        stdin_bytes=wish.stdin_bytes,
    )


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    """The JSON objects among the lines."""
    for line in text.splitlines():
        if line.startswith("{"):
            with suppress(ValueError):  # cut by a kill
                yield json.loads(line)
