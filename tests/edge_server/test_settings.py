"""Checks how the admin reads its environment: defaults, one line per mistake, and secrets that never show."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from edge_server.settings import Settings, default_data_dir, read_settings
from edge_server.settings_page import describe, show_settings
from edge_wire.errors import SettingsInvalid

pytestmark = pytest.mark.usefixtures("no_settings")

DATABASE_URL = "postgresql://edge:hunter2-hunter2@db.example:5432/edge"
MASTER_KEY = "correct horse battery staple"
ENCRYPTION_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
ON_POSTGRES = {"DATABASE_URL": DATABASE_URL, "MASTER_KEY": MASTER_KEY, "ENCRYPTION_KEY": ENCRYPTION_KEY}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    return monkeypatch


def put(environment: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)


def mistakes(environment: pytest.MonkeyPatch, **variables: str) -> list[str]:
    put(environment, **variables)
    with pytest.raises(SettingsInvalid) as raised:
        read_settings()
    assert raised.value.hint == "the settings: docs/reference/settings.md"
    return raised.value.message.splitlines()


def test_without_any_setting_it_is_sqlite_in_the_data_directory(environment: pytest.MonkeyPatch) -> None:
    put(environment, DATA_DIR="/srv/edge")
    settings = read_settings()
    assert settings.is_sqlite
    assert settings.url.render_as_string() == "sqlite:////srv/edge/edge-server.db"
    assert (settings.grpc_listen, settings.default_cluster_name) == ("[::]:44100", "default")


def test_a_database_url_alone_means_postgresql(environment: pytest.MonkeyPatch) -> None:
    put(environment, **ON_POSTGRES)
    settings = read_settings()
    assert not settings.is_sqlite
    assert settings.url.render_as_string(hide_password=False) == DATABASE_URL.replace(
        "postgresql:", "postgresql+psycopg:"
    )


def test_the_adapter_wins_over_the_url(environment: pytest.MonkeyPatch) -> None:
    put(environment, DATABASE_URL=DATABASE_URL, DB_ADAPTER="sqlite", SQLITE_DB_PATH="/srv/other.db")
    assert read_settings().url.render_as_string() == "sqlite:////srv/other.db"


def test_what_postgresql_lacks_is_one_line_each(environment: pytest.MonkeyPatch) -> None:
    assert mistakes(environment, DB_ADAPTER="postgres") == [
        "DATABASE_URL is missing: DB_ADAPTER=postgres needs it",
        "MASTER_KEY is missing: admins on PostgreSQL share it",
        "ENCRYPTION_KEY is missing: admins on PostgreSQL share it",
    ]


def test_a_name_that_no_cluster_can_have_is_found_before_anything_is_written(environment: pytest.MonkeyPatch) -> None:
    said = mistakes(environment, DEFAULT_CLUSTER_NAME="Bad Name")
    assert [line.partition(" is not")[0] for line in said] == ["DEFAULT_CLUSTER_NAME: 'Bad Name'"]


def test_an_empty_variable_counts_as_not_set(environment: pytest.MonkeyPatch) -> None:
    put(environment, DATABASE_URL="", MASTER_KEY="", ADMIN_URLS="")
    settings = read_settings()
    assert (settings.is_sqlite, settings.master_key, settings.admin_urls) == (True, None, [])


def test_each_mistake_is_one_line_that_begins_with_the_name(environment: pytest.MonkeyPatch) -> None:
    lines = mistakes(
        environment,
        DB_POOL_SIZE="many",
        GRPC_LISTEN="44100",
        ADMIN_URLS="https://a.example:44100,not a url",
        MASTER_KEY="short",
        ENCRYPTION_KEY="AAAA",
        DATABASE_URL="mysql://edge@db.example/edge",
        LOG_LEVEL="loud",
        PING_INTERVAL_SECONDS="0",
    )
    assert sorted(line.partition(":")[0] for line in lines) == [
        "ADMIN_URLS",
        "DATABASE_URL",
        "DB_POOL_SIZE",
        "ENCRYPTION_KEY",
        "GRPC_LISTEN",
        "LOG_LEVEL",
        "MASTER_KEY",
        "PING_INTERVAL_SECONDS",
    ]
    assert "MASTER_KEY: is shorter than 16 characters" in lines
    assert "ENCRYPTION_KEY: must be base64 of 32 bytes: 3 bytes instead of 32" in lines
    assert "DATABASE_URL: must begin with postgresql://" in lines
    assert "GRPC_LISTEN: must be address:port, such as 127.0.0.1:44100 or [::]:44100" in lines


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://edge:hunter2-hunter2@db.example/edge"),
        ("DATABASE_URL", "hunter2-hunter2"),
        ("DATABASE_URL", "postgresql://edge:hunter2-hunter2@db.example:port/edge"),
        ("MASTER_KEY", "hunter2"),
        ("ENCRYPTION_KEY", "hunter2-hunter2"),
    ],
)
def test_a_mistaken_secret_is_not_in_the_complaint(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert "hunter2" not in "\n".join(mistakes(environment, **{name: value}))


def test_secrets_are_neither_in_the_repr_nor_on_the_page(environment: pytest.MonkeyPatch) -> None:
    keys = {name: f"{name} that nobody may see" for name in ("API_KEY", "METRICS_KEY", "PROXY_KEY", "MCP_KEY")}
    put(environment, **ON_POSTGRES, **keys)
    settings = read_settings()
    for shown in (repr(settings), str(settings), repr(settings.url), show_settings(settings)):
        assert not [secret for secret in (MASTER_KEY, ENCRYPTION_KEY, "hunter2", "nobody may see") if secret in shown]


@pytest.mark.parametrize("address", ["127.0.0.1:44100", "[::]:0", "admin.example:65535"])
def test_a_listener_is_an_address_and_a_port(environment: pytest.MonkeyPatch, address: str) -> None:
    put(environment, GRPC_LISTEN=address)
    assert read_settings().grpc_listen == address


@pytest.mark.parametrize("address", ["127.0.0.1", ":44100", "[::]:65536", "[::]:-1", "host:port"])
def test_anything_else_is_no_listener(environment: pytest.MonkeyPatch, address: str) -> None:
    assert len(mistakes(environment, GRPC_LISTEN=address)) == 1


def test_lists_are_separated_by_commas(environment: pytest.MonkeyPatch) -> None:
    put(environment, ADMIN_URLS="https://a.example:44100, https://b.example:44100,")
    assert read_settings().admin_urls == ["https://a.example:44100", "https://b.example:44100"]


def test_settings_never_change_after_the_start(environment: pytest.MonkeyPatch) -> None:
    settings = read_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.log_level = "debug"  # type: ignore[misc]  # what must not work


def test_the_data_directory_of_an_ordinary_user_follows_xdg(environment: pytest.MonkeyPatch) -> None:
    environment.setattr("os.geteuid", lambda: 1000)
    assert default_data_dir({"XDG_STATE_HOME": "/home/u/state"}) == Path("/home/u/state/edge-server")
    assert default_data_dir({}) == Path.home() / ".local/state/edge-server"


def test_the_data_directory_of_root_is_the_systems(environment: pytest.MonkeyPatch) -> None:
    environment.setattr("os.geteuid", lambda: 0)
    assert default_data_dir({"XDG_STATE_HOME": "/home/u/state"}) == Path("/var/lib/edge-server")


def test_the_page_says_of_each_setting_what_it_is_and_where_it_comes_from(environment: pytest.MonkeyPatch) -> None:
    put(environment, LOG_LEVEL="debug", MASTER_KEY=MASTER_KEY, ADMIN_URLS="https://a.example:1,https://b.example:2")
    lines = show_settings(read_settings()).splitlines()
    assert len(lines) == len(Settings.model_fields)
    assert "LOG_LEVEL=debug  # environment" in lines
    assert "MASTER_KEY=(set)  # environment" in lines
    assert "API_KEY=  # default" in lines
    assert "DB_POOL_SIZE=8  # default" in lines
    assert "ADMIN_URLS=https://a.example:1,https://b.example:2  # environment" in lines


def test_every_setting_is_described_with_its_default() -> None:
    described = {name: (default, text) for name, default, text in describe()}
    assert described["GRPC_LISTEN"][0] == "`[::]:44100`"
    assert described["DATABASE_URL"][0] == "–"
    assert "/var/lib/edge-server" in described["DATA_DIR"][0]
    assert all(text.endswith((".", "`.")) and text != "None" for _, text in described.values())
