"""The Python examples, which the Rust ones are compared with, are on the path."""

import tests.examples.conftest  # noqa: F401
