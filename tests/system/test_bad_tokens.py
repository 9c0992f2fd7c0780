"""A credential that can be none: refused in one clear line before anything is sent, and never shown."""

from __future__ import annotations

import pytest

from tests.support.harness import Installation

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("token", ["new\nline", "geh\u00fcim", "tab\tbed"])
@pytest.mark.parametrize(
    ("words", "code"),
    [(("node", "list"), 6), (("exec", "--all", "--", "true"), 6), (("exec", "edge01", "--", "true"), 255)],
)
async def test_a_token_that_can_be_none_is_refused_without_being_shown(
    fleet: Installation, token: str, words: tuple[str, ...], code: int
) -> None:
    done = await fleet.edgectl(*words, environ={"EDGECTL_TOKEN": token})
    assert done.code == code
    assert done.err.startswith("edgectl: unauthenticated: EDGECTL_TOKEN is no token: it holds a line break or other")
    assert len(done.err.splitlines()) == 1
    assert token[:3] not in done.err.replace("set EDGECTL_TOKEN anew", "")


async def test_blanks_around_a_token_are_not_part_of_it(fleet: Installation) -> None:
    token = fleet.operator_environment()["EDGECTL_TOKEN"]
    done = await fleet.edgectl("node", "list", environ={"EDGECTL_TOKEN": f" {token}\n"})
    assert done.code == 0, done.err
