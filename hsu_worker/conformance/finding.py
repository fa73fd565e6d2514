"""How a check ends when the worker doesn't do what it should."""

from collections.abc import Generator
from contextlib import contextmanager

from hsu_worker.conformance.asking import Answer
from hsu_worker.errors import HsuError


class NotMet(HsuError):
    """The worker does something else.

    Args:
        expected: What the contract asks for.

        seen: What came instead.
    """

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}; seen: {seen}")
        self.expected = expected
        self.seen = seen
        self.output: list[str] = []
        """The last lines that the worker wrote."""


class Skipped(HsuError):
    """The check can't be made with this worker; the message says what it takes."""


def needs(what: str, option: str) -> Skipped:
    """The reason why a check is skipped without some help."""
    return Skipped(f"it takes {what}: {option}")


def expect(what: str, wanted: object, seen: object) -> None:
    """Compare.

    Raises:
        NotMet: They differ.
    """
    if wanted != seen:
        raise NotMet(f"{what}: {_shown(wanted)}", _shown(seen))


def expect_that(holds: bool, expected: str, seen: object) -> None:
    """Demand what is no plain comparison.

    Raises:
        NotMet: It does not hold.
    """
    if not holds:
        raise NotMet(expected, _shown(seen))


@contextmanager
def during(what: str) -> Generator[None, None, None]:
    """Say when a finding of the block was made."""
    try:
        yield
    except NotMet as finding:
        finding.expected = f"{what}: {finding.expected}"
        raise


def _shown(value: object) -> str:
    readable = isinstance(value, Answer) or (isinstance(value, str) and value)
    text = str(value) if readable else repr(value)
    return (
        text if len(text) <= 2000 else f"{text[:1000]} ... {text[-200:]} ({len(text)} characters)"
    )
