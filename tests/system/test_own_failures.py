"""What fails on our own side of `edgectl`: one clear line, and an exit code that nobody takes for the program's."""

from __future__ import annotations

import json

import pytest

from tests.support.eventually import eventually
from tests.support.harness import Installation
from tests.support.programs import Finished, run_program

pytestmark = pytest.mark.asyncio(loop_scope="module")

INTO_A_FULL_DISK = ("sh", "-c", 'exec "$@" >/dev/full', "sh")
INTO_HEAD = ("bash", "-c", '"$@" | head -1; exit "${PIPESTATUS[0]}"', "bash")
INTO_NOBODY = ("bash", "-c", '"$@" 2>&1 | true; exit "${PIPESTATUS[0]}"', "bash")


async def redirected(fleet: Installation, prefix: tuple[str, ...], *words: str) -> Finished:
    """`edgectl` with its output somewhere else."""
    return await run_program("edgectl", *words, environ=fleet.operator_environment(), prefix=prefix)


@pytest.mark.parametrize("selector", ["edge02", "--all"])
async def test_an_argument_that_is_not_utf8_is_refused_before_anything_is_sent(
    fleet: Installation, selector: str
) -> None:
    done = await fleet.edgectl("exec", selector, "--", "printf", "%s", "\udcff")
    assert done.code == 2
    assert done.err.startswith("edgectl: argv_invalid: argument 3 is not UTF-8 (\\udcff)")


@pytest.mark.parametrize(
    "words",
    [
        ("node", "show", "\udcff"),
        ("exec", "edge02", "--name", "\udcff", "--", "true"),
        ("exec", "edge02", "-e", "A=\udcff", "--", "true"),
    ],
)
async def test_any_other_word_that_is_not_utf8_is_a_usage_error(fleet: Installation, words: tuple[str, ...]) -> None:
    done = await fleet.edgectl(*words)
    assert (done.code, done.err) == (
        2,
        "edgectl: usage: a word of the command line, or a value of the environment, is not UTF-8\n",
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("exec", "edge02", "--", "echo", "x"), 255),
        (("exec", "--all", "--", "echo", "x"), 10),
        (("exec", "edge02", "-o", "jsonl", "--", "echo", "x"), 255),
        (("node", "list"), 10),
        (("node", "show", "edge01", "-o", "json"), 10),
    ],
)
async def test_output_that_cannot_be_written_is_one_clear_line(
    fleet: Installation, words: tuple[str, ...], code: int
) -> None:
    done = await redirected(fleet, INTO_A_FULL_DISK, *words)
    assert done.code == code
    first = done.err.splitlines()[0]
    assert first.startswith("edgectl: output_not_writable: the output cannot be written (No space left on device)")


async def test_what_went_wrong_is_said_even_when_its_object_cannot_be_written(fleet: Installation) -> None:
    done = await redirected(fleet, INTO_A_FULL_DISK, "node", "show", "nobody", "-o", "json")
    assert (done.code, done.err.split(": ")[1]) == (5, "node_not_found")


@pytest.mark.parametrize("form", ["text", "jsonl"])
async def test_a_reader_that_leaves_is_told_how_to_find_the_command_which_goes_on(
    fleet: Installation, form: str
) -> None:
    done = await redirected(fleet, INTO_HEAD, "exec", "edge02", "-o", form, "--", "yes")
    assert (done.code, len(done.lines)) == (141, 1)
    assert done.err.startswith("left; the command goes on: edgectl command show ")
    command_id = done.err.split()[-1]
    shown = json.loads((await fleet.edgectl("command", "show", command_id, "-o", "json")).text)
    assert (shown["finished_at"], shown["cancelled_at"]) == (None, None)
    assert (await fleet.edgectl("command", "cancel", command_id)).code == 0

    async def is_over() -> bool:
        again = json.loads((await fleet.edgectl("command", "show", command_id, "-o", "json")).text)
        return again["finished_at"] is not None

    await eventually(is_over, within=20.0)


@pytest.mark.parametrize("words", [("node", "list"), ("node", "show", "nobody", "-o", "json"), ("--help",)])
async def test_a_reader_that_never_was_there_ends_the_program_without_a_word(
    fleet: Installation, words: tuple[str, ...]
) -> None:
    done = await redirected(fleet, INTO_NOBODY, *words)
    assert (done.code, done.text, done.err) == (141, "", "")


async def test_stderr_that_is_gone_too_changes_nothing(fleet: Installation) -> None:
    done = await redirected(fleet, INTO_NOBODY, "exec", "edge02", "--", "sh", "-c", "sleep 1; echo; sleep 1")
    assert (done.code, done.text, done.err) == (141, "", "")


@pytest.mark.parametrize("selector", ["edge01", "--all"])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--timeout", "abc"], "--timeout: 'abc' is not a duration"),
        (["--timeout", "0"], "--timeout must be longer than 0. leave it out for no limit"),
        (["--deadline", "0s"], "--deadline must be longer than 0"),
        (["--pause", "5", "--batch", "1"], "--pause: '5' is not a duration"),
        (["--stdin", "/no/such/file"], "--stdin /no/such/file: No such file or directory"),
        (["-e", "1=2"], "'1' is not the name of an environment variable"),
    ],
)
async def test_a_usage_mistake_is_2_with_one_node_as_with_many(
    fleet: Installation, selector: str, words: list[str], says: str
) -> None:
    done = await fleet.edgectl("exec", selector, *words, "--", "true")
    assert (done.code, done.err.split(": ")[1]) == (2, "usage")
    assert says in done.err


async def test_a_script_that_is_not_there_is_2_with_one_node_too(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "edge01", "--script", "/no/such/file")
    assert (done.code, "script_invalid" in done.err) == (2, True)


async def test_whatever_breaks_inside_is_255_with_one_node_and_1_otherwise(fleet: Installation) -> None:
    broken = {"EDGECTL_CONFIG_DIR": "/proc/self/mem"}  # a file where a directory should be
    for words, code in ((("exec", "edge01", "--", "true"), 255), (("node", "list"), 1)):
        done = await fleet.edgectl(*words, environ=broken)
        assert (done.code, done.err.split(": ")[1]) == (code, "internal")
