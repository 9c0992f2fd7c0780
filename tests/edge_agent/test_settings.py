"""Settings of the agent: defaults, what is understood, and one line for every mistake."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_agent.settings import HIDDEN, Settings, describe, read_settings
from edge_wire.egress_rules import parse_rule
from edge_wire.errors import SettingsInvalid
from edge_wire.listener import ListenAddress

EVERYTHING = {
    "DATA_DIR": "/srv/edge",
    "ENROLLMENT_KEY_FILE": "/run/key",
    "ENROLLMENT_KEY": "ek-secret",
    "FALLBACK_ADMIN_URLS": "https://one.example:44100, https://[2001:db8::1]",
    "EXECUTION_CONCURRENCY": "3",
    "SPOOL_BYTES": "262144",
    "EGRESS_ALLOW": "127.0.0.1:8080, *.lan",
    "EGRESS_DENY": "10.0.0.0/8",
    "HTTP_PROXY_LISTEN": "10.1.2.3:43128",
    "SOCKS5_PROXY_LISTEN": "41080",
    "PROXY_PASSWORD": "proxy-secret-0123",
    "PROXY_ANY_ADDRESS": "yes",
    "SSH_SERVER": "off",
    "SSH_LISTEN": "40022",
    "SSH_ENVIRONMENT": "LANG,TEAM_*",
    "SSH_RECORD": "yes",
    "SSH_OFFLINE_GRACE": "600",
    "SSH_MAX_SESSIONS": "5",
    "NODE_ALIAS": "gate-7",
    "NODE_LABELS": "site=oslo, rack=b/12,spare=",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "debug",
}


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = read_settings({"XDG_STATE_HOME": "/home/me/.state"})
    root = os.geteuid() == 0
    assert settings.data_dir == Path("/var/lib/edge-agent" if root else "/home/me/.state/edge-agent")
    assert (settings.execution_concurrency, settings.spool_bytes) == (16, 64 * 1024 * 1024)
    assert (settings.fallback_admin_urls, settings.node_labels) == ([], {})
    assert (settings.enrollment_key_file, settings.enrollment_key, settings.node_alias) == (None, "", "")
    assert (settings.log_format, settings.log_level) == ("auto", "info")


def test_every_setting_is_read_from_its_variable() -> None:
    assert read_settings(EVERYTHING) == Settings(
        data_dir=Path("/srv/edge"),
        enrollment_key_file=Path("/run/key"),
        enrollment_key="ek-secret",
        fallback_admin_urls=["https://one.example:44100", "https://[2001:db8::1]"],
        execution_concurrency=3,
        spool_bytes=262144,
        egress_allow=[parse_rule("127.0.0.1:8080"), parse_rule("*.lan")],
        egress_deny=[parse_rule("10.0.0.0/8")],
        http_proxy_listen=ListenAddress(host="10.1.2.3", port=43128),
        socks5_proxy_listen=ListenAddress(host="127.0.0.1", port=41080),
        proxy_password="proxy-secret-0123",
        proxy_any_address="yes",
        ssh_server="off",
        ssh_listen=ListenAddress(host="127.0.0.1", port=40022),
        ssh_environment=["LANG", "TEAM_*"],
        ssh_record="yes",
        ssh_offline_grace=600,
        ssh_max_sessions=5,
        node_alias="gate-7",
        node_labels={"site": "oslo", "rack": "b/12", "spare": ""},
        log_format="json",
        log_level="debug",
    )


def test_blank_is_as_good_as_absent() -> None:
    assert read_settings(dict.fromkeys(EVERYTHING, "  ")) == read_settings({})


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("EGRESS_ALLOW", "8080", "not an egress rule"),
        ("SSH_LISTEN", "10.1.2.3:40022", "neither loopback nor an address of this node's VPN"),
        ("SSH_ENVIRONMENT", "LANG,LD-PRELOAD", "names of variables"),
        ("SSH_RECORD", "maybe", "one of yes, no"),
        ("HTTP_PROXY_LISTEN", "here", "no address to listen on"),
        ("HTTP_PROXY_LISTEN", "0.0.0.0:43128", "PROXY_ANY_ADDRESS"),
        ("SOCKS5_PROXY_LISTEN", "[::]:41080", "PROXY_ANY_ADDRESS"),
        ("PROXY_PASSWORD", "short", "shorter than 16"),
        ("PROXY_ANY_ADDRESS", "maybe", "yes, no"),
        ("EXECUTION_CONCURRENCY", "0", "from 1 to 4096"),
        ("EXECUTION_CONCURRENCY", "4097", "from 1 to 4096"),
        ("EXECUTION_CONCURRENCY", "many", "from 1 to 4096"),
        ("EXECUTION_CONCURRENCY", "-1", "from 1 to 4096"),
        ("EXECUTION_CONCURRENCY", "1.5", "from 1 to 4096"),
        ("EXECUTION_CONCURRENCY", "٣", "from 1 to 4096"),
        ("SPOOL_BYTES", "1000", "from 262144 to"),
        ("LOG_LEVEL", "INFO", "debug, info, warning, error"),
        ("LOG_FORMAT", "xml", "auto, text, json"),
        ("FALLBACK_ADMIN_URLS", "http://plain.example", "https://host:port"),
        ("FALLBACK_ADMIN_URLS", "https://a.example,b.example:44100", "b.example:44100"),
        ("FALLBACK_ADMIN_URLS", "https://a.example:99999", "https://a.example:99999"),
        ("FALLBACK_ADMIN_URLS", "https://a.example/path", "https://a.example/path"),
        ("NODE_ALIAS", "Gate 7", "'Gate 7' is not an alias"),
        ("NODE_ALIAS", "node-7", "is not an alias"),
        ("NODE_LABELS", "site", "name=value"),
        ("NODE_LABELS", "si te=oslo", "si te"),
        ("NODE_LABELS", "site=a\nb", "is not a label value"),
        ("NODE_LABELS", ",".join(f"l{number}=x" for number in range(33)), "33 labels"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_variable(name: str, text: str, said: str) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        read_settings({name: text})
    assert raised.value.message.startswith(f"{name}: ")
    assert said in raised.value.message
    assert "\n" not in raised.value.message


def test_all_mistakes_are_told_at_once_a_line_each() -> None:
    with pytest.raises(SettingsInvalid) as raised:
        read_settings({"LOG_LEVEL": "loud", "SPOOL_BYTES": "x", "NODE_LABELS": "x", "NODE_ALIAS": "fine"})
    names = [line.partition(":")[0] for line in raised.value.message.splitlines()]
    assert names == ["SPOOL_BYTES", "NODE_LABELS", "LOG_LEVEL"]


def test_variables_of_others_are_not_looked_at() -> None:
    assert read_settings({"LANG": "C", "EXECUTION_CONCURRENCY_": "x", "log_level": "loud"}) == read_settings({})


def test_secrets_are_not_in_the_repr() -> None:
    assert "ek-secret" not in repr(read_settings(EVERYTHING))
    assert "proxy-secret" not in repr(read_settings(EVERYTHING))


def test_every_setting_is_described_and_hidden_from_commands() -> None:
    rows = describe()
    assert {name for name, _, _ in rows} == set(EVERYTHING) == HIDDEN - {"GRPC_VERBOSITY"}
    assert all(default and description for _, default, description in rows)
