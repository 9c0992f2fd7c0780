"""Checks what can stand at the cursor, how it is told to each shell, and that nothing untrusted gets there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_wire.v1 import node_pb2
from edgectl.command_pages import read_pages
from edgectl.completion import cache, shell_words
from edgectl.completion.answer import answer, for_bash, for_fish, for_zsh
from edgectl.completion.cache import Known
from edgectl.completion.candidates import Answer, Candidate, complete
from edgectl.completion.freshness import Need, need_of
from edgectl.completion.installation import fingerprint
from edgectl.completion.refresh import labels_of, names_of
from edgectl.contexts import Context, save_context

BREAKS = " \t\n\"'@><=;|&(:"
OSLO = Context(name="oslo", admin_urls=["https://127.0.0.1:1"], ca_certificate=b"oslo", store="file")
COMMAND = "9f3c1d20-0000-4000-8000-000000000000"
OLDER = "9f3caaaa-0000-4000-8000-000000000000"

TREE: dict[str, Any] = {
    "commands": {
        "exec": {
            "help": "Run.",
            "arguments": [{"kind": "node_set", "many": True}],
            "options": [
                {"names": ["--labels", "-l"], "help": "Labels.", "takes_value": True, "many": True, "kind": "labels"},
                {"names": ["--view"], "help": "How.", "takes_value": True, "choices": ["stream", "grouped"]},
                {"names": ["--script"], "help": "What.", "takes_value": True, "kind": "file"},
                {"names": ["--all"], "help": "Every node."},
            ],
        },
        "node": {
            "help": "Nodes.",
            "commands": {
                "set": {
                    "help": "Change.",
                    "arguments": [{"kind": "node"}],
                    "options": [
                        {"names": ["--label"], "help": "L.", "takes_value": True, "many": True, "kind": "label"},
                        {"names": ["--unlabel"], "help": "U.", "takes_value": True, "kind": "label_name"},
                    ],
                },
                "show": {"help": "One.", "arguments": [{"kind": "node"}], "options": []},
                "move": {"help": "Move.", "arguments": [{"kind": "node"}, {"kind": "cluster"}], "options": []},
            },
        },
        "command": {
            "help": "Commands.",
            "commands": {
                "show": {"help": "One.", "arguments": [{"kind": "command"}], "options": []},
                "retry": {
                    "help": "Again.",
                    "arguments": [{"kind": "command"}],
                    "options": [{"names": ["--only"], "help": "O.", "takes_value": True, "kind": "outcomes"}],
                },
            },
        },
    }
}


class Names:
    """A small installation."""

    def nodes(self) -> Sequence[Candidate]:
        return [Candidate("edge01", "oslo"), Candidate("edge02", "oslo"), Candidate("web-1", "bergen")]

    def labels(self) -> Mapping[str, Sequence[str]]:
        return {"node/rack": ["r1"], "role": ["db", "web"], "site": ["bergen", "oslo"]}

    def clusters(self) -> Sequence[Candidate]:
        return [Candidate("bergen"), Candidate("oslo")]

    def commands(self) -> Sequence[Candidate]:
        return [Candidate(COMMAND, "uname -a"), Candidate(OLDER, "uptime")]

    def contexts(self) -> Sequence[Candidate]:
        return [Candidate("home"), Candidate("oslo")]

    def topics(self) -> Sequence[Candidate]:
        return [Candidate("edgectl.node/v1"), Candidate("node_offline")]


def at(line: str) -> Answer:
    """What can stand at the end of a line, which begins behind the program."""
    *words, typed = [word.text for word in shell_words.split(line)]
    return complete(TREE, words, typed, lambda _context: Names())


def offered(line: str) -> list[str]:
    found = at(line)
    return [f"{found.head}{item.value}" for item in found.candidates]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ["exec", "node", "command"]),
        ("no", ["node"]),
        ("node s", ["set", "show"]),
        ("node nonsense ", []),
        ("nonsense ", []),
        ("-o json no", ["node"]),
        ("exec --vi", ["--view"]),
        ("exec --all --a", []),
        ("exec -l a --lab", ["--labels"]),
        ("exec --view ", ["stream", "grouped"]),
        ("exec --view gr", ["grouped"]),
        ("exec --view=gr", ["--view=grouped"]),
        ("exec --all=", []),
        ("node show --contex", ["--context"]),
        ("node show --context ", ["home", "oslo"]),
        ("node show --color ne", ["never"]),
        ("node show -o js", ["json", "jsonl"]),
        ("node show edge01 ", []),
        ("node move edge01 o", ["oslo"]),
        ("exec edge01 web", ["web-1"]),
    ],
)
def test_commands_options_values_and_arguments(line: str, words: Sequence[str]) -> None:
    assert offered(line) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("exec ed", ["edge01", "edge02"]),
        ("exec edge[01-40],we", ["edge[01-40],web-1"]),
        ("exec edge[01-40]!we", ["edge[01-40]!web-1"]),
        ("exec 'edge01&we", ["edge01&web-1"]),
        ("exec edge01,edge02^we", ["edge01,edge02^web-1"]),
        ("exec edge[0", []),
        ("exec edge[01,0", []),
        ("exec @", ["@command:"]),
        ("exec @command:9f3c1", [f"@command:{COMMAND[:8]}"]),
        ("exec @command:9f3c1d20=fa", ["@command:9f3c1d20=failed"]),
        ("exec @command:9f3c1d20=failed,lo", ["@command:9f3c1d20=failed,lost"]),
        ("exec web-1,@command:9f3c1d20=failed,off", ["web-1,@command:9f3c1d20=failed,offline"]),
        ("exec @command:9f3c1d20=failed&we", ["@command:9f3c1d20=failed&web-1"]),
    ],
)
def test_a_node_set_completes_its_last_part(line: str, words: Sequence[str]) -> None:
    assert offered(line) == words


@pytest.mark.parametrize(
    ("line", "words", "is_open"),
    [
        ("exec -l ", ["node/rack=", "role=", "site="], True),
        ("exec -l si", ["site="], True),
        ("exec -l site=o", ["site=oslo"], False),
        ("exec -l site=oslo,ro", ["site=oslo,role="], True),
        ("exec -l site=oslo,role!=d", ["site=oslo,role!=db"], False),
        ("exec -l !ro", ["!role"], False),
        ("exec -l nothing=", [], False),
        ("node set edge01 --label role=w", ["role=web"], False),
        ("node set edge01 --unlabel ro", ["role"], False),
    ],
)
def test_labels_complete_their_names_and_then_their_values(line: str, words: Sequence[str], is_open: bool) -> None:
    assert (offered(line), at(line).is_open) == (words, is_open)


def test_commands_are_offered_by_short_ids_newest_first_with_their_programs() -> None:
    assert at("command show 9f").candidates == [Candidate("9f3c1d20", "uname -a"), Candidate("9f3caaaa", "uptime")]
    assert offered(f"command show {COMMAND[:9]}") == [COMMAND]
    assert offered("command retry 9f3c1d20 --only failed,no") == ["failed,not_started"]


def test_files_are_the_shells_business() -> None:
    assert at("exec --script ./in").paths == "files"
    assert at("exec --script=./in")[1:] == ("--script=", False, "files")


def test_the_context_on_the_line_decides_whose_names_are_offered() -> None:
    asked: list[str] = []

    def names_of_context(context: str) -> Names:
        asked.append(context)
        return Names()

    for words in (["node", "show"], ["--context", "home", "node", "show"], ["node", "--context=oslo", "show"]):
        complete(TREE, words, "", names_of_context)
    assert asked == ["", "home", "oslo"]


@given(
    st.lists(st.text(alphabet="ab-=,@[]&:/ ", max_size=8), max_size=4), st.text(alphabet="abe0[],@=-!&^:", max_size=12)
)
def test_whatever_is_typed_the_candidates_begin_with_it(words: list[str], typed: str) -> None:
    for start in (["exec"], ["node", "set", "edge01"], ["exec", "-l"], []):
        found = complete(TREE, [*start, *words], typed, lambda _context: Names())
        assert all(f"{found.head}{item.value}".startswith(typed) for item in found.candidates)


# --- the words of a shell


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("", [""]),
        ("edgectl ", ["edgectl", ""]),
        ("edgectl  node   sh", ["edgectl", "node", "sh"]),
        ("e 'a b' \"c d\" e\\ f", ["e", "a b", "c d", "e f"]),
        ("e 'a b", ["e", "a b"]),
        ('e "a \\"b\\n', ["e", 'a "b\\n']),
        ("e a'b'\"c\"", ["e", "abc"]),
        ("e '' ", ["e", "", ""]),
    ],
)
def test_a_line_is_cut_as_a_shell_cuts_it(line: str, texts: Sequence[str]) -> None:
    assert [word.text for word in shell_words.split(line)] == texts


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("edgectl node set x --label si", ["site="]),
        ("edgectl node set x --label site=os", ["oslo"]),
        ("edgectl node set x --label 'site=os", ["site=oslo"]),
        ("edgectl node set x --label site\\=os", ["site\\=oslo"]),
        ("edgectl exec --cluster=os", ["oslo"]),
        ("edgectl exec edge01,we", ["edge01,web-1"]),
        ('edgectl exec "edge01,we', ["edge01,web-1"]),
        ("edgectl exec @com", ["command:"]),
    ],
)
def test_bash_gets_only_what_it_replaces(bench: Path, typed: str, words: Sequence[str]) -> None:
    assert for_bash(typed, BREAKS)[1:] == words


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A context called oslo, and a fresh cache of it; returns its file."""
    monkeypatch.setenv("EDGECTL_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("EDGECTL_CONTEXT", raising=False)
    save_context(OSLO, make_current=True)
    path = cache.path_of("oslo")
    assert path is not None
    path.parent.mkdir(parents=True)
    cache.save(
        path,
        Known(
            installation=fingerprint(OSLO),
            nodes=[("edge01", "oslo"), ("web-1", "bergen")],
            labels={"site": ["oslo"]},
            clusters=["oslo"],
            commands=[(COMMAND, "printf 'a:b'")],
        ),
    )
    return path


def test_zsh_gets_values_with_help_and_how_much_of_the_word_stays(bench: Path) -> None:
    assert for_zsh("edge01,we", "exec") == ["values 7", "web-1:bergen"]
    assert for_zsh(r"edge\[01\],we", "exec") == ["values 11", "web-1:bergen"]
    assert for_zsh("9f", "command", "show") == ["values 0", "9f3c1d20:printf 'a:b'"]
    assert for_zsh("@command:9f", "exec") == ["values 9", "9f3c1d20:printf 'a:b'"]
    assert for_zsh("si", "node", "set", "x", "--label") == ["open 0", "site="]
    assert for_zsh("./x", "demo", "up", "--dir") == ["directories 0"]


def test_fish_gets_whole_words_with_help_behind_a_tab(bench: Path) -> None:
    assert for_fish("edge01,we", "exec") == ["values 7", "edge01,web-1\tbergen"]
    assert for_fish("'edge01,we", "exec") == ["values 8", "edge01,web-1\tbergen"]


def test_the_words_are_those_of_the_commands() -> None:
    """Otherwise `scripts/generate-docs` has to run."""
    pages = read_pages()
    assert [line.partition("\t")[0] for line in for_fish("")[1:]] == list(pages)
    options = {option for item in pages["exec"].options for option in item.options if option.startswith("--")}
    assert options <= {line.partition("\t")[0] for line in for_fish("--", "exec")[1:]}


@pytest.mark.parametrize("argv", [[], ["tcsh", "x"], ["bash"], ["zsh"]])
def test_what_cannot_be_answered_is_silence(argv: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(argv) == 1
    assert tuple(capsys.readouterr()) == ("", "")


@pytest.mark.parametrize("config", ["", "{", "[]", '{"contexts": 7}'])
def test_a_damaged_configuration_is_no_candidates(
    bench: Path, tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config" / "config.json").write_text(config)
    assert answer(["bash", "edgectl node show ", BREAKS]) == 0
    assert tuple(capsys.readouterr()) == ("values\n", "")


# --- the cache

EVIL = ["$(reboot)", "a;b", "`x`", "a b", "-rf", "a\nb", "~root", "a'b", "\x1b[2J", "", "ü", "*", "a|b", "a>b"]


@pytest.mark.parametrize("name", EVIL)
def test_a_name_that_a_shell_could_take_for_more_is_not_offered(bench: Path, name: str) -> None:
    known = Known(
        installation=fingerprint(OSLO),
        nodes=[(name, "oslo"), ("edge01", name)],
        labels={name: ["x"], "site": [name, "oslo"]},
        clusters=[name],
        commands=[(name, "x"), (COMMAND, name)],
    )
    cache.save(bench, known)
    found = cache.load(bench, fingerprint(OSLO))
    assert [node for node, _ in found.nodes] == ["edge01"]
    assert (list(found.labels), found.clusters, [id_ for id_, _ in found.commands]) == (["site"], [], [COMMAND])
    assert "oslo" in found.labels["site"]
    assert name == "-rf" or name not in found.labels["site"]


def test_what_a_shell_shows_beside_a_candidate_is_one_harmless_line(bench: Path) -> None:
    cache.save(bench, Known(installation=fingerprint(OSLO), commands=[(COMMAND, "a\tb\n\x1b[2Jc")]))
    assert for_fish("", "command", "show")[1:] == [r"9f3c1d20" + "\t" + r"a\tb\n\x1b[2Jc"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"installation": "x", "nodes": 7}', "\x00"])
def test_a_damaged_cache_is_none(bench: Path, text: str) -> None:
    bench.write_text(text)
    assert cache.load(bench, fingerprint(OSLO)) == Known()


def test_the_cache_of_another_installation_is_none(bench: Path) -> None:
    assert cache.load(bench, "another") == Known()


@pytest.mark.parametrize("context", ["../oslo", "a/b", "", "UPPER", "."])
def test_a_context_whose_name_is_no_file_name_has_no_cache(context: str) -> None:
    assert cache.path_of(context) is None


def test_the_cache_is_for_its_owner_only(bench: Path) -> None:
    assert bench.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("cache_age", "attempt_age", "need"),
    [
        (1, 1000, Need.NOTHING),
        (60, 1000, Need.ASK),
        (3600, 1000, Need.ASK_AND_WAIT),
        (float("inf"), float("inf"), Need.ASK_AND_WAIT),
        (float("inf"), 1, Need.NOTHING),
        (3600, 1, Need.NOTHING),
    ],
)
def test_an_admin_is_asked_when_the_cache_is_stale_and_not_at_every_tab(
    cache_age: float, attempt_age: float, need: Need
) -> None:
    assert need_of(cache_age=cache_age, attempt_age=attempt_age) is need


def test_an_admin_that_never_answers_holds_up_a_tab_for_a_moment_only(bench: Path) -> None:
    bench.unlink()
    began = time.monotonic()
    assert for_fish("", "node", "show") == ["values 0"]
    assert time.monotonic() - began < 5.0, "a second, and what this machine needs to start a process"
    began = time.monotonic()
    assert for_fish("", "node", "show") == ["values 0"]
    assert time.monotonic() - began < 1.0, "it was asked a moment ago"


def test_what_is_a_little_old_is_offered_at_once(bench: Path) -> None:
    a_minute_ago = time.time() - 60
    os.utime(bench, (a_minute_ago, a_minute_ago))
    assert [line.partition("\t")[0] for line in for_fish("", "node", "show")[1:]] == ["edge01", "web-1"]


def test_an_alias_that_two_clusters_have_is_offered_with_its_cluster() -> None:
    nodes = [
        node_pb2.Node(name="web-1", cluster="oslo", aliases=["web-1", "front"]),
        node_pb2.Node(name="web-1", cluster="bergen", aliases=["web-1"]),
        node_pb2.Node(name="node-9f3c", cluster="oslo"),
    ]
    assert [name for name, _ in names_of(nodes)] == ["front", "node-9f3c", "web-1.bergen", "web-1.oslo"]


def test_a_label_of_many_values_offers_some() -> None:
    labels = labels_of({"serial": f"{number:04}", "site": "oslo"} for number in range(1000))
    assert (labels["site"], len(labels["serial"])) == (["oslo"], 200)


def test_the_cache_is_json_of_lists(bench: Path) -> None:
    assert sorted(json.loads(bench.read_text())) == ["clusters", "commands", "installation", "labels", "nodes"]
