"""Checks the waiting of the tests itself: it returns what was waited for, and a failure says what did not happen."""

import pytest

from tests.support.eventually import eventually


async def test_it_returns_the_first_true_answer() -> None:
    answers = iter([0, 0, 3, 4])
    assert await eventually(lambda: next(answers)) == 3


async def test_a_check_may_be_asynchronous_and_may_fail_at_first() -> None:
    attempts: list[int] = []

    async def third_attempt() -> bool:
        attempts.append(1)
        assert len(attempts) == 3
        return True

    assert await eventually(third_attempt)


async def test_what_did_not_happen_is_in_the_failure() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.1 s: the moon to turn green"):
        await eventually(lambda: False, within=0.1, what="the moon to turn green")


async def test_an_error_of_another_kind_is_not_waited_out() -> None:
    with pytest.raises(ZeroDivisionError):
        await eventually(lambda: 1 / 0)
