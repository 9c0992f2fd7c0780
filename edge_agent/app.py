"""Composition root of the agent: builds everything, starts it and stops it, in order. Stays up without an admin."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from edge_agent import identity as identities
from edge_agent.dial import Dialler, wait_before
from edge_agent.enroll import Wishes, describe_refused_wish, enroll, read_key_file
from edge_agent.executions import journal
from edge_agent.executions.executions import Executions
from edge_agent.executions.journal import Journal
from edge_agent.facts import collect_facts
from edge_agent.identity import Identity
from edge_agent.session import AgentSession
from edge_agent.settings import HIDDEN, Settings
from edge_agent.ssh.admin_link import AdminLink
from edge_agent.ssh.kept_reports import KeptReports
from edge_agent.ssh.server import SshServer
from edge_agent.ssh.settings import SshSettings
from edge_agent.status import StatusFile
from edge_agent.tunnels import Tunnels
from edge_wire.collector import look_less_often
from edge_wire.egress import EgressPolicy
from edge_wire.errors import DirectoryNotWritable, NotEnrolled, Unavailable
from edge_wire.names import dns_name
from edge_wire.open_files import OF_A_NODE, allow_open_files
from edge_wire.private_files import open_data_dir
from edge_wire.v1 import session_pb2 as pb

if TYPE_CHECKING:
    from edge_agent.proxies import Proxies

log = logging.getLogger(__name__)

OWN_PORTS = frozenset({40022, 41080, 43128, 44000, 44100, 49100, 49586})
"""Where programs of an installation listen by default: nobody gets to them by way of a node."""


class AgentApp:
    """One running agent: `start`, then `stop`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._instance_id = str(uuid4())
        self._dialling: asyncio.Task[None] | None = None
        self._lock: int | None = None

    async def start(self) -> None:
        """Take the data directory and begin to dial. Raises EdgeError when that cannot ever work."""
        settings = self._settings
        open_data_dir(settings.data_dir)
        self._lock = identities.lock_data_dir(settings.data_dir)
        self._status = StatusFile(settings.data_dir)
        self._executions = self._new_executions()
        if identities.load_identity(settings.data_dir) is None and not self._key_source():
            raise NotEnrolled(hint="edge-agent enroll --key-file FILE, or set ENROLLMENT_KEY_FILE")
        self._keys = identities.load_or_make_keys(settings.data_dir)
        policy = _policy(settings)
        self._new_ssh(policy)
        self._tunnels = Tunnels(policy=policy, token=self._keys.token, ssh=self.ssh)
        self.proxies = self._new_proxies(policy)
        self._note_proxies(None)
        if self.proxies is not None:
            await self.proxies.start()
        if self.ssh is not None:
            await self.ssh.start()
        await self._executions.start()
        self._dialling = asyncio.create_task(self._enroll_and_dial())

    async def wait(self) -> None:
        """Until dialling ends, which it does only by failing for good."""
        assert self._dialling is not None
        await self._dialling

    async def stop(self) -> None:
        """Say goodbye and leave; what runs goes on in the runner."""
        if self._dialling is not None:
            if hasattr(self, "_dialler") and self._dialler.stop():
                await asyncio.wait({self._dialling}, timeout=2.0)
            self._dialling.cancel()
            await asyncio.wait({self._dialling})
        if self.proxies is not None:
            await self.proxies.stop()
        if self.ssh is not None:
            await self.ssh.stop()
        await self._tunnels.stop()
        await self._executions.stop()
        self._note("stopped", "")
        if self._lock is not None:
            os.close(self._lock)

    async def _enroll_and_dial(self) -> None:
        identity = identities.load_identity(self._settings.data_dir) or await self._enroll()
        self._identity = identity
        self._dialler = Dialler(
            trusted=self._trusted, token=self._keys.token, new_session=self._new_session, note=self._note
        )
        self._note("connecting", "")
        await self._dialler.run()

    async def _enroll(self) -> Identity:
        """Enroll, waiting for an admin as long as it takes. Raises EdgeError when the key is refused."""
        clock = asyncio.get_running_loop().time
        began = clock()
        wishes = Wishes(alias=self._settings.node_alias, labels=self._settings.node_labels)
        while True:
            try:
                identity = await enroll(self._settings.data_dir, self._key_source(), wishes)
            except Unavailable as error:
                hint = f" ({error.hint})" if error.hint else ""
                self._note("enrolling", f"{error.code}: {error.message}{hint}")
                log.warning("not enrolled yet: %s%s", error.message, hint, extra={"code": error.code})
                await asyncio.sleep(wait_before(0, clock() - began, error, random.uniform))
                continue
            if refused := describe_refused_wish(wishes, identity):
                log.warning("%s", refused)
            return identity

    def _new_executions(self) -> Executions:
        return Executions(
            journal=Journal(self._settings.data_dir / journal.DIRECTORY),
            runner_dir=self._settings.data_dir / "runner",
            concurrency=self._settings.execution_concurrency,
            spool_bytes=self._settings.spool_bytes,
            hidden=HIDDEN,
        )

    def _new_ssh(self, policy: EgressPolicy) -> None:
        """The SSH server, if it is on, and who asks the admin for it."""
        directory = self._settings.data_dir / "ssh"
        reports = KeptReports(directory / "reports")
        reports.load()
        self._ssh_link = AdminLink(reports=reports)
        self.ssh = None
        if self._settings.ssh_server == "off":
            return
        self.ssh = SshServer(
            settings=_ssh_settings(self._settings),
            data_dir=self._settings.data_dir,
            policy=policy,
            authority=self._ssh_link,
            now=lambda: datetime.now(UTC),
        )
        self._ssh_link.server = self.ssh

    def _new_proxies(self, policy: EgressPolicy) -> Proxies | None:
        settings = self._settings
        if settings.http_proxy_listen is None and settings.socks5_proxy_listen is None:
            return None
        from edge_agent.proxies import Proxies, ProxySettings  # a node without them does not pay for them

        chosen = ProxySettings(
            http=settings.http_proxy_listen, socks5=settings.socks5_proxy_listen, password=settings.proxy_password
        )
        return Proxies(
            settings=chosen,
            data_dir=settings.data_dir,
            policy=policy,
            is_own_name=self._is_own_name,
            note=self._note_proxies,
        )

    def _is_own_name(self, host: str) -> bool:
        if not hasattr(self, "_identity"):
            return False  # not enrolled yet
        known = self._identity
        aliases = (None, known.node_name)
        return host in {dns_name(node_id=known.node_id, first_alias=alias, cluster=known.cluster) for alias in aliases}

    def _key_source(self) -> str:
        if self._settings.enrollment_key_file is not None:
            return read_key_file(self._settings.enrollment_key_file)
        return self._settings.enrollment_key

    def _trusted(self) -> tuple[Sequence[str], Sequence[bytes]]:
        urls = [*self._identity.admin_urls, *self._settings.fallback_admin_urls]
        return list(dict.fromkeys(urls)), self._identity.ca_certificates

    def _new_session(self, url: str) -> AgentSession:
        return AgentSession(
            instance_id=self._instance_id,
            facts=collect_facts(),
            labels=self._settings.node_labels,
            executions=self._executions,
            ssh=self._ssh_link,
            open_tunnel=lambda request, refuse: self._tunnels.open(url, self._trusted()[1], request, refuse),
            welcomed=lambda welcome: self._welcomed(url, welcome),
            clock=asyncio.get_running_loop().time,
            now=lambda: datetime.now(UTC),
        )

    def _welcomed(self, url: str, welcome: pb.Welcome) -> None:
        known = identities.updated(
            self._identity,
            node_name=welcome.node_name,
            cluster=welcome.cluster,
            admin_urls=list(welcome.admin_urls),
            ca_certificates=list(welcome.ca_certificates),
        )
        if known != self._identity:
            self._identity = known
            self._save(known)
        self._note("connected", "", admin_url=url, admin_id=welcome.admin_id)
        log.info("session opened", extra={"admin": url, "epoch": welcome.session_epoch, **self._executions.snapshot()})

    def _save(self, identity: Identity) -> None:
        """Keep what a welcome said; with a full disk it is known until the next start, and said again."""
        try:
            identities.save_identity(self._settings.data_dir, identity)
        except DirectoryNotWritable as error:
            log.warning("what the admin said of itself cannot be kept: %s", error.message)

    def _note(self, state: str, error: str, **facts: str) -> None:
        try:
            self._status.write(state=state, error=error, **facts)
        except OSError as failure:
            log.warning("the status cannot be written: %s", failure.strerror)

    def _note_proxies(self, facts: Mapping[str, Any] | None) -> None:
        try:
            self._status.write_proxies(facts)
        except OSError as failure:
            log.warning("the status of the proxies cannot be written: %s", failure.strerror)


def _policy(settings: Settings) -> EgressPolicy:
    listens = [settings.http_proxy_listen, settings.socks5_proxy_listen, settings.ssh_listen]
    own_ports = OWN_PORTS | {address.port for address in listens if address is not None}
    return EgressPolicy(allow=settings.egress_allow, deny=settings.egress_deny, own_ports=own_ports)


def _ssh_settings(settings: Settings) -> SshSettings:
    return SshSettings(
        listen=settings.ssh_listen,
        environment=tuple(settings.ssh_environment),
        record=settings.ssh_record == "yes",
        max_sessions=settings.ssh_max_sessions,
        offline_grace=timedelta(seconds=settings.ssh_offline_grace),
        hidden=HIDDEN,
    )


async def run(settings: Settings) -> int:
    """Run until SIGTERM or Ctrl-C. Raises EdgeError when it cannot ever work."""
    look_less_often()
    allow_open_files(OF_A_NODE)
    app = AgentApp(settings)
    await app.start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    working = asyncio.create_task(app.wait())
    try:
        await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        stopping.cancel()
        await app.stop()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    return 0
