"""Which messages carry rules of buf.validate, and whether somebody can enforce them."""

import importlib.util
from typing import Any, Final

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from hsu_worker.interface import AnyInterface

#: The number of every extension of buf.validate: `(buf.validate.field)`, `.message`, `.oneof`.
_NUMBER: Final = 1159

#: What to do when the library is there, and is another one than we need.
UPDATE: Final = "update it with: pip install --upgrade 'hsu-worker[validate]'"


def unenforceable(interface: AnyInterface) -> str:
    """Why the rules of an interface can't be enforced; "" when they can, or when there are none."""
    ruled = [each.name for each in interface.methods.values() if messages_with_rules(each.request)]
    if not ruled or importlib.util.find_spec("protovalidate") is not None:
        return ""
    return (
        f"{interface.name}: the requests of {', '.join(ruled)} have rules of buf.validate, and the "
        "library that enforces them is missing; install it with: "
        "pip install 'hsu-worker[validate]', or write App(..., validate=False) to answer without"
    )


def messages_with_rules(root: type[Message]) -> list[type[Message]]:
    """The messages that have rules of their own, among all that a message can hold."""
    found: dict[str, Any] = {}
    queue: list[Any] = [root.DESCRIPTOR]
    while queue:
        message = queue.pop()
        if message.full_name not in found:
            found[message.full_name] = message
            queue += [field.message_type for field in message.fields if field.message_type]
    return [GetMessageClass(message) for message in found.values() if _has_rules(message)]


def _has_rules(message: Any) -> bool:
    parts = (message, *message.fields, *message.oneofs)
    return any(part.has_options and _is_rule(part.GetOptions()) for part in parts)


def _is_rule(options: Message) -> bool:
    # Known as an extension if somebody brought the whole schema, else as a field without a name.
    unknown: Any = UnknownFieldSet(options)
    return any(field.number == _NUMBER for field, _ in options.ListFields()) or any(
        field.field_number == _NUMBER for field in unknown
    )
