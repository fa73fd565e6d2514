import asyncio
from collections.abc import AsyncGenerator

import pytest

from hsu_worker.wire.blocking import Portal


def test_a_portal_runs_coroutines_on_a_loop_of_its_own() -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return number * 2

    with Portal() as portal:
        assert portal.wait(double(2)) == 4


async def test_it_works_beside_a_running_loop_as_in_a_notebook() -> None:
    with Portal() as portal:
        assert portal.wait(asyncio.sleep(0, "a")) == "a"


def test_an_exception_comes_through() -> None:
    async def fail() -> None:
        raise ValueError("bad")

    with Portal() as portal, pytest.raises(ValueError, match="bad"):
        portal.wait(fail())


def test_leaving_an_iteration_early_closes_the_generator() -> None:
    closed = []

    async def numbers() -> AsyncGenerator[int, None]:
        try:
            for number in range(10):
                yield number
        finally:
            closed.append(True)

    with Portal() as portal:
        for number in portal.iterate(numbers()):
            if number == 2:
                break

    assert closed == [True]


def test_outside_its_block_it_says_so() -> None:
    portal = Portal()
    with pytest.raises(RuntimeError, match="use it inside its `with` block"):
        portal.wait(asyncio.sleep(0))
    with portal:
        pass
    with pytest.raises(RuntimeError, match="use it inside its `with` block"):
        portal.wait(asyncio.sleep(0))


def test_on_its_own_loop_it_refuses_instead_of_hanging() -> None:
    with Portal() as portal:

        async def wrong() -> None:
            portal.wait(asyncio.sleep(0))

        with pytest.raises(RuntimeError, match="can't be used on the loop's own thread"):
            portal.wait(wrong())


def test_what_still_runs_is_cancelled_at_the_end() -> None:
    cancelled = []

    async def background() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def begin() -> None:
        tasks.append(asyncio.create_task(background()))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    with Portal() as portal:
        portal.wait(begin())

    assert cancelled == [True]


def test_an_iteration_that_is_left_half_way_is_closed_with_the_portal() -> None:
    closed = []

    async def numbers() -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    with Portal() as portal:
        iteration = portal.iterate(numbers())
        assert next(iteration) == 1
    assert closed == [True]
    iteration.close()
