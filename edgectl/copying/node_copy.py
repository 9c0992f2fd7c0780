"""Everything that is copied to or from one node, over one SSH connection."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from typing import Protocol

import paramiko

from edge_wire.errors import CopyFailed, EdgeError, NoContact
from edgectl.copying.entries import CopyStopped, Target, is_safe_name, shown
from edgectl.copying.local_tree import LocalTree
from edgectl.copying.places import Route
from edgectl.copying.remote_tree import RemoteTree
from edgectl.copying.reports import NodeReport
from edgectl.copying.results import NodeResult, outcome_of
from edgectl.copying.sftp_client import SftpClient
from edgectl.copying.tree_copy import Options, TreeCopy


class SshOpener(Protocol):
    """Reaches a node: an authenticated connection that blocks. Called in a worker thread, may raise EdgeError."""

    def __call__(self, node: str, user: str) -> AbstractContextManager[paramiko.Transport]:
        """Open a connection; the block's end closes it."""
        ...


class NodeCopy:
    """One node's part of a copy."""

    def __init__(self, *, route: Route, options: Options, is_apart: bool, opener: SshOpener) -> None:
        self._route = route
        self._options = options
        self._is_apart = is_apart
        """What comes from this node goes to a directory with its name."""
        self._opener = opener

    def run(self, node: str, report: NodeReport, on_open: Callable[[paramiko.Transport], None]) -> NodeResult:
        """Copy everything. Never raises EdgeError: how it ended is the result. `on_open` hears of the connection."""
        started, is_connected, ending = time.monotonic(), False, None
        try:
            report.require_going_on()
            with self._opener(node, self._route.far.user) as transport:
                is_connected = True
                on_open(transport)
                self._copy(node, transport, report)
        except EdgeError as error:
            ending = _with_context(error, report, is_connected=is_connected)
        except (paramiko.SSHException, OSError, EOFError) as error:
            ending = NoContact(f"the connection to the node failed ({error})")
        failures = report.failures + isinstance(ending, CopyFailed)
        return NodeResult(
            node=node,
            outcome=outcome_of(ending, failures=failures, is_connected=is_connected),
            files=report.files,
            bytes=report.bytes,
            resumed_bytes=report.resumed_bytes,
            seconds=time.monotonic() - started,
            failures=failures,
            errors=[*report.errors, *([ending] if ending else [])],
        )

    def _copy(self, node: str, transport: paramiko.Transport, report: NodeReport) -> None:
        with closing(SftpClient.start(transport)) as client, closing(LocalTree()) as near:
            far, is_push = RemoteTree(client), self._route.is_push
            if is_push:
                copy = TreeCopy(source=near, target=far, is_push=True, options=self._options, report=report)
            else:
                copy = TreeCopy(source=far, target=near, is_push=False, options=self._options, report=report)
            destination = self._destination(node)
            tops = self._tops(far if is_push else near, destination)
            for source, top in zip(self._route.sources, tops, strict=True):
                try:
                    copy.copy(source, top)
                except CopyStopped:
                    raise
                except CopyFailed as failure:
                    report.failed(failure)

    def _destination(self, node: str) -> bytes:
        if not self._is_apart:
            return self._route.destination
        name = os.fsencode(node)
        if not is_safe_name(name):
            raise CopyStopped(f"{shown(name)} cannot be the name of a directory")
        made = os.path.join(self._route.destination, name)
        try:
            os.makedirs(made, exist_ok=True)
        except OSError as error:
            raise CopyStopped(f"{shown(made)}: {error.strerror}") from error
        return made

    def _tops(self, target: Target, destination: bytes) -> list[bytes]:
        """Where each source is copied to: into a directory that is there, or in the place of the destination."""
        is_directory = target.is_directory(destination)
        if not is_directory and (len(self._route.sources) > 1 or destination.endswith(b"/")):
            raise CopyStopped(f"{shown(destination)}: is no directory", hint="Make it first.")
        return [_within(destination, source) if is_directory else destination for source in self._route.sources]


def _within(directory: bytes, source: bytes) -> bytes:
    """A source without a name of its own, as `/` and `..`, is copied so that the directory becomes its copy."""
    name = os.path.basename(source.rstrip(b"/"))
    return os.path.join(directory, name) if is_safe_name(name) else directory


def _with_context(error: EdgeError, report: NodeReport, *, is_connected: bool) -> EdgeError:
    """A connection that a stop closed is an interrupted copy; one that broke says how to go on."""
    if is_connected and isinstance(error, NoContact):
        try:
            report.require_going_on()
        except EdgeError as interrupted:
            return interrupted
        return NoContact(error.message, hint="Go on with: edgectl cp --resume …", started="yes")
    return error
