from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import assert_type

from hsu_worker import lifespan, report_progress


class Service:
    words: set[str]

    @lifespan
    def loaded(self) -> Iterator[None]:
        report_progress(0.5, "loading")
        self.words = set()
        yield
        self.words.clear()

    @lifespan
    def generated(self) -> Generator[None, None, None]:
        yield

    @lifespan
    async def connected(self) -> AsyncIterator[None]:
        yield

    @lifespan
    async def async_generated(self) -> AsyncGenerator[None, None]:
        yield


assert_type(Service().loaded(), Iterator[None])
assert_type(Service().connected(), AsyncIterator[None])
