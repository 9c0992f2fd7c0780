"""Network namespaces joined by cables, for tests that need machines with different addresses.

Everything is made inside the namespaces: the machine's own interfaces, addresses and routes are never touched.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from tests.support.leftovers import abandoned, unique_name

COMMAND_LIMIT = timedelta(seconds=30)
INTERFACE = "edge0"


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """One side of the cable: an address of its own, and a way to run programs there."""

    name: str
    address: str
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

    def run(self, argv: Sequence[str], *, env: dict[str, str] | None = None) -> str:
        """Run a program to its end and return its stdout; a failure raises with what it printed."""
        return _run([*self.enter, *argv], env=env)

    def popen(
        self,
        argv: Sequence[str],
        *,
        env: dict[str, str] | None = None,
        stdin: int | None = subprocess.DEVNULL,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program; whatever still runs is killed when the namespaces go."""
        child = subprocess.Popen([*self.enter, *argv], env=env, stdin=stdin, stdout=stdout, stderr=stderr)
        self._children.append(child)
        return child

    def kill_all(self) -> None:
        """Kill every process in the namespace, also those that left their parents."""
        listed = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        for pid in listed.stdout.split():
            subprocess.run(["kill", "-KILL", pid], capture_output=True, check=False)
        for child in self._children:
            child.wait(COMMAND_LIMIT.total_seconds())

    @property
    def enter(self) -> tuple[str, ...]:
        """What stands before a command line that is to run there."""
        return ("ip", "netns", "exec", self.name)


@dataclass(frozen=True, kw_only=True)
class NamespacePair:
    """Two machines that reach each other and nothing else."""

    left: Namespace
    right: Namespace

    def cut(self) -> None:
        """Take the cable out."""
        _run(["ip", "-n", self.left.name, "link", "set", INTERFACE, "down"])

    def join(self) -> None:
        """Put the cable back."""
        _run(["ip", "-n", self.left.name, "link", "set", INTERFACE, "up"])


Cable = Callable[[Namespace, Namespace], None]
"""Joins two namespaces by an interface each, until they go."""


def short_cable(left: Namespace, right: Namespace) -> None:
    """Join them by a cable that costs no time."""
    _lay_cable(INTERFACE, {left.name: left.address, right.name: right.address})


@contextmanager
def joined_namespaces(cable: Cable = short_cable) -> Iterator[NamespacePair]:
    """Build the pair, and remove it whatever happens. Skips the test where namespaces cannot be made."""
    skip_unless_possible()
    remove_abandoned()
    name = unique_name()
    left = Namespace(name=f"{name}-left", address="10.77.0.1")
    right = Namespace(name=f"{name}-right", address="10.77.0.2")
    with _made(left), _made(right):
        cable(left, right)
        yield NamespacePair(left=left, right=right)


@contextmanager
def lan_behind(gateway: Namespace) -> Iterator[Namespace]:
    """Build a machine that only this one reaches: by a second cable, on which the gateway's address ends in 1."""
    machine = Namespace(name=f"{gateway.name}-lan", address="10.78.0.2")
    with _made(machine):
        _lay_cable("lan0", {gateway.name: "10.78.0.1", machine.name: machine.address})
        yield machine


@pytest.fixture
def namespaces() -> Iterator[NamespacePair]:
    """Two joined network namespaces for one test."""
    with joined_namespaces() as pair:
        yield pair


def skip_unless_possible() -> None:
    """Skip the test with the reason why namespaces cannot be made here."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if shutil.which("ip") is None:
        pytest.skip("network namespaces need the program ip (package iproute2)")
    name = unique_name()
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    remove(name)
    if tried.returncode != 0:
        pytest.skip(f"this machine refuses network namespaces: {tried.stderr.strip()}")


def configure(namespace: Namespace, *words: str) -> None:
    """Say something about its interfaces, addresses or routes to `ip`."""
    _run(["ip", "-n", namespace.name, *words])


def names() -> list[str]:
    """Return the names of all namespaces of this machine."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False)
    return [line.split()[0] for line in listed.stdout.splitlines()]


def remove(name: str) -> None:
    """Remove a namespace if it is there."""
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def remove_abandoned() -> None:
    """Remove the namespaces of test runs that were killed, with what runs in them."""
    for name in abandoned(names()):
        Namespace(name=name, address="").kill_all()
        remove(name)


@contextmanager
def _made(namespace: Namespace) -> Iterator[None]:
    with ExitStack() as cleanup:
        cleanup.callback(remove, namespace.name)
        _run(["ip", "netns", "add", namespace.name])
        cleanup.callback(namespace.kill_all)
        _run(["ip", "-n", namespace.name, "link", "set", "lo", "up"])
        yield


def _lay_cable(interface: str, ends: Mapping[str, str]) -> None:
    """Join two namespaces, each of which gets an interface of this name with this address."""
    first, second = ends
    cable = ["name", interface, "netns"]
    _run(["ip", "link", "add", *cable, first, "type", "veth", "peer", *cable, second])
    for name, address in ends.items():
        _run(["ip", "-n", name, "address", "add", f"{address}/30", "dev", interface])
        _run(["ip", "-n", name, "link", "set", interface, "up"])


def _run(argv: Sequence[str], *, env: dict[str, str] | None = None) -> str:
    limit = COMMAND_LIMIT.total_seconds()
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=limit, env=env, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout
