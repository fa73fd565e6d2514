"""The other implementation, for swaps."""

from bench.service import Echo
from hsu_worker import implements
from tests.gen.hsu_test_kinds import Kinds


@implements(Kinds)
class Twin(Echo):
    """Answers like any other."""
