"""The nouns of `edgectl` as a script uses them: create, list, show, set, delete, in text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import Installation

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ask(site: Installation, *words: str) -> Any:
    """What a command prints with `-o json`; it must succeed."""
    done = await site.edgectl(*words, "-o", "json")
    assert done.code == 0, done.err
    return json.loads(done.text)


async def test_a_cluster_from_its_making_to_its_end(fleet: Installation) -> None:
    made = await ask(fleet, "cluster", "create", "oslo")
    assert (made["schema"], made["name"], made["node_count"]) == ("edgectl.cluster/v1", "oslo", 0)
    again = await fleet.edgectl("cluster", "create", "oslo")
    assert (again.code, "cluster_exists" in again.err) == (10, True)
    assert [item["name"] for item in await ask(fleet, "cluster", "list")] == ["default", "oslo"]
    full = await fleet.edgectl("cluster", "delete", "default", "--yes")
    assert (full.code, "cluster_not_empty" in full.err) == (10, True)
    asked = await fleet.edgectl("cluster", "delete", "oslo")
    assert (asked.code, "add --yes" in asked.err) == (2, True)
    assert (await fleet.edgectl("cluster", "delete", "oslo", "--yes")).code == 0
    gone = await fleet.edgectl("cluster", "show", "oslo")
    assert (gone.code, "cluster_not_found" in gone.err) == (5, True)


async def test_an_enrollment_key_shows_its_secret_once_with_two_lines_to_paste(fleet: Installation) -> None:
    words = ("--uses", "10", "--expires", "2h", "--label", "site=oslo", "--label", "role=db")
    made = await ask(fleet, "enroll-key", "create", *words)
    assert made["secret"].startswith("ek1.")
    assert (made["uses_left"], made["labels"]) == (10, {"role": "db", "site": "oslo"})
    install, enroll = made["paste"]
    assert "pip install" in install
    assert enroll.splitlines()[1:] == [made["secret"], "KEY"]
    assert made["secret"] not in enroll.splitlines()[0]
    shown = await ask(fleet, "enroll-key", "show", made["id"][:8])
    assert "secret" not in shown
    changed = await ask(fleet, "enroll-key", "set", made["id"], "--uses", "3")
    assert changed["uses_left"] == 3
    assert (await fleet.edgectl("enroll-key", "delete", made["id"], "--yes")).code == 0
    assert made["id"] not in [item["id"] for item in await ask(fleet, "enroll-key", "list")]


async def test_enroll_key_create_prints_text_that_can_be_pasted(fleet: Installation) -> None:
    done = await fleet.edgectl("enroll-key", "create")
    assert done.err.startswith("# on the new machine, as root (works once, until ")
    assert done.lines[1] == "/opt/edge-agent/bin/edge-agent install --key-file - <<'KEY'"
    assert done.lines[2].startswith("ek1.")
    assert done.lines[3:] == ["KEY"]


async def test_labels_and_aliases_of_a_node(fleet: Installation) -> None:
    labelled = await ask(fleet, "node", "set", "edge01", "--label", "site=oslo", "--label", "role=web")
    assert labelled["labels"] == {"role": "web", "site": "oslo"}
    unlabelled = await ask(fleet, "node", "set", "edge01", "--unlabel", "role", "--unlabel", "site")
    assert unlabelled["labels"] == {}
    named = await ask(fleet, "node", "alias", "edge01", "web-1")
    assert (named["name"], named["aliases"]) == ("edge01", ["edge01", "web-1"])
    assert (await fleet.edgectl("exec", "web-1", "--", "echo", "it")).text == "it\n"
    taken = await fleet.edgectl("node", "alias", "edge02", "web-1")
    assert (taken.code, "alias_exists" in taken.err) == (10, True)
    assert (await ask(fleet, "node", "alias", "edge01", "web-1", "--delete"))["aliases"] == ["edge01"]
    missing = await fleet.edgectl("node", "alias", "edge01", "web-1", "--delete")
    assert (missing.code, "alias_not_found" in missing.err) == (5, True)


async def test_a_node_shows_its_facts(fleet: Installation) -> None:
    node = await ask(fleet, "node", "show", "edge01")
    assert (node["schema"], node["status"], node["path"]) == ("edgectl.node/v1", "online", "stream")
    facts = node["facts"]
    assert all(facts[name] for name in ("hostname", "os", "kernel", "arch", "cpu_count", "memory_bytes", "boot_id"))
    assert node["agent_version"]
    text = await fleet.edgectl("node", "list")
    assert text.lines[0].split() == ["NAME", "STATUS", "CLUSTER", "LAST", "SEEN", "OS", "LABELS"]
    assert [line.split()[:3] for line in text.lines[1:]] == [
        ["edge01", "online", "default"],
        ["edge02", "online", "default"],
    ]


async def test_a_token_for_a_script_does_what_its_role_allows_until_it_is_deleted(fleet: Installation) -> None:
    made = await ask(fleet, "token", "create", "ci", "--role", "viewer", "--cluster", "default", "--expires", "30d")
    assert made["login"].startswith("el1.")
    environ = {"EDGECTL_TOKEN": made["token"]}
    assert (await fleet.edgectl("node", "list", environ=environ)).code == 0
    denied = await fleet.edgectl(
        "exec", "edge01", "-o", "json", "--exit-policy", "fleet", "--", "true", environ=environ
    )
    assert (denied.code, json.loads(denied.text)["code"]) == (7, "denied")
    assert made["token"] not in (await fleet.edgectl("token", "list", "-o", "json")).text
    twice = await fleet.edgectl("token", "create", "ci", "--role", "viewer")
    assert (twice.code, "token_exists" in twice.err) == (10, True)
    assert (await fleet.edgectl("token", "delete", "ci", "--yes")).code == 0
    refused = await fleet.edgectl("node", "list", environ=environ)
    assert (refused.code, "unauthenticated" in refused.err) == (6, True)


async def test_an_expired_token_says_so(fleet: Installation) -> None:
    made = await ask(fleet, "token", "create", "brief", "--role", "viewer", "--expires", "1ms")
    done = await fleet.edgectl("node", "list", environ={"EDGECTL_TOKEN": made["token"]})
    assert (done.code, "credential_expired" in done.err) == (6, True), done.err


async def test_the_audit_log_says_who_changed_what(fleet: Installation) -> None:
    await ask(fleet, "node", "set", "edge02", "--label", "seen=yes")
    entry = (await ask(fleet, "audit", "list", "--limit", "1"))[0]
    assert (entry["schema"], entry["action"], entry["subject"]["name"]) == ("edgectl.audit/v1", "node.update", "edge02")
    assert entry["principal"]["name"] == "master"
    assert entry["request_id"]
    assert entry["peer"]


async def test_commands_are_records(fleet: Installation) -> None:
    assert (await fleet.edgectl("exec", "--all", "--name", "probe", "--", "sh", "-c", "exit 4")).code == 3
    listed = (await ask(fleet, "command", "list", "--limit", "1"))[0]
    assert (listed["name"], listed["argv"], listed["counts"]["failed"]) == ("probe", ["sh", "-c", "exit 4"], 2)
    shown = await ask(fleet, "command", "show", listed["id"][:8])
    assert [(item["node"]["name"], item["outcome"], item["exit_code"]) for item in shown["executions"]] == [
        ("edge01", "failed", 4),
        ("edge02", "failed", 4),
    ]
    missing = await fleet.edgectl("command", "show", "ffffffff")
    assert (missing.code, "command_not_found" in missing.err) == (5, True)


async def test_a_command_is_cancelled_from_elsewhere(fleet: Installation) -> None:
    started = (await fleet.edgectl("exec", "--all", "--detach", "--", "sleep", "1000")).text.strip()
    cancelled = await ask(fleet, "command", "cancel", started)
    assert cancelled["cancelling"] + cancelled["not_started"] == 2


async def test_login_context_and_logout(fleet: Installation) -> None:
    environ = {"EDGECTL_CONFIG_DIR": str(fleet.directory / "own"), "EDGECTL_TOKEN": ""}
    word = fleet.admin.login.encode()
    first = await fleet.edgectl("login", "--keyring", "file", "--name", "one", environ=environ, stdin=word)
    assert first.code == 0, first.err
    second = await fleet.edgectl("login", "--keyring", "file", "--name", "two", environ=environ, stdin=word)
    assert second.code == 0, second.err
    listed = json.loads((await fleet.edgectl("context", "list", "-o", "json", environ=environ)).text)
    assert [(item["name"], item["current"]) for item in listed] == [("one", False), ("two", True)]
    assert (await fleet.edgectl("context", "use", "one", environ=environ)).code == 0
    assert (await fleet.edgectl("node", "list", "--context", "two", environ=environ)).code == 0
    assert (await fleet.edgectl("logout", environ=environ)).code == 0
    after = await fleet.edgectl("node", "list", environ=environ)
    assert after.code == 6
    unknown = await fleet.edgectl("node", "list", "--context", "one", environ=environ)
    assert (unknown.code, "context_not_found" in unknown.err) == (5, True)
    assert (await fleet.edgectl("config", "path", environ=environ)).text == f"{fleet.directory}/own/config.json\n"


async def test_by_default_the_credential_lives_in_the_systems_keyring_only(fleet: Installation) -> None:
    config = fleet.directory / "with-keyring"
    environ = {
        "EDGECTL_CONFIG_DIR": str(config),
        "EDGECTL_TOKEN": "",
        "PYTHON_KEYRING_BACKEND": "tests.support.file_keyring.FileKeyring",
        "PYTHONPATH": str(ROOT),
        "FILE_KEYRING": str(fleet.directory / "keyring.json"),
    }
    done = await fleet.edgectl("login", environ=environ, stdin=fleet.admin.login.encode())
    assert done.code == 0, done.err
    assert (await fleet.edgectl("node", "list", environ=environ)).code == 0
    kept = json.loads((fleet.directory / "keyring.json").read_text())
    assert list(kept) == ["edgectl/default"]
    assert kept["edgectl/default"] not in (config / "config.json").read_text()
    assert [path.name for path in config.iterdir()] == ["config.json"]
    assert (await fleet.edgectl("logout", environ=environ)).code == 0
    assert json.loads((fleet.directory / "keyring.json").read_text()) == {}


async def test_without_a_keyring_login_names_the_alternative(fleet: Installation) -> None:
    environ = {
        "EDGECTL_CONFIG_DIR": str(fleet.directory / "none"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }
    done = await fleet.edgectl("login", environ=environ, stdin=fleet.admin.login.encode())
    assert (done.code, "credential_unreadable" in done.err) == (6, True)
    assert "edgectl login --keyring file" in done.err
    assert not (fleet.directory / "none" / "config.json").exists()


async def test_version_works_without_anything(fleet: Installation) -> None:
    assert (await fleet.edgectl("version", "-o", "json", environ={"EDGECTL_CONFIG_DIR": "/nowhere"})).code == 0


async def test_an_action_that_nobody_did_is_no_empty_log(fleet: Installation) -> None:
    done = await fleet.edgectl("audit", "list", "--action", "nope")
    assert (done.code, done.text, done.err) == (0, "", "nothing of the kind nope\n")
