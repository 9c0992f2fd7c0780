"""Composition root of the admin: builds everything, starts it and stops it, in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2
from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from edge_server import choices, data_dir, encryption
from edge_server.admins.rpc import AdminServicer
from edge_server.admins.service import AdminPresence, forget_earlier_runs
from edge_server.audit.rpc import AuditServicer
from edge_server.audit.service import AuditService
from edge_server.clusters.rpc import ClusterServicer
from edge_server.clusters.service import ClusterService, ensure_default_cluster
from edge_server.commands.dispatcher import Dispatcher
from edge_server.commands.lookup import EARLIER_COMMANDS
from edge_server.commands.reconciler import Reconciler
from edge_server.commands.recorder import Recorder
from edge_server.commands.retention import Retention
from edge_server.commands.rpc import CommandServicer
from edge_server.commands.service import CommandService, drop_executions
from edge_server.commands.stdin_spool import Spools
from edge_server.db.database import Database
from edge_server.db.engine import make_engine
from edge_server.db.migrate import check, migrate
from edge_server.enrollment.rpc import EnrollmentKeyServicer
from edge_server.enrollment.service import EnrollmentService
from edge_server.installation.service import open_installation
from edge_server.jobs.periodic import PeriodicRunner
from edge_server.jobs.schedule import jobs
from edge_server.nodes import presence
from edge_server.nodes.convert import from_facts
from edge_server.nodes.domain import NodeId
from edge_server.nodes.rpc import NodeServicer
from edge_server.nodes.service import NodeService, count_by_cluster
from edge_server.principals.domain import Principal, Role
from edge_server.principals.rpc import TokenServicer
from edge_server.principals.service import BuiltinKey, PrincipalService, builtin_keys
from edge_server.proxies.convert import to_port, to_tunnels
from edge_server.proxies.ports import ProxyPorts
from edge_server.proxies.rpc import TunnelServicer
from edge_server.proxies.service import TunnelService
from edge_server.rpc.gatekeeper import Gatekeeper
from edge_server.rpc.server import HealthServicer, add_services, listen, new_server
from edge_server.sessions import whereabouts
from edge_server.sessions.dialling import NodeDialler
from edge_server.sessions.gate import NodeGateServicer
from edge_server.sessions.host import AdminFacts, SessionHost
from edge_server.sessions.registry import SessionRegistry
from edge_server.sessions.session import SessionLimits, Sinks
from edge_server.settings import Settings, primary_address
from edge_server.ssh.parts import Ssh
from edge_server.ssh.rpc import SshKeyServicer, SshServicer, SshUserServicer
from edge_wire import certificates, credentials
from edge_wire.certificates import Authority, Identity
from edge_wire.errors import SettingsInvalid, ShuttingDown
from edge_wire.limiter import FailureLimiter
from edge_wire.private_files import open_data_dir
from edge_wire.v1 import (
    admin_pb2,
    audit_pb2,
    cluster_pb2,
    command_pb2,
    enrollment_pb2,
    node_pb2,
    principal_pb2,
    session_pb2,
    ssh_pb2,
    tunnel_pb2,
)
from edge_wire.version import PROGRAM

log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """The admin's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where this admin is reached."""

    port: int
    urls: Sequence[str]


class AdminApp:
    """One running admin. `start`, then `stop`; `settings` decide everything."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.admin_id = str(uuid4())
        self.secrets: data_dir.Secrets
        self.made_secrets_at: Path | None = None
        """Where secrets were made in this start."""
        self.authority: Authority
        self.address: Address
        self.db: Database
        self.registry = SessionRegistry()
        self._lock: int | None = None

    async def start(self) -> None:
        """Open the database and the port; serves when it returns. Raises EdgeError, and then nothing is left open."""
        settings = self._settings
        open_data_dir(settings.data_dir)
        if settings.is_sqlite:
            self._lock = data_dir.lock_sqlite(settings.sqlite_path)
        try:
            self.secrets = data_dir.load_secrets(settings)
            self.made_secrets_at = self.secrets.made_at
            await self._open_database_or_forget_secrets()
            await self._serve()
        except BaseException:
            self._release()
            raise

    async def drain(self, grace: timedelta) -> None:
        """Accept no new commands and tunnels and let those there are end, as far as the grace goes."""
        self._commands.drain()
        await self._health.set_serving(False)
        self.proxies.stop_accepting()
        await asyncio.gather(self._tunnels.drain(grace), self._settle_executions(grace))

    async def stop(self) -> None:
        """Say goodbye to everyone, store what is known and close everything. What runs on nodes goes on."""
        self._commands.drain()
        self._dispatcher.stop(ShuttingDown(hint="the command goes on; it is picked up after the restart"))
        self._tunnels.end_all()
        await self.proxies.stop()
        self._host.drain()
        self._commands.stop()
        await self._server.stop(2)
        await self._tunnels.stop()
        await self._jobs.stop()
        await self.ssh.stop()
        await self._reconciler.stop()
        await self._recorder.stop()
        await self._host.stop()
        await self._presence.leave()
        self._release()

    @property
    def login(self) -> str:
        """What `edgectl login` reads, for the built-in principal with all rights."""
        secret = self._login_template()
        secret.token = self.secrets.master_key
        return credentials.encode_login(secret)

    async def _settle_executions(self, grace: timedelta) -> None:
        deadline = asyncio.get_running_loop().time() + grace.total_seconds()
        # Executions end in many places, and none of them should have to know of draining.
        while not self._dispatcher.is_settled and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def _open_database_or_forget_secrets(self) -> None:
        """Secrets are on disk before a database is encrypted with them; those that do not fit it go again."""
        try:
            await self._open_database()
        except SettingsInvalid as error:
            made_at, self.made_secrets_at = self.made_secrets_at, None
            if made_at is not None:
                made_at.unlink(missing_ok=True)
                if self._settings.encryption_key is None:
                    error.hint = f"{made_at} was lost: put back a copy of it, or set ENCRYPTION_KEY"
            raise

    async def _open_database(self) -> None:
        engine = make_engine(self._settings.url, pool_size=self._settings.db_pool_size)
        self.db = Database(engine, threads=self._settings.db_pool_size)
        if self._settings.is_sqlite:
            await asyncio.to_thread(migrate, engine)
        await asyncio.to_thread(check, engine)
        self._cipher = encryption.Cipher(encryption.parse_keys(self.secrets.encryption_key))
        self.authority = await open_installation(self.db, self._cipher, utc_now())
        name = self._settings.default_cluster_name
        with contextlib.suppress(IntegrityError):  # another admin that starts just now made it
            await self.db.write(lambda tx: ensure_default_cluster(tx, name, utc_now()))
        if self._settings.is_sqlite:
            await self.db.write(lambda tx: presence.clear_sessions(tx))
            await self.db.write(forget_earlier_runs)

    async def _serve(self) -> None:
        clock = asyncio.get_running_loop().time
        self._limiter = FailureLimiter()
        self._recorder = Recorder(db=self.db, now=utc_now)
        self._dispatcher = Dispatcher(
            registry=self.registry,
            recorder=self._recorder,
            spools=Spools(self._settings.data_dir / "stdin"),
            held_elsewhere=None if self._settings.is_sqlite else self._held_elsewhere,
            reconnect_grace=timedelta(seconds=self._settings.reconnect_grace_seconds),
            now=utc_now,
            clock=clock,
        )
        self._reconciler = Reconciler(
            db=self.db,
            dispatcher=self._dispatcher,
            cipher=self._cipher,
            admin_id=self.admin_id,
            now=utc_now,
            clock=clock,
        )
        self._nodes = NodeService(
            db=self.db,
            now=utc_now,
            earlier_commands=EARLIER_COMMANDS,
            on_delete=drop_executions,
            after_delete=self._node_deleted,
        )
        self._principals = PrincipalService(db=self.db, builtins=self._builtins(), now=utc_now)
        # The port comes first: with port 0 its number is known only now, and services tell it to agents.
        self._server = new_server()
        identity = certificates.new_admin_identity(self.authority, self.admin_id, choices.hosts(self._settings))
        self.address = self._open_port(identity)
        self._presence = AdminPresence(
            db=self.db, admin_id=self.admin_id, version=PROGRAM, urls=self.address.urls, now=utc_now
        )
        self._dialler = NodeDialler(registry=self.registry, admin_id=self.admin_id)
        self.ssh = self._new_ssh()
        self._host = self._new_host()
        self._tunnels = TunnelService(
            db=self.db,
            dialler=self._dialler,
            admin_id=self.admin_id,
            limits=choices.tunnel_limits(self._settings),
            now=utc_now,
        )
        self._health = HealthServicer()
        gatekeeper = Gatekeeper(principals=self._principals, nodes=self._nodes, limiter=self._limiter, now=utc_now)
        add_services(self._server, self._services(), gatekeeper)
        self.proxies = ProxyPorts(
            gatekeeper=gatekeeper,
            tunnels=self._tunnels,
            identity=identity,
            admin_id=self.admin_id,
            handshake_timeout=timedelta(seconds=self._settings.proxy_handshake_timeout_seconds),
        )
        await self.proxies.open(
            http=choices.proxy_address(self._settings, self._settings.http_proxy_listen, 43128),
            socks5=choices.proxy_address(self._settings, self._settings.socks5_proxy_listen, 41080),
        )
        await self._start_parts()

    async def _start_parts(self) -> None:
        self._jobs = PeriodicRunner(
            jobs(
                presence=self._presence,
                host=self._host,
                dispatcher=self._dispatcher,
                reconciler=self._reconciler,
                retention=Retention(
                    db=self.db, keep=choices.keep(self._settings), now=utc_now, clock=asyncio.get_running_loop().time
                ),
                ssh=self.ssh.records,
            )
        )
        await self._presence.beat()
        self._recorder.start()
        await self._reconciler.adopt_orphans()
        self._dispatcher.feeds.remove_others(await self._reconciler.open_command_ids())
        await self._server.start()
        self._jobs.start()
        await self._health.set_serving(True)

    def _services(self) -> dict[ServiceDescriptor, object]:
        ca = self.authority.der
        urls = self.address.urls
        enrollment = EnrollmentService(db=self.db, authority=self.authority, now=utc_now)
        self._commands = CommandService(
            db=self.db,
            dispatcher=self._dispatcher,
            reconciler=self._reconciler,
            cipher=self._cipher,
            admin_id=self.admin_id,
            now=utc_now,
        )
        clusters = ClusterService(db=self.db, count_nodes=count_by_cluster, now=utc_now)
        return {
            _service(health_pb2, "Health"): self._health,
            _service(session_pb2, "NodeGate"): NodeGateServicer(
                enrollment=enrollment, host=self._host, dialler=self._dialler, ca_certificates=[ca], admin_urls=urls
            ),
            _service(admin_pb2, "AdminService"): AdminServicer(
                presence=self._presence, nodes=self._nodes, database=self.db.kind, gauges=self._gauges, now=utc_now
            ),
            _service(audit_pb2, "AuditService"): AuditServicer(audit=AuditService(db=self.db)),
            _service(cluster_pb2, "ClusterService"): ClusterServicer(clusters=clusters),
            _service(command_pb2, "CommandService"): CommandServicer(commands=self._commands),
            _service(enrollment_pb2, "EnrollmentKeyService"): EnrollmentKeyServicer(
                enrollment=enrollment,
                ca_certificate=ca,
                admin_urls=urls,
                install_source=self._settings.agent_install_source,
            ),
            _service(node_pb2, "NodeService"): NodeServicer(nodes=self._nodes),
            _service(principal_pb2, "TokenService"): TokenServicer(
                principals=self._principals, login_template=self._login_template
            ),
            _service(ssh_pb2, "SshUserService"): SshUserServicer(accounts=self.ssh.accounts),
            _service(ssh_pb2, "SshKeyService"): SshKeyServicer(accounts=self.ssh.accounts),
            _service(ssh_pb2, "SshService"): SshServicer(
                admissions=self.ssh.admissions, records=self.ssh.records, dialler=self._dialler
            ),
            _service(tunnel_pb2, "TunnelService"): TunnelServicer(tunnels=self._tunnels),
        }

    def _new_host(self) -> SessionHost:
        return SessionHost(
            db=self.db,
            registry=self.registry,
            sinks=Sinks(reports=self._reconciler, tunnels=self._dialler, ssh=self.ssh.link),
            admin=AdminFacts(
                admin_id=self.admin_id, admin_urls=self.address.urls, ca_certificates=[self.authority.der]
            ),
            limits=SessionLimits(ping_interval=self._settings.ping_interval, dead_after=self._settings.ping_dead_after),
            facts_from=from_facts,
            now=utc_now,
        )

    def _new_ssh(self) -> Ssh:
        return Ssh(db=self.db, registry=self.registry, dialler=self._dialler, admin_id=self.admin_id, now=utc_now)

    def _open_port(self, identity: Identity) -> Address:
        host = self._settings.grpc_listen.rpartition(":")[0]
        port = listen(self._server, self._settings.grpc_listen, identity)
        reached = primary_address() if host.strip("[]") in choices.EVERYWHERE else host
        return Address(port=port, urls=self._settings.admin_urls or [f"https://{reached}:{port}"])

    def _builtins(self) -> list[BuiltinKey]:
        keys = {
            Role.OPERATOR: _text(self._settings.api_key),
            Role.METRICS: _text(self._settings.metrics_key),
            Role.PROXY: _text(self._settings.proxy_key),
            Role.MCP: _text(self._settings.mcp_key),
        }
        return builtin_keys(self.secrets.master_key, keys)

    def _login_template(self) -> enrollment_pb2.LoginSecret:
        return enrollment_pb2.LoginSecret(admin_urls=self.address.urls, ca_certificate=self.authority.der)

    def _gauges(self, principal: Principal) -> admin_pb2.AdminStatus:
        gauges = admin_pb2.AdminStatus(
            session_count=sum(principal.may_see(session.node.cluster_id) for session in self.registry),
            http_proxy=to_port(self.proxies.http),
            socks5_proxy=to_port(self.proxies.socks5),
            tunnels=to_tunnels(self._tunnels.census, principal),
        )
        if principal.cluster_ids is None:
            gauges.running_execution_count = self._dispatcher.count_under_way()
            gauges.refused_credential_count = self._limiter.total
        return gauges

    async def _held_elsewhere(self, node_ids: Collection[NodeId]) -> Mapping[NodeId, str]:
        def work(tx: Session) -> Mapping[NodeId, str]:
            may_judge = self._presence.may_judge()
            return whereabouts.held_elsewhere(tx, node_ids, admin_id=self.admin_id, may_judge=may_judge, now=utc_now())

        return await self.db.read(work)

    def _node_deleted(self, node_id: NodeId) -> None:
        self._host.drop_node(node_id)
        self._reconciler.node_deleted(node_id)
        self._tunnels.node_deleted(node_id)

    def _release(self) -> None:
        if hasattr(self, "db"):
            self.db.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _service(module: Any, name: str) -> ServiceDescriptor:
    descriptor: ServiceDescriptor = module.DESCRIPTOR.services_by_name[name]
    return descriptor


def _text(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
