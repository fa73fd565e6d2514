"""Interface A: which sentences of a text say most of it."""

from collections.abc import Iterator
from pathlib import Path

from google.rpc.error_details_pb2 import BadRequest

from hsu_a_service1.text import Sentence, TooMany, read_stop_words, sentences
from hsu_a_service1.textrank import rank
from hsu_worker import Cancelled, InvalidArgument, current_call, implements, lifespan
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummarizeResponse, SummaryChunk

#: Sentences of one text at the most: the work grows with their square, and so many take seconds.
MAX_SENTENCES = 2_000

#: Sentences of a summary when the request doesn't say.
DEFAULT_SENTENCES = 3

STOP_WORDS = Path(__file__).with_name("stopwords.txt")


@implements(InterfaceA)
class Summarizer:
    """Summarises texts; the handlers are plain functions, because all that they do is compute.

    Args:
        stop_words: A file with the words that don't count.
    """

    def __init__(self, stop_words: Path = STOP_WORDS) -> None:
        self.path = stop_words
        self.stop_words: frozenset[str] = frozenset()

    @lifespan
    def loaded(self) -> Iterator[None]:
        self.stop_words = read_stop_words(self.path.read_text("utf-8").splitlines())
        yield
        self.stop_words = frozenset()

    def summarize(self, request: SummarizeRequest) -> SummarizeResponse:
        found = self._sentences(request)
        best = _best(found, request)
        chunks = sorted(best, key=lambda chunk: chunk.position)
        return SummarizeResponse(
            summary=" ".join(chunk.text for chunk in chunks),
            chunks=chunks,
            total_sentences=len(found),
        )

    def stream_summary(self, request: SummarizeRequest) -> Iterator[SummaryChunk]:
        yield from _best(self._sentences(request), request)

    def _sentences(self, request: SummarizeRequest) -> list[Sentence]:
        try:
            found = sentences(request.text, self.stop_words, at_most=MAX_SENTENCES)
        except TooMany:
            raise _bad_text(
                f"it has more than {MAX_SENTENCES} sentences; send it in parts"
            ) from None
        if not found:
            problem = "it holds no sentence; send a text with at least one word of prose"
            raise _bad_text(problem if request.text.strip() else "it is empty")
        return found


def _best(found: list[Sentence], request: SummarizeRequest) -> list[SummaryChunk]:
    """The sentences asked for, best first; of two with the same score the earlier one."""
    scores = rank(found, _stop_if_nobody_waits)
    # Rounded, so that noise in the last digits doesn't decide between two that are equal.
    order = sorted(range(len(found)), key=lambda at: (-round(scores[at], 9), at))
    return [
        SummaryChunk(text=found[at].text, rank=place, position=at, score=scores[at])
        for place, at in enumerate(order[: request.sentences or DEFAULT_SENTENCES], start=1)
    ]


def _stop_if_nobody_waits() -> None:
    try:
        call = current_call()
    except LookupError:
        return  # the handler was called by itself, as a test does
    if call.cancelled:
        raise Cancelled("the caller has gone")


def _bad_text(problem: str) -> InvalidArgument:
    violation = BadRequest.FieldViolation(field="text", description=problem)
    return InvalidArgument(f"text: {problem}", details=[BadRequest(field_violations=[violation])])
