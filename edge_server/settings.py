"""Settings of the admin: the only reader of its environment, read once at start.

Names are those that operators of such systems know. With SQLite and no configuration the admin makes its own secrets
in the data directory; with PostgreSQL several admins share them, so a missing one is an error.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from edge_server import encryption
from edge_wire.channel import DEFAULT_PORT, target_of
from edge_wire.errors import EdgeError, NameInvalid, SettingsInvalid
from edge_wire.names import check_cluster_name

_SMALLEST_SECRET = 16
NO_LISTENER = "none"


def default_data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """`/var/lib/edge-server` for root, the user's state directory for others."""
    if os.geteuid() == 0:
        return Path("/var/lib/edge-server")
    state = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(state) / "edge-server"


class Settings(BaseSettings):
    """Everything that can be set, by environment variable of the same name."""

    model_config = SettingsConfigDict(env_prefix="", extra="ignore", frozen=True, env_ignore_empty=True)

    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Where the SQLite file, the admin's own secrets and its login string live. Mode 0700.",
    )
    db_adapter: Literal["sqlite", "postgres"] | None = Field(
        default=None, description="Which database. Default: postgres when DATABASE_URL is set, else sqlite."
    )
    database_url: SecretStr | None = Field(
        default=None, description="`postgresql://user:password@host:port/name`; all admins of an installation share it."
    )
    sqlite_db_path: Path | None = Field(default=None, description="The SQLite file. Default: DATA_DIR/edge-server.db.")
    db_pool_size: int = Field(default=8, ge=1, le=64, description="Connections and database threads of this admin.")
    grpc_listen: str = Field(
        default=f"[::]:{DEFAULT_PORT}",
        description="Address and port of the gRPC listener (TLS). Port 0 takes a free one.",
    )
    http_proxy_listen: str | None = Field(
        default=None,
        description="Address and port of the HTTP proxy, or `none`. Default: the address of GRPC_LISTEN, port 43128.",
    )
    socks5_proxy_listen: str | None = Field(
        default=None,
        description="Address and port of the SOCKS5 proxy, or `none`. Default: the address of GRPC_LISTEN, port 41080.",
    )
    proxy_tls: Literal["auto", "on", "off"] = Field(
        default="auto",
        description=(
            "Whether the proxies speak TLS; auto: unless they listen on loopback. Without TLS off loopback MASTER_KEY"
            " is refused."
        ),
    )
    proxy_handshake_timeout_seconds: float = Field(
        default=10, gt=0, le=300, description="How long a client of a proxy may take to say what it wants."
    )
    admin_urls: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description=(
            "Where agents and operators reach the installation, `https://host:port`, separated by commas."
            " Default: this machine's address and the port of GRPC_LISTEN."
        ),
    )
    master_key: SecretStr | None = Field(
        default=None, description="Token of the built-in principal that may do everything. SQLite: made at first start."
    )
    api_key: SecretStr | None = Field(default=None, description="Token with the role operator. Default: MASTER_KEY.")
    metrics_key: SecretStr | None = Field(default=None, description="Token with the role metrics. Default: MASTER_KEY.")
    proxy_key: SecretStr | None = Field(default=None, description="Token with the role proxy. Default: MASTER_KEY.")
    mcp_key: SecretStr | None = Field(default=None, description="Token with the role mcp. Default: MASTER_KEY.")
    encryption_key: SecretStr | None = Field(
        default=None,
        description=(
            "Base64 of 32 bytes; encrypts secrets in the database. Several, newest first, separated by commas, while"
            " keys rotate. SQLite: made at first start."
        ),
    )
    agent_install_source: str = Field(
        default="edgectl", description="What `pip install` is given on a new node: a package name, a URL or a path."
    )
    default_cluster_name: str = Field(
        default="default", description="Cluster that the first start makes. Empty: none is made."
    )
    execution_pruning_enabled: bool = Field(
        default=True, description="Whether commands that are over are removed by age and number."
    )
    execution_retention_days: float = Field(
        default=30, gt=0, le=36500, description="How long commands are kept after they are over."
    )
    execution_retention_count: int = Field(
        default=1_000_000,
        ge=1,
        description="How many executions are kept; the oldest commands that are over go first.",
    )
    tunnel_connect_timeout_seconds: float = Field(
        default=10, gt=0, le=300, description="How long a node may take to reach the target of a tunnel."
    )
    tunnel_idle_timeout_seconds: float = Field(
        default=3600, gt=0, le=86400 * 365, description="A tunnel in which nothing moves for this long is ended."
    )
    tunnel_total_timeout_seconds: float = Field(
        default=86400, gt=0, le=86400 * 365, description="How long a tunnel may be open at most."
    )
    tunnels_per_node: int = Field(default=1000, ge=1, description="How many tunnels may be open through one node.")
    tunnels_per_principal: int = Field(
        default=5000, ge=1, description="How many tunnels one credential may have open at once."
    )
    tunnels_total: int = Field(default=10_000, ge=1, description="How many tunnels this admin carries at once.")
    log_format: Literal["auto", "text", "json"] = Field(
        default="auto", description="Log lines for people or for machines. Default: text on a terminal, else JSON."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")
    ping_interval_seconds: float = Field(
        default=15, gt=0, le=300, description="A session is pinged after this much silence."
    )
    ping_dead_after_seconds: float = Field(
        default=45, gt=0, le=900, description="A session that is silent for this long is dead."
    )
    reconnect_grace_seconds: float = Field(
        default=10,
        ge=0,
        le=300,
        description="After a start, how long nodes may take to come back before a command calls them offline.",
    )
    shutdown_grace_seconds: float = Field(
        default=10, ge=0, le=600, description="After the first SIGTERM, how long running calls may take to end."
    )

    @field_validator("admin_urls", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("admin_urls")
    @classmethod
    def _check_urls(cls, value: list[str]) -> list[str]:
        for url in value:
            try:
                target_of(url)
            except EdgeError as error:
                raise ValueError(error.message) from None
        return value

    @field_validator("grpc_listen", "http_proxy_listen", "socks5_proxy_listen")
    @classmethod
    def _check_listen(cls, value: str | None) -> str | None:
        if value is None or value == NO_LISTENER:
            return value
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError("must be address:port, such as 127.0.0.1:44100 or [::]:44100")
        return value

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _postgres_url(value.get_secret_value())
        return value

    @field_validator("default_cluster_name")
    @classmethod
    def _check_cluster_name(cls, value: str) -> str:
        if value:
            try:
                check_cluster_name(value)
            except NameInvalid as error:
                raise ValueError(error.message) from None
        return value

    @field_validator("encryption_key")
    @classmethod
    def _check_encryption_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                encryption.parse_keys(value.get_secret_value())
            except ValueError as error:
                raise ValueError(f"must be base64 of {encryption.KEY_BYTES} bytes: {error}") from None
        return value

    @field_validator("master_key", "api_key", "metrics_key", "proxy_key", "mcp_key")
    @classmethod
    def _check_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < _SMALLEST_SECRET:
            raise ValueError(f"is shorter than {_SMALLEST_SECRET} characters")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        mistakes = [] if self.is_sqlite else self._missing_on_postgres()
        if self.ping_dead_after_seconds <= self.ping_interval_seconds:
            mistakes.append("PING_DEAD_AFTER_SECONDS must be longer than PING_INTERVAL_SECONDS: nobody would be asked")
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self

    def _missing_on_postgres(self) -> list[str]:
        missing = []
        if self.database_url is None:
            missing.append("DATABASE_URL is missing: DB_ADAPTER=postgres needs it")
        if self.master_key is None:
            missing.append("MASTER_KEY is missing: admins on PostgreSQL share it")
        if self.encryption_key is None:
            missing.append("ENCRYPTION_KEY is missing: admins on PostgreSQL share it")
        return missing

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is SQLite."""
        if self.db_adapter is not None:
            return self.db_adapter == "sqlite"
        return self.database_url is None

    @property
    def sqlite_path(self) -> Path:
        """The SQLite file."""
        return self.sqlite_db_path or self.data_dir / "edge-server.db"

    @property
    def url(self) -> URL:
        """What SQLAlchemy connects to."""
        if self.is_sqlite or self.database_url is None:
            return URL.create("sqlite", database=str(self.sqlite_path))
        return _postgres_url(self.database_url.get_secret_value())

    @property
    def ping_interval(self) -> timedelta:
        return timedelta(seconds=self.ping_interval_seconds)

    @property
    def ping_dead_after(self) -> timedelta:
        return timedelta(seconds=self.ping_dead_after_seconds)


def read_settings(**overrides: object) -> Settings:
    """Read the environment. Raises SettingsInvalid with one line per mistake."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks the values itself
    except ValidationError as error:
        raise SettingsInvalid("\n".join(_lines(error)), hint="the settings: docs/reference/settings.md") from None


def primary_address() -> str:
    """The address that this machine would use towards others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _lines(error: ValidationError) -> list[str]:
    lines = []
    for mistake in error.errors(include_input=False, include_url=False):
        text = mistake["msg"].removeprefix("Value error, ")
        name = ".".join(str(part).upper() for part in mistake["loc"])
        lines += [f"{name}: {line}" if name else line for line in text.splitlines()]
    return lines


def _postgres_url(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("is not a URL: postgresql://user:password@host:port/name") from None
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise ValueError("must begin with postgresql://")
    return url.set(drivername="postgresql+psycopg")
