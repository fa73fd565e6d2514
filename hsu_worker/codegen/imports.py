"""The names that one generated module takes from elsewhere: just those that it uses."""

from collections.abc import Iterable, Iterator
from itertools import count

from hsu_worker.codegen.sources import Source, Sources
from hsu_worker.codegen.text import stacked

#: Where generated code finds its words. All are imported under a leading underscore, which no name
#: in a `.proto` may have, so that no message can hide them.
_STANDARD = {
    "abc": ("abstractmethod",),
    "collections.abc": ("AsyncGenerator", "Coroutine", "Iterator"),
    "typing": ("Any", "Final", "Protocol", "TypeVar"),
}
_OURS = {
    "hsu_worker.interface": ("Interface", "Reply", "ReplyStream", "Requests"),
    "hsu_worker.wire.blocking": ("BlockingClient",),
    "hsu_worker.wire.client": ("Client", "RequestSource"),
    "hsu_worker.wire.metadata": ("Metadata",),
}


class Imports:
    """Collects while the code is written, and is written above it afterwards."""

    def __init__(self, source: Source, sources: Sources) -> None:
        self._source = source
        self._sources = sources
        self._words: set[str] = set()
        self._aliases: dict[str, Source] = {}

    def word(self, name: str) -> str:
        """What the code writes for `Any`: `_Any`."""
        self._words.add(name)
        return f"_{name}"

    def own_messages(self) -> str:
        """What the code writes for the module of this file's messages."""
        self._aliases["_pb2"] = self._source
        return "_pb2"

    def message(self, full_name: str) -> str:
        """What the code writes for a message: `Outer.Inner`, or `_leaf_pb2.Leaf` from another file."""
        home, python = self._sources.type(full_name)
        return python if home is self._source else f"{self._alias(home)}.{python}"

    def _alias(self, home: Source) -> str:
        def candidates() -> Iterator[str]:
            yield f"_{home.module[-1]}_pb2"
            for number in count():
                yield f"_{'_'.join(home.module)}{number or ''}_pb2"

        return next(
            alias for alias in candidates() if self._aliases.setdefault(alias, home) is home
        )

    def lines(self, exporting: Iterable[Source]) -> Iterator[str]:
        """The import statements in three groups; the names that the module hands on come last."""
        groups = (
            [*self._of_words(_STANDARD)],
            [*self._of_messages(owned=False), *self._of_words(_OURS)],
            [*self._of_messages(owned=True), *self._of_exports(exporting)],
        )
        for group in filter(None, groups):
            yield from (*group, "")

    def _of_words(self, homes: dict[str, tuple[str, ...]]) -> Iterator[str]:
        for home, words in homes.items():
            used = [f"{word} as _{word}" for word in words if word in self._words]
            if len(used) > 1:
                yield from stacked(f"from {home} import (", used, ")")
            elif used:
                yield f"from {home} import {used[0]}"

    def _of_messages(self, *, owned: bool) -> list[str]:
        return sorted(
            self._source.import_messages(home, alias)
            for alias, home in self._aliases.items()
            if home.owned == owned
        )

    def _of_exports(self, exporting: Iterable[Source]) -> Iterator[str]:
        for other in exporting:
            if other.exports:
                module = self._source.messages_of(other)
                yield from stacked(f"from {module} import (", other.exports, ")")
