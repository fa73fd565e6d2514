"""The echo in a module that takes 500 ms to import."""

import time

from bench.service import Echo
from hsu_worker import implements
from tests.gen.hsu_test_kinds import Kinds

time.sleep(0.5)


@implements(Kinds)
class Slow(Echo):
    """Answers like any other."""
