"""What is no proper request: each gets its answer, and only bytes that cannot be cut into packets end the server."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.edge_agent.ssh.sftp_conversation import (
    ARGV,
    ATTRS,
    BAD_MESSAGE,
    CLOSE,
    CREATE,
    EXTENDED,
    FAILURE,
    FINISH_WITHIN,
    FSTAT,
    HANDLE,
    HELLO,
    LSTAT,
    MKDIR,
    NO_SUCH_FILE,
    OK,
    OPEN,
    OPENDIR,
    READ,
    READDIR,
    SETSTAT,
    STAT,
    STATUS,
    UNSUPPORTED,
    WRITE,
    R,
    W,
    extension,
    frame,
    handle,
    opening,
    talk,
    talk_bytes,
    text,
    u32,
    u64,
)

SMALL_FILES = ("prlimit", "--fsize=2000000")
BEYOND_EVERY_FILE = 2**64 - 1
STAT_OF_HERE = frame(bytes([STAT]) + u32(7) + text(b"."))
FUZZED = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("kind", range(3, 21))
def test_a_request_that_ends_too_early_is_a_bad_message(tmp_path: Path, kind: int) -> None:
    empty, short, after = talk((kind, b""), (kind, u32(100) + b"short"), (STAT, text(b".")), cwd=tmp_path)
    assert (empty.status, short.status, after.kind) == (BAD_MESSAGE, BAD_MESSAGE, ATTRS)


def test_unknown_requests_and_extensions_are_unsupported(tmp_path: Path) -> None:
    answers = talk((2, b""), (21, b"?"), (99, b""), (255, b""), extension(b"x@y", b""), cwd=tmp_path)
    assert [answer.status for answer in answers] == [UNSUPPORTED] * 5


@pytest.mark.parametrize("known", [b"", u64(0), u64(2), b"\0\0\0\1", b"x" * 5000])
def test_a_handle_that_was_not_given_out_is_refused(tmp_path: Path, known: bytes) -> None:
    answers = talk(
        (CLOSE, text(known)),
        (READ, text(known) + u64(0) + u32(1)),
        (WRITE, text(known) + u64(0) + text(b"x")),
        (FSTAT, text(known)),
        (READDIR, text(known)),
        cwd=tmp_path,
    )
    assert [answer.status for answer in answers] == [FAILURE] * 5


def test_a_closed_handle_and_one_of_another_kind_are_refused(tmp_path: Path) -> None:
    answers = talk(
        (OPENDIR, text(b".")),
        (READ, handle(1) + u64(0) + u32(1)),
        (CLOSE, handle(1)),
        (CLOSE, handle(1)),
        (READDIR, handle(1)),
        cwd=tmp_path,
    )
    assert [answer.status for answer in answers[1:]] == [FAILURE, OK, FAILURE, FAILURE]


def test_there_is_a_limit_to_handles_and_closing_makes_room(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    *opened, after = talk(*[opening(b"f", R)] * 1100, (CLOSE, handle(1)), opening(b"f", R), cwd=tmp_path)
    given = sum(answer.kind == HANDLE for answer in opened)
    assert 100 < given <= 1024
    assert opened[-2].status == FAILURE
    assert (opened[-1].status, after.kind) == (OK, HANDLE)


def test_a_name_with_a_nul_byte_is_a_bad_message(tmp_path: Path) -> None:
    answers = talk(opening(b"f\0", W | CREATE), (MKDIR, text(b"\0") + u32(0)), (LSTAT, text(b"a\0b")), cwd=tmp_path)
    assert [answer.status for answer in answers] == [BAD_MESSAGE] * 3
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long_or_missing_is_refused(tmp_path: Path) -> None:
    long, deep, none = talk((STAT, text(b"x" * 300)), (STAT, text(b"x/" * 5000)), (STAT, text(b"")), cwd=tmp_path)
    assert (long.status, long.words, deep.status) == (FAILURE, "File name too long", FAILURE)
    assert none.status == NO_SUCH_FILE


def test_offsets_beyond_every_file_are_refused(tmp_path: Path) -> None:
    check = text(b"sha256") + u64(BEYOND_EVERY_FILE) + u64(BEYOND_EVERY_FILE)
    answers = talk(
        opening(b"f", R | W | CREATE),
        opening(b"g", R | W | CREATE),
        (READ, handle(1) + u64(BEYOND_EVERY_FILE) + u32(1)),
        (WRITE, handle(1) + u64(BEYOND_EVERY_FILE) + text(b"x")),
        (SETSTAT, text(b"f") + u32(1) + u64(BEYOND_EVERY_FILE)),
        extension(b"check-file-handle", handle(1) + check + u32(0)),
        extension(b"copy-data", handle(1) + u64(BEYOND_EVERY_FILE) + u64(0) + handle(2) + u64(0)),
        cwd=tmp_path,
    )
    assert [answer.status for answer in answers[2:]] == [FAILURE] * 5


def test_a_chain_of_links_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (answer,) = talk((STAT, text(b"a/c")), cwd=tmp_path)
    assert answer.status == NO_SUCH_FILE


def test_a_packet_that_is_too_large_is_answered_and_ends_the_session(tmp_path: Path) -> None:
    ended = talk_bytes(HELLO + STAT_OF_HERE + u32(262_145) + bytes([WRITE]) + u32(9) + b"data", cwd=tmp_path)
    assert [(answer.id, answer.kind) for answer in ended.answers[1:]] == [(7, ATTRS), (9, STATUS)]
    assert ended.answers[-1].status == BAD_MESSAGE
    assert (ended.code, ended.err) == (1, b"")


@pytest.mark.parametrize(
    "sent", [STAT_OF_HERE, b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\0\0\0", b"\0\0\0\1\1", u32(2**32 - 1) + b"\1\0\0\0\3"]
)
def test_what_does_not_begin_as_sftp_is_not_answered(tmp_path: Path, sent: bytes) -> None:
    ended = talk_bytes(sent, cwd=tmp_path)
    assert (ended.answers, ended.code, ended.err) == ([], 1, b"")


@pytest.mark.parametrize("sent", [b"", HELLO, HELLO[:6], HELLO + STAT_OF_HERE[:-1]])
def test_the_end_of_the_input_is_a_good_end_wherever_it_comes(tmp_path: Path, sent: bytes) -> None:
    ended = talk_bytes(sent, cwd=tmp_path)
    assert (len(ended.answers), ended.code, ended.err) == (int(HELLO in sent), 0, b"")


def test_a_client_that_does_not_read_its_answers_costs_no_memory(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(261_120))
    asked = [frame(bytes([READ]) + u32(n) + handle(1) + u64(0) + u32(261_120)) for n in range(1000)]
    sent = b"".join([HELLO, frame(bytes([OPEN]) + u32(1) + text(b"f") + u32(R) + u32(0)), *asked])
    argv = ["prlimit", "--as=120000000", *ARGV]
    with subprocess.Popen(argv, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        out, _ = process.communicate(sent, timeout=FINISH_WITHIN)
    assert process.returncode == 0
    assert len(out) > 1000 * 261_120


NAMES = st.sampled_from([b"", b".", b"f", b"d", b"d/f", b"d/new", b"link", b"new", b"\xff", b"f\0", b"x" * 300])
NUMBERS = st.sampled_from([0, 1, 2, 255, 2**31, 2**32 - 1]).map(u32) | st.integers(0, 2**32 - 1).map(u32)
LONG_NUMBERS = st.sampled_from([0, 1, 10, 2**20, 2**63, 2**64 - 1]).map(u64)
ODD_NAMES = st.binary(max_size=30).map(lambda name: name.translate(None, b"/."))  # none leads out of the directory
FIELDS = st.one_of(NAMES.map(text), st.integers(0, 4).map(handle), NUMBERS, LONG_NUMBERS, ODD_NAMES.map(text))
EXTENSION_NAMES = st.sampled_from(
    [b"posix-rename@openssh.com", b"lsetstat@openssh.com", b"statvfs@openssh.com", b"check-file", b"check-file-name"]
)
BODIES = st.lists(FIELDS, max_size=6).map(b"".join)
REQUESTS = st.tuples(st.integers(2, 22), BODIES) | st.tuples(
    st.just(EXTENDED), st.tuples(EXTENSION_NAMES.map(text), BODIES).map(b"".join)
)


@FUZZED
@given(requests=st.lists(REQUESTS, max_size=40))
def test_whatever_is_asked_there_is_one_answer_to_each_request(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[int, bytes]]
) -> None:
    home = tmp_path_factory.mktemp("fuzzed")
    (home / "d").mkdir()
    (home / "f").write_bytes(b"content")
    (home / "link").symlink_to("d")
    talk(*requests, cwd=home, prefix=SMALL_FILES)


@FUZZED
@given(garbage=st.binary(max_size=2000), cut=st.integers(0, 60))
def test_whatever_arrives_nothing_is_answered_that_was_not_asked(
    tmp_path_factory: pytest.TempPathFactory, garbage: bytes, cut: int
) -> None:
    ended = talk_bytes((HELLO + STAT_OF_HERE)[:cut] + garbage, cwd=tmp_path_factory.mktemp("fuzzed"))
    assert ended.code in (0, 1)
    assert ended.err == b""
    assert len(ended.answers) <= 2 + len(garbage) // 5
