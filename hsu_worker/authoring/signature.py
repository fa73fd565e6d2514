"""What a function is called with; its annotations stay as they were written."""

import inspect
import sys
from collections.abc import Callable
from typing import Any

_OPTIONS: dict[str, Any] = {}

if sys.version_info >= (3, 14):
    from annotationlib import Format

    # It would evaluate them, and they may name what only type checkers import.
    _OPTIONS["annotation_format"] = Format.FORWARDREF


def signature_of(function: Callable[..., Any], *, follow_wrapped: bool = True) -> inspect.Signature:
    """As `inspect.signature`.

    Raises:
        TypeError: It is no function, or one without a signature.
        ValueError: The signature can't be told.
    """
    return inspect.signature(function, follow_wrapped=follow_wrapped, **_OPTIONS)
