"""Waits for what no event tells, such as a file that another process makes."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], *, within: float = 20) -> None:
    """Wait until a condition holds; TimeoutError when it doesn't in time."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  there is no event
            await asyncio.sleep(0.002)
