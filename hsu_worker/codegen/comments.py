"""Comments and line numbers of a `.proto`, by the path of what they stand at.

A path holds field numbers and indexes from the file down, as descriptor.proto explains at
`SourceCodeInfo.Location.path`: `(SERVICE, 0, METHOD, 1)` is the first service's second method.
"""

import textwrap

from google.protobuf.descriptor_pb2 import FileDescriptorProto

# In a file.
PACKAGE = 2
MESSAGE = 4
ENUM = 5
SERVICE = 6
PUBLIC_IMPORT = 10
SYNTAX = 12
# In a message.
FIELD = 2
NESTED_MESSAGE = 3
NESTED_ENUM = 4
# In an enum, and in a service.
VALUE = 2
METHOD = 2

#: Lines for linters, not for readers.
_FOR_TOOLS = ("buf:lint:", "buf:breaking:")


class Comments:
    """What `--include_source_info` tells of one file."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._locations = {
            tuple(location.path): location for location in file.source_code_info.location
        }

    def text(self, *path: int) -> str:
        """The comment above what stands at `path`, else the one behind it; "" when there is none."""
        location = self._locations.get(path)
        if location is None:
            return ""
        text = _decode(location.leading_comments or location.trailing_comments)
        lines = textwrap.dedent(text.removeprefix("*")).splitlines()
        kept = [line.rstrip() for line in lines if not line.lstrip().startswith(_FOR_TOOLS)]
        return "\n".join(kept).strip()

    def line(self, *path: int) -> int:
        """The line, from 1, on which stands what `path` leads to; 1 when that isn't known."""
        location = self._locations.get(path)
        return location.span[0] + 1 if location is not None else 1

    def undecodable(self) -> list[int]:
        """The lines at which a comment is not UTF-8."""
        return sorted(
            location.span[0] + 1
            for location in self._locations.values()
            if not (_is_text(location.leading_comments) and _is_text(location.trailing_comments))
        )


# protoc lets any bytes pass in a comment; a string that is not UTF-8 is then read as bytes.
def _is_text(comment: str | bytes) -> bool:
    return isinstance(comment, str)


def _decode(comment: str | bytes) -> str:
    return comment.decode(errors="replace") if isinstance(comment, bytes) else comment
