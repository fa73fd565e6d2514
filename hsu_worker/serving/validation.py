"""Rules of buf.validate, enforced before a handler sees a request."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

from google.protobuf.message import Message

from hsu_worker.authoring.rules import UPDATE, messages_with_rules
from hsu_worker.errors import AppError, InvalidArgument
from hsu_worker.interface import Method
from hsu_worker.wire.status import MAX_DETAILS, sendable_message

#: Raises InvalidArgument for a request that breaks a rule.
Check: TypeAlias = Callable[[Message], None]

#: Violations that the message of the error tells; its details hold more.
_TOLD: Final = 3
#: Bytes that a status needs beside its message and the violations.
_ENVELOPE: Final = 128
#: Characters of a reason, as google.rpc allows.
_MAX_REASON: Final = 63


def check_of(method: Method) -> Check | None:
    """What each request of a method has to pass; None when no message of it has a rule.

    Raises:
        AppError: A rule is malformed; the message names it.
    """
    ruled = messages_with_rules(method.request)
    if not ruled:
        return None
    try:
        library = _library()
    except ImportError as error:
        raise AppError(f"the rules of {method.path} can't be enforced: {error}; {UPDATE}") from None
    violations_of = library.Validator().collect_violations
    for message in ruled:
        try:
            # Compiles the rules: a malformed one is its author's business, not the first caller's.
            violations_of(message())
        except library.CompilationError as error:
            raise AppError(
                f"{message.DESCRIPTOR.full_name}: its rules of buf.validate are malformed: {error}"
            ) from None
        except library.EvaluationError:
            # A rule may well fail over what an empty message lacks.
            continue

    def check(request: Message) -> None:
        violations = violations_of(request)
        if violations:
            raise _invalid([violation.proto for violation in violations])

    return check


@cache
def _library() -> Any:
    # Takes a tenth of a second, so only workers with rules import it.
    import protovalidate

    # Older versions lack it, and tell violations in another form.
    from protovalidate import ViolationPb as ViolationPb

    return protovalidate


def _invalid(violations: Sequence[Any]) -> InvalidArgument:
    from google.rpc.error_details_pb2 import BadRequest

    places = [_path(violation) for violation in violations]
    texts = [_text(violation) for violation in violations]
    told = [f"{path}: {text}" if path else text for path, text in zip(places, texts, strict=True)]
    more = [f"and {len(told) - _TOLD} more"] if len(told) > _TOLD else []
    message = sendable_message("; ".join([*told[:_TOLD], *more]))
    room = MAX_DETAILS - len(message.encode()) - _ENVELOPE
    bad = BadRequest()
    for violation, path, text in zip(violations, places, texts, strict=True):
        bad.field_violations.add(field=path, description=text, reason=_reason(violation.rule_id))
        if bad.ByteSize() > room:
            # Details that are too large would be left out as a whole.
            del bad.field_violations[-1]
            break
    return InvalidArgument(message, details=[bad])


def _path(violation: Any) -> str:
    """Where it is, as people write it: `lines[2].name`, `prices["apple"]`."""
    import json

    path = ""
    for element in violation.field.elements if violation.field else ():
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            key = element.subscript.value
            path += f"[{json.dumps(key, ensure_ascii=False)}]"
    return path


def _text(violation: Any) -> str:
    text = violation.message or f"breaks the rule {violation.rule_id}"
    return f"the key {text}" if violation.for_key else text


def _reason(rule: str) -> str:
    """The rule's id, such as `string.min_len`, as google.rpc wants a reason: `STRING_MIN_LEN`."""
    return re.sub(r"[^A-Z0-9_]", "_", rule.upper())[:_MAX_REASON]
