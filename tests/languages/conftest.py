"""The Python examples, which the others are compared with, are on the path."""

import tests.examples.conftest  # noqa: F401
