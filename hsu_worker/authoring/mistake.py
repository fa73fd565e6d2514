"""Errors that tell authors what they did, wherever that was noticed."""

from typing import Final, TypeVar

_MARK: Final = "__hsu_mistake__"

ErrorT = TypeVar("ErrorT", bound=BaseException)


def mistake(error: ErrorT) -> ErrorT:
    """Mark an error whose message says it all: where the framework noticed is shown to nobody.

    raise mistake(TypeError("..."))
    """
    setattr(error, _MARK, True)
    return error


def is_mistake(error: BaseException) -> bool:
    """It has been marked."""
    return hasattr(error, _MARK)
