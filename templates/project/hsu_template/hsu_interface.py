"""Counts the words of texts."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from hsu_worker import InvalidArgument, implements, lifespan

from hsu_template.gen.hsu_template_hsu_interface import (
    CountRequest,
    CountResponse,
    HsuInterface,
    RankRequest,
    RankResponse,
)

COMMON_WORDS = Path(__file__).with_name("common_words.txt")


@implements(HsuInterface)
class HsuInterfaceService:
    def __init__(self, common_words: Path = COMMON_WORDS) -> None:
        self.path = common_words  # cheap: the process answers before anything is loaded
        self.common: frozenset[str] = frozenset()

    @lifespan
    def loaded(self) -> Iterator[None]:  # entered on start, left on stop
        self.common = frozenset(self.path.read_text("utf-8").split())
        yield
        self.common = frozenset()

    async def count(self, request: CountRequest) -> CountResponse:
        return CountResponse(words=len(self._words(request.text)))

    async def rank(self, request: RankRequest) -> AsyncIterator[RankResponse]:
        for word, count in Counter(self._words(request.text)).most_common():
            yield RankResponse(word=word, count=count)

    def _words(self, text: str) -> list[str]:
        words = [word for word in re.findall(r"\w+", text.lower()) if word not in self.common]
        if not words:
            raise InvalidArgument("the text holds no word that counts")
        return words
