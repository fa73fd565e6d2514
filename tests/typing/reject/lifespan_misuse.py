from collections.abc import Generator, Iterator
from contextlib import contextmanager

from hsu_worker import lifespan


class Service:
    # error[mypy]: cannot be "Callable[[Service], None]"
    # error[pyright]: Function return type "None"
    @lifespan
    def returns(self) -> None:
        pass

    # error[mypy]: Coroutine[Any, Any, None]
    # error[pyright]: Function return type "CoroutineType[Any, Any, None]"
    @lifespan
    async def awaits(self) -> None:
        pass

    # error[mypy]: Iterator[int]
    # error[pyright]: Function return type "Iterator[int]"
    @lifespan
    def yields_something(self) -> Iterator[int]:
        yield 1

    # error[mypy]: Callable[[Service, str]
    # error[pyright]: Extra parameter "path"
    @lifespan
    def needs_more(self, path: str) -> Iterator[None]:
        yield

    # error[mypy]: _GeneratorContextManager
    # error[pyright]: _GeneratorContextManager
    @lifespan
    @contextmanager
    def managed(self) -> Generator[None, None, None]:
        yield
