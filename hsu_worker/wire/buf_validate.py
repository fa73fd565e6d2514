"""Makes `buf/validate/validate.proto` known to protobuf, so that messages with rules can be built.

Generated code imports this where protoc writes `buf.validate.validate_pb2`, which no package
of the index ships. The rules are options of fields and messages: whoever doesn't enforce them can
do without their definitions, and protobuf keeps them as they are. So whoever only calls a worker
needs nothing more, and a start doesn't pay for a schema that nobody reads.
"""

import importlib
from contextlib import suppress
from typing import Final

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto

#: As `.proto` files import it.
FILE: Final = "buf/validate/validate.proto"
PACKAGE: Final = "buf.validate"


def _is_known() -> bool:
    try:
        descriptor_pool.Default().FindFileByName(FILE)
    except KeyError:
        return False
    return True


def _make_known() -> None:
    # The whole schema may be there, from a package of the user's; two can't be in one process.
    with suppress(ImportError):
        importlib.import_module(f"{PACKAGE}.validate_pb2")
    if not _is_known():
        empty = FileDescriptorProto(name=FILE, package=PACKAGE)
        descriptor_pool.Default().AddSerializedFile(empty.SerializeToString())


if not _is_known():
    _make_known()
