"""Tracebacks as the author of a service wants them: from the first frame of his own on."""

import os
from types import TracebackType
from typing import Final

from hsu_worker.authoring.mistake import is_mistake

_OURS: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep
_STANDARD: Final = os.path.dirname(os.__file__) + os.sep
_INSTALLED: Final = f"{os.sep}site-packages{os.sep}"


def without_ours(error: BaseException) -> BaseException:
    """The error, its traceback without the frames of the framework that lead to the author's code.

    One that has no frame of his keeps them all; but a syntax error tells by itself where it is, and
    so does a `mistake`, which loses those where the framework noticed it, too.
    """
    frames: TracebackType | None = error.__traceback__
    while frames is not None and _leads_there(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    if is_mistake(error):
        _cut_where_ours_begin(frames)
    elif frames is None and not isinstance(error, SyntaxError):
        return error
    return error.with_traceback(frames)


def _cut_where_ours_begin(frames: TracebackType | None) -> None:
    while frames is not None:
        inner = frames.tb_next
        if inner is not None and _leads_there(inner.tb_frame.f_code.co_filename):
            frames.tb_next = None
        frames = frames.tb_next


def _leads_there(file: str) -> bool:
    return file.startswith(("<frozen ", _OURS)) or (
        file.startswith(_STANDARD) and _INSTALLED not in file
    )
