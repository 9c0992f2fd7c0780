"""What TAB does in the real bash, zsh and fish, with a real admin behind it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from edgectl.completion import cache
from tests.support.eventually import eventually
from tests.support.harness import Installation, installation
from tests.support.programs import run_program
from tests.support.shells import LOADS, Shell, need, shell_environment

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHELLS = ["bash", "zsh", "fish"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """An admin that knows edge01 and edge02 in default, web-1 in oslo, labels, and two commands."""
    async with installation(tmp_path_factory.mktemp("completion")) as made:
        await made.start_admin()
        await made.add_agents("edge01", "edge02")
        assert (await made.edgectl("cluster", "create", "oslo")).code == 0
        await made.add_agent("web-1", cluster="oslo")
        assert (await made.edgectl("node", "set", "edge01", "--label", "site=oslo", "--label", "rack=r7")).code == 0
        assert (await made.edgectl("node", "set", "edge02", "--label", "site=bergen")).code == 0
        for argv in (["uname", "-n"], ["printf", "a\\tb"]):
            assert (await made.edgectl("exec", "edge01", "--", *argv)).code == 0
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def environ(site: Installation) -> dict[str, str]:
    """An environment whose cache knows the installation."""
    known = shell_environment(site.directory, {**site.operator_environment(), "TERM": "xterm"})
    await first_tab(known, site.directory / "cache")
    return known


async def first_tab(environ: Mapping[str, str], caches: Path) -> Path:
    """The file of the cache, which a first TAB has made."""
    assert await tab(environ, "node", "show") in ([], ["edge01", "edge02", "web-1"])
    file = caches / "edgectl" / "completion" / "test.json"
    await eventually(file.exists, within=20.0, what="the cache is written")
    return file


async def tab(environ: Mapping[str, str], *words: str, typed: str = "") -> list[str]:
    """What is offered, as fish gets it, without the help."""
    argv = ("__complete", "fish", typed, *words)
    done = await run_program("edgectl", *argv, environ=environ)
    assert (done.code, done.err) == (0, "")
    return [line.partition("\t")[0] for line in done.lines[1:]]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SHELLS)
async def shell(request: pytest.FixtureRequest, environ: Mapping[str, str]) -> AsyncIterator[Shell]:
    """Each of the shells, at a prompt."""
    need(request.param)
    started = await Shell.start(request.param, environ)
    yield started
    with suppress(OSError):
        started.close()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("edgectl ver", "<version>"),
        ("edgectl node sh", "<node><show>"),
        ("edgectl exec --fan", "<exec><--fanout>"),
        ("edgectl node list --out", "<node><list><--output>"),
        ("edgectl node list -o jsonl --col", "<node><list><-o><jsonl><--color>"),
        ("edgectl login --keyring fi", "<login><--keyring><file>"),
        ("edgectl token create ci --role oper", "<token><create><ci><--role><operator>"),
        ("edgectl explain node_off", "<explain><node_offline>"),
    ],
)
async def test_commands_options_and_choices(shell: Shell, line: str, words: str) -> None:
    assert await shell.after_tab(line) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("edgectl node show we", "<node><show><web-1>"),
        ("edgectl exec edge01,we", "<exec><edge01,web-1>"),
        ("edgectl exec 'edge[01-02],we", "<exec><edge[01-02],web-1>"),
        ("edgectl exec --cluster os", "<exec><--cluster><oslo>"),
        ("edgectl exec --cluster=os", "<exec><--cluster=oslo>"),
        ("edgectl cluster show os", "<cluster><show><oslo>"),
        ("edgectl node set edge01 --label ra", "<node><set><edge01><--label><rack=>"),
        ("edgectl node set edge01 --label site=os", "<node><set><edge01><--label><site=oslo>"),
        ("edgectl node set edge01 --label=site=os", "<node><set><edge01><--label=site=oslo>"),
        ("edgectl node set edge01 --unlabel ra", "<node><set><edge01><--unlabel><rack>"),
        ("edgectl context show te", "<context><show><test>"),
        ("edgectl node list --context te", "<node><list><--context><test>"),
    ],
)
async def test_names_of_the_installation(shell: Shell, line: str, words: str) -> None:
    assert await shell.after_tab(line) == words


async def short_id(site: Installation) -> str:
    return (await site.edgectl("command", "list")).lines[1].split()[0]


async def test_commands_by_id(shell: Shell, site: Installation) -> None:
    id_ = await short_id(site)
    assert await shell.after_tab(f"edgectl command show {id_[:4]}") == f"<command><show><{id_}>"
    assert await shell.after_tab(f"edgectl exec @command:{id_[:4]}") == f"<exec><@command:{id_}>"
    assert await shell.after_tab(f"edgectl exec edge01,@command:{id_}=fai") == f"<exec><edge01,@command:{id_}=failed>"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("edgectl exec edge01 -- unam", "<exec><edge01><--><uname>"),
        ("edgectl exec edge01 -- ls /etc/hostna", "<exec><edge01><--><ls></etc/hostname>"),
    ],
)
async def test_behind_the_dashes_the_shell_completes_as_ever(shell: Shell, line: str, words: str) -> None:
    assert await shell.after_tab(line) == words


async def test_a_directory_is_completed_by_the_shell(shell: Shell, site: Installation) -> None:
    (site.directory / "a-directory").mkdir(exist_ok=True)
    line = f"edgectl demo up --dir {site.directory}/a-dir"
    assert (await shell.after_tab(line)).rstrip("/>").endswith("/a-directory")


async def test_what_fits_nothing_is_left_alone(shell: Shell) -> None:
    assert await shell.after_tab("edgectl node show zzz") == "<node><show><zzz>"
    assert await shell.after_tab("edgectl nonsense /etc/hostna") == "<nonsense></etc/hostna>"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("edgectl node show edge0", ["edge01", "edge02"]),
        ("edgectl command show ", ["uname -n", "printf 'a\\tb'"]),
        ("edgectl node s", ["show", "set"]),
    ],
)
@pytest.mark.parametrize("name", SHELLS)
async def test_several_candidates_are_listed_with_what_is_known_of_them(
    environ: Mapping[str, str], name: str, line: str, words: list[str]
) -> None:
    need(name)
    shell = await Shell.start(name, environ)
    try:
        await shell.offers(line, *([] if name == "bash" and "command" in line else words))
    finally:
        shell.close()


async def test_no_admin_and_no_cache_is_no_candidates_and_no_error(site: Installation, tmp_path: Path) -> None:
    bare = {"EDGECTL_CONFIG_DIR": str(tmp_path / "nothing"), "TERM": "xterm"}
    for name in SHELLS:
        need(name)
        shell = await Shell.start(name, shell_environment(tmp_path, bare))
        try:
            assert await shell.after_tab("edgectl node show ed") == "<node><show><ed>"
            assert not [word for word in ("Traceback", "rror", "not_logged_in") if word in shell.screen]
        finally:
            shell.close()


async def test_zsh_takes_the_script_as_a_function_of_its_path_too(
    environ: Mapping[str, str], site: Installation
) -> None:
    need("zsh")
    functions = site.directory / "functions"
    functions.mkdir(exist_ok=True)
    load = (
        f"edgectl completion zsh >{functions}/_edgectl; fpath=({functions} $fpath); autoload -Uz compinit; compinit -D"
    )
    shell = await Shell.start("zsh", environ, load=load)
    try:
        assert await shell.after_tab("edgectl node show we") == "<node><show><web-1>"
    finally:
        shell.close()


async def test_another_name_for_the_program_completes_too(environ: Mapping[str, str]) -> None:
    load = f"{LOADS['bash']}; alias e=edgectl; complete -F _edgectl e"
    shell = await Shell.start("bash", environ, load=load)
    try:
        assert await shell.after_tab("e node show we") == "<node><show><web-1>"
    finally:
        shell.close()


async def test_the_cache_is_private_and_renewed_beside_a_tab(
    environ: Mapping[str, str], site: Installation, tmp_path: Path
) -> None:
    environ = {**environ, "XDG_CACHE_HOME": str(tmp_path)}  # that of the others may be renewed at any moment
    file = await first_tab(environ, tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    await site.add_agent("web-2", cluster="oslo")
    a_minute_ago = time.time() - 60
    for path in (file, file.with_suffix(".asked")):
        os.utime(path, (a_minute_ago, a_minute_ago))
    assert await tab(environ, "node", "show", typed="web-") == ["web-1"]

    async def knows_it() -> bool:
        return await tab(environ, "node", "show", typed="web-") == ["web-1", "web-2"]

    await eventually(knows_it, within=20.0, what="the new node is offered")


async def test_a_context_that_is_forgotten_leaves_nothing_behind(site: Installation, tmp_path: Path) -> None:
    config = tmp_path / "config"
    known = {**site.operator_environment(), "EDGECTL_CONFIG_DIR": str(config), "XDG_CACHE_HOME": str(tmp_path)}
    word = site.admin.login.encode()
    login = ("login", "--keyring", "file", "--name", "other")
    assert (await site.edgectl(*login, environ=known, stdin=word)).code == 0
    file = tmp_path / "edgectl" / "completion" / "other.json"
    file.parent.mkdir(parents=True)
    cache.save(file, cache.Known(clusters=["oslo"]))
    assert (await site.edgectl("logout", environ=known)).code == 0
    assert not file.exists()


async def test_what_may_not_be_seen_is_not_offered(site: Installation, tmp_path: Path) -> None:
    made = await site.edgectl("token", "create", "only-oslo", "--role", "viewer", "--cluster", "oslo", "-o", "json")
    environ = shell_environment(site.directory, site.operator_environment())
    environ.update({"XDG_CACHE_HOME": str(tmp_path), "EDGECTL_TOKEN": json.loads(made.text)["token"]})
    found = await eventually(lambda: tab(environ, "node", "show"), within=20.0, what="something is offered")
    assert "web-1" in found
    assert not [name for name in found if name.startswith("edge")]
