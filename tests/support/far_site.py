"""An installation whose node is elsewhere: three machines in network namespaces, and our programs as processes there.

The operator's machine has the admin as well; a cable leads to the node, and another one from the node to a machine in
its LAN. The operator's machine can neither reach that LAN nor resolve its names; the node opens no port to anybody.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.netns import Cable, Namespace, joined_namespaces, lan_behind, short_cable
from tests.support.programs import Finished, Program, module_argv, run_command

NODE = "gw-oslo"
DNS_NAME = f"node-{NODE}.cluster-default.nm.internal"
PRINTER = "printer.oslo.lan"
"""The machine in the node's LAN, by the name that only the node knows."""
PROXY_KEY = "test-proxy-key-0123456789"

KNOWING_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'
"""`ip netns exec` gives a mount namespace of its own: the machine's file is not touched."""


@dataclass(kw_only=True)
class FarSite:
    """The three machines, and what an operator types."""

    directory: Path
    operator: Namespace
    node: Namespace
    lan: Namespace
    _programs: list[Program] = field(default_factory=list)

    @property
    def http_proxy(self) -> str:
        """The admin's HTTP proxy: off loopback, so with TLS."""
        return f"{self.operator.address}:43128"

    @property
    def socks5_proxy(self) -> str:
        """The admin's SOCKS5 proxy: on loopback, so without TLS."""
        return "127.0.0.1:41080"

    @property
    def ca(self) -> Path:
        """The installation's CA certificate, as PEM."""
        return self.directory / "ca.pem"

    @property
    def environ(self) -> dict[str, str]:
        """What makes `edgectl` reach this installation."""
        return {"EDGECTL_CONFIG_DIR": str(self.directory / "config"), "HOME": str(self.directory)}

    async def run(self, *argv: str, environ: dict[str, str] | None = None, stdin: bytes = b"") -> Finished:
        """Run a program on the operator's machine to its end."""
        return await run_command(*self.operator.enter, *argv, environ={**self.environ, **(environ or {})}, stdin=stdin)

    async def edgectl(self, *words: str, stdin: bytes = b"") -> Finished:
        """Run the real command line to its end; it must succeed."""
        done = await self.run(*module_argv("edgectl", words), stdin=stdin)
        assert done.code == 0, done.err
        return done

    async def start_edgectl(self, *words: str, log: str) -> Program:
        """Start the real command line; what it prints is in the program's log."""
        return await self._start(self.operator, "edgectl", *words, environ=self.environ, log=log)

    async def start_command(self, *argv: str, log: str) -> Program:
        """Start a program on the operator's machine; what it prints is in its log."""
        words = (*self.operator.enter, *argv)
        program = await Program.start_command(*words, environ=self.environ, log=self.directory / log)
        self._programs.append(program)
        return program

    async def start(self) -> None:
        """Start the admin, log in, and make the node one of its nodes; returns when it is online."""
        await self._start_admin()
        await self.edgectl("login", "--keyring", "file", stdin=(self.directory / "admin" / "login").read_bytes())
        stored = json.loads((self.directory / "config" / "config.json").read_text())
        certificate = stored["contexts"][stored["current"]]["ca_certificate"]
        self.ca.write_text(ssl.DER_cert_to_PEM_cert(base64.b64decode(certificate)))
        await self._start_agent()

    async def stop(self) -> None:
        """End what was started; what a program left behind goes with its namespace."""
        for program in reversed(self._programs):
            await program.kill()

    async def _start_admin(self) -> None:
        environ = {
            "DATA_DIR": str(self.directory / "admin"),
            "GRPC_LISTEN": f"{self.operator.address}:44100",
            "SOCKS5_PROXY_LISTEN": self.socks5_proxy,
            "PROXY_KEY": PROXY_KEY,
        }
        admin = await self._start(self.operator, "edge_server", "serve", environ=environ, log="admin.log")

        def is_ready() -> bool:
            assert admin.is_running, admin.output
            return "log in with" in admin.output

        await eventually(is_ready, within=30.0, what="the admin serves")

    async def _start_agent(self) -> None:
        key = json.loads((await self.edgectl("enroll-key", "create", "-o", "json")).text)["secret"]
        hosts = self.directory / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n{self.lan.address} {PRINTER}\n")
        environ = {"DATA_DIR": str(self.directory / "node"), "ENROLLMENT_KEY": key, "NODE_ALIAS": NODE}
        enter = ("sh", "-c", KNOWING_HOSTS, str(hosts))
        agent = await self._start(self.node, "edge_agent", "run", environ=environ, log="agent.log", within=enter)

        async def is_online() -> bool:
            assert agent.is_running, agent.output
            nodes = json.loads((await self.edgectl("node", "list", "-o", "json")).text)
            return [node["status"] for node in nodes] == ["online"]

        await eventually(is_online, within=30.0, what="the node is online")

    async def _start(
        self, machine: Namespace, *words: str, environ: dict[str, str], log: str, within: Sequence[str] = ()
    ) -> Program:
        place, prefix = self.directory / log, (*machine.enter, *within)
        program = await Program.start(*words, environ=environ, log=place, prefix=prefix)
        self._programs.append(program)
        return program


@asynccontextmanager
async def far_site(directory: Path, cable: Cable = short_cable) -> AsyncIterator[FarSite]:
    """Build the machines and start the programs; skips where namespaces, or the cable to the node, cannot be made."""
    with joined_namespaces(cable) as pair, lan_behind(pair.right) as lan:
        site = FarSite(directory=directory, operator=pair.left, node=pair.right, lan=lan)
        try:
            await site.start()
            yield site
        finally:
            await site.stop()
