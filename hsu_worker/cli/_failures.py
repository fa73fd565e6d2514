"""A failed call as lines: the status, and what its details say."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from hsu_worker.cli._asking import json_text, plain
from hsu_worker.errors import Dispatch, RpcError

_LOGGED: Final = re.compile(r"internal error [0-9a-f]+")


def failure(error: RpcError, pool: DescriptorPool) -> str:
    """The status and the message, and a line for each thing that the details say.

        INVALID_ARGUMENT: two fields are wrong
          text: must not be empty
          sentences: must be at least 1

    Args:
        error: How the call ended.

        pool: Knows the messages of the server.
    """
    lines = [error.code.name, *error.message.splitlines()]
    first = plain(": ".join(lines[:2]))
    details = (line for detail in error.details for line in _detail(detail, pool))
    # A worker's message may say the same already.
    rest = [*lines[2:], *(line for line in details if line not in lines)]
    if _LOGGED.fullmatch(error.message):
        rest.append("the worker's log has the traceback, under this id")
    if error.dispatched is Dispatch.NO:
        rest.append("no handler has seen the call")
    return "\n  ".join([first, *map(plain, rest)])


def _detail(detail: Message, pool: DescriptorPool) -> Iterator[str]:
    if isinstance(detail, PackedAny):
        # The program that reads it has its type from nowhere but the server.
        with suppress(KeyError, DecodeError):
            kind = pool.FindMessageTypeByName(detail.TypeName())
            detail = GetMessageClass(kind).FromString(detail.value)
    name = detail.DESCRIPTOR.full_name
    if name in _READERS:
        yield from _READERS[name](detail)
    elif isinstance(detail, PackedAny):
        yield f"{detail.TypeName()}: {len(detail.value)} bytes of a type that is not known here"
    else:
        document: object
        try:
            document = json_format.MessageToDict(detail, descriptor_pool=pool)
        except (TypeError, ValueError, json_format.Error) as problem:
            document = f"no JSON: {problem}"
        yield f"{name}: {json_text(document)}"


def _bad_request(detail: Any) -> Iterator[str]:
    for violation in detail.field_violations:
        yield f"{violation.field}: {violation.description}"


def _error_info(detail: Any) -> Iterator[str]:
    facts = [f"{name}={value}" for name, value in sorted(detail.metadata.items())]
    origin = f" ({detail.domain})" if detail.domain else ""
    yield f"reason: {', '.join([f'{detail.reason}{origin}', *facts])}"


def _retry_info(detail: Any) -> Iterator[str]:
    yield f"try again in {round(detail.retry_delay.ToTimedelta().total_seconds(), 1):g} s"


_READERS: Final[dict[str, Callable[[Any], Iterator[str]]]] = {
    "google.rpc.BadRequest": _bad_request,
    "google.rpc.ErrorInfo": _error_info,
    "google.rpc.RetryInfo": _retry_info,
}
