"""From `.proto` files to their descriptors, for who wants to read them and no Python."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from hsu_worker.codegen.protoc import compile_protos
from hsu_worker.codegen.sources import ProtoPath, shipped_folder


def read_protos(
    protos: Sequence[Path], *, proto_path: Sequence[Path] = (), protoc: str = ""
) -> tuple[dict[str, FileDescriptorProto], list[str]]:
    """The files, and those that they import, by name, with comments; and which were asked for.

    files, asked = read_protos([Path("proto/mysvc.proto")])

    Args:
        protos: The files.

        proto_path: The folders in which imports are looked for; the folder of the files when none
            is given.

        protoc: The compiler's command; the one of grpcio-tools when empty.

    Raises:
        CodegenError: There is no compiler, or a file doesn't compile.
    """
    shipped = shipped_folder().resolve()
    # They may be read, though they may not be generated once more.
    ours = all(proto.resolve().parent == shipped for proto in protos)
    path = ProtoPath.of(protos, proto_path, is_ours=ours)
    names = path.names(protos)
    with TemporaryDirectory(prefix="hsu-read-") as temporary:
        compiled = compile_protos(names, path, command=protoc, into=Path(temporary))
    return {file.name: file for file in compiled.files.file}, names
