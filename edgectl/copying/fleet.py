"""Copies with many nodes at once: so many at a time, each on its own; one that fails stops no other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

import paramiko

from edge_wire.errors import CopyInterrupted, Internal
from edgectl.copying.node_copy import NodeCopy, SshOpener
from edgectl.copying.places import Route
from edgectl.copying.reports import Listener, NodeReport
from edgectl.copying.results import NodeResult
from edgectl.copying.tree_copy import Options

DEFAULT_FANOUT = 8
_LEAVING_WITHIN = 5.0
"""Seconds that copies have to end after a stop; a thread that still waits for a network then is left behind."""
_LOOK_EVERY = 0.2


class FleetCopy:
    """A copy with any number of nodes. `stop` may be called from any thread and any signal handler."""

    def __init__(
        self, *, route: Route, options: Options, is_apart: bool, opener: SshOpener, listener: Listener
    ) -> None:
        self._copy = NodeCopy(route=route, options=options, is_apart=is_apart, opener=opener)
        self._listener = listener
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[str, paramiko.Transport] = {}
        self._begun: set[str] = set()
        self._results: dict[str, NodeResult] = {}

    def run(self, nodes: Sequence[str], *, fanout: int = DEFAULT_FANOUT) -> list[NodeResult]:
        """Copy with every node; results in their order. Ctrl-C stops everything and keeps what was begun."""
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for node in nodes:
            waiting.put(node)
        workers = [
            threading.Thread(target=self._work, args=(waiting,), name=f"copy-{number}", daemon=True)
            for number in range(min(fanout, len(nodes)))
        ]
        for worker in workers:
            worker.start()
        try:
            _join(workers)
        except KeyboardInterrupt:
            self.stop()
            _join(workers, within=_LEAVING_WITHIN)
        with self._lock:
            return [self._results.get(node) or self._unfinished(node) for node in nodes]

    def stop(self) -> None:
        """Begin nothing more and end what is under way; parts stay for `--resume`."""
        self._stop.set()
        for transport in list(self._open.values()):
            transport.close()

    def _work(self, waiting: queue.SimpleQueue[str]) -> None:
        while not self._stop.is_set():
            try:
                node = waiting.get_nowait()
            except queue.Empty:
                return
            with self._lock:
                self._begun.add(node)
            result = self._result_of(node)
            with self._lock:
                self._results[node] = result

    def _result_of(self, node: str) -> NodeResult:
        report = NodeReport(node, self._listener, self._stop)
        try:
            result = self._copy.run(node, report, lambda transport: self._opened(node, transport))
        except Exception as error:  # a thread has nobody above it who could tell
            result = NodeResult(node=node, outcome="failed", errors=[Internal(f"{type(error).__name__}: {error}")])
        finally:
            self._open.pop(node, None)
        if len(result.errors) > len(report.errors):
            self._listener.failed(node, result.errors[-1])
        return result

    def _opened(self, node: str, transport: paramiko.Transport) -> None:
        self._open[node] = transport
        if self._stop.is_set():
            transport.close()

    def _unfinished(self, node: str) -> NodeResult:
        is_begun = node in self._begun
        error = CopyInterrupted("interrupted; what was begun is kept", hint="Go on with: edgectl cp --resume …")
        return NodeResult(
            node=node, outcome="cancelled" if is_begun else "not_started", errors=[error] if is_begun else []
        )


def _join(workers: Sequence[threading.Thread], *, within: float | None = None) -> None:
    """Wait for all of them; in short steps, so that a signal is heard on every system."""
    left = within
    for worker in workers:
        while worker.is_alive() and (left is None or left > 0):
            worker.join(_LOOK_EVERY)
            left = None if left is None else left - _LOOK_EVERY
