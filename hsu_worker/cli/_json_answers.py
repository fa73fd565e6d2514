"""Answers as JSON."""

from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from hsu_worker.cli._asking import json_text
from hsu_worker.cli._server import Server
from hsu_worker.errors import HsuError
from hsu_worker.wire.reflected import add_files


class Answers:
    """Writes answers as JSON.

    Args:
        pool: Knows their messages.

        server: Is asked for what a google.protobuf.Any holds and the pool doesn't know.

        defaults: Write fields that hold their default, too.

        indent: Spaces of each level; None: all on one line.
    """

    def __init__(
        self, pool: DescriptorPool, server: Server, *, defaults: bool, indent: int | None
    ) -> None:
        self._pool = pool
        self._server = server
        self._defaults = defaults
        self._indent = indent
        self._asked: set[str] = set()

    async def text(self, answer: Message) -> str:
        """The JSON of one answer.

        Raises:
            HsuError: It has none: an Any in it holds what nobody knows.
        """
        while True:
            try:
                document = json_format.MessageToDict(
                    answer,
                    descriptor_pool=self._pool,
                    always_print_fields_with_no_presence=self._defaults,
                )
                return json_text(document, indent=self._indent)
            except (TypeError, ValueError, json_format.Error) as problem:
                names = {name for name in _packed(answer) if not self._knows(name)} - self._asked
                if not names:
                    raise HsuError(f"the answer can't be written as JSON: {problem}") from None
                self._asked |= names
                add_files(self._pool, await self._server.files(names))

    def _knows(self, name: str) -> bool:
        try:
            self._pool.FindMessageTypeByName(name)
        except KeyError:
            return False
        return True


def _packed(message: Any) -> Iterator[str]:
    """The names of the messages that each Any in a message holds."""
    if message.DESCRIPTOR.full_name == "google.protobuf.Any":
        yield message.TypeName()
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = (
                value.values() if field.message_type.fields_by_name["value"].message_type else ()
            )
        else:
            values = value if field.is_repeated else (value,)
        for each in values:
            yield from _packed(each)
