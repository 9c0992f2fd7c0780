"""What the words of `edgectl cp` mean."""

from __future__ import annotations

import pytest

from edge_wire.errors import UsageError
from edgectl.copying.places import LocalPlace, RemotePlace, parse_place, parse_route


def far(nodes: str, path: bytes, user: str = "") -> RemotePlace:
    return RemotePlace(nodes=nodes, user=user, path=path)


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("web-1:/etc/hosts", far("web-1", b"/etc/hosts")),
        ("web-1.oslo:file", far("web-1.oslo", b"file")),
        ("ann@web-1:/x", far("web-1", b"/x", "ann")),
        ("web-1:a:b", far("web-1", b"a:b")),
        ("web-1:/a@b:c", far("web-1", b"/a@b:c")),
        ("web-1:.", far("web-1", b".")),
        ("edge[01-40]!edge07:/x", far("edge[01-40]!edge07", b"/x")),
        ("@command:9f3c=failed,lost:/x:y", far("@command:9f3c=failed,lost", b"/x:y")),
        (":/x", far("", b"/x")),
        ("c:/x", far("c", b"/x")),
        ("n:~", far("n", b".")),
        ("n:~/", far("n", b".")),
        ("n:~/x", far("n", b"x")),
        ("n:~x", far("n", b"~x")),
        ("ann@:/x", far("", b"/x", "ann")),
        ("n:a\nb", far("n", b"a\nb")),
        ("n:\udcff", far("n", b"\xff")),
        ("file", LocalPlace(path=b"file")),
        ("./a:b", LocalPlace(path=b"./a:b")),
        ("/a:b", LocalPlace(path=b"/a:b")),
        ("a/b:c", LocalPlace(path=b"a/b:c")),
        ("-", LocalPlace(path=b"-")),
        ("ann@home", LocalPlace(path=b"ann@home")),
    ],
)
def test_a_word_names_a_place(word: str, place: RemotePlace | LocalPlace) -> None:
    assert parse_place(word) == place


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("", "a path is empty"),
        ("web-1:", "'web-1:' has no path"),
        ("C:\\Users", "looks like a path of Windows"),
        ("c:\\Users", "looks like a path of Windows"),
        ("C:/Users", "looks like a path of Windows"),
        ("D:", "looks like a path of Windows"),
        ("a\0b", "NUL"),
    ],
)
def test_a_word_that_names_no_place_is_an_error_in_words(word: str, why: str) -> None:
    with pytest.raises(UsageError, match=why.replace("\\", "\\\\")):
        parse_place(word)


@pytest.mark.parametrize(
    ("nodes", "is_one"), [("web-1", True), ("web-1.oslo", True), ("edge[1-4]", False), ("", False)]
)
def test_one_plain_name_is_one_node(nodes: str, is_one: bool) -> None:
    assert far(nodes, b"/x").is_one_plain_name is is_one


def test_several_files_go_to_nodes() -> None:
    route = parse_route(["a", "./b:c", "ann@edge[1-4]:/srv"])
    assert (route.sources, route.destination, route.is_push) == ((b"a", b"./b:c"), b"/srv", True)
    assert (route.far.nodes, route.far.user) == ("edge[1-4]", "ann")


def test_several_files_come_from_one_selector() -> None:
    route = parse_route(["n:/a", "n:/b", "."])
    assert (route.sources, route.destination, route.is_push) == ((b"/a", b"/b"), b".", False)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "a source and a destination"),
        (["a"], "a source and a destination"),
        (["a", "b"], "neither side is on a node"),
        (["n:/a", "m:/b"], "both sides are on nodes"),
        (["a", "n:/b", "m:/c"], "both sides are on nodes"),
        (["n:/a", "m:/b", "."], "the same nodes"),
        (["n:/a", "ann@n:/b", "."], "the same nodes"),
        (["n:/a", "b", "."], "the same nodes"),
    ],
)
def test_words_that_make_no_copy_are_errors(words: list[str], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_route(words)
