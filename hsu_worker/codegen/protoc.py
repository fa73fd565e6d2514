"""Runs the protobuf compiler."""

import importlib.util
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError

from hsu_worker.authoring.rules import UPDATE
from hsu_worker.codegen.sources import ProtoPath, shipped_folder
from hsu_worker.errors import CodegenError
from hsu_worker.wire import buf_validate

_CURE = "install it with: pip install 'hsu-worker[gen]'; or name another one with --protoc"


@dataclass(frozen=True, slots=True)
class Compiled:
    """What one run has made."""

    files: FileDescriptorSet
    folder: Path
    """Holds protoc's own Python."""
    warnings: tuple[str, ...]


def compile_protos(
    names: Sequence[str], path: ProtoPath, *, command: str = "", into: Path
) -> Compiled:
    """Run protoc once: descriptors with comments, messages, and their types.

    Args:
        names: Files, as `ProtoPath.names` calls them.

        path: Where they and their imports are.

        command: The compiler, such as `protoc`; empty for the one of grpcio-tools.

        into: An empty folder.

    Raises:
        CodegenError: There is no compiler, or it refuses a file; the message holds its own lines.
    """
    descriptors = into / "descriptors"
    program = _program(command)
    arguments = [
        *program,
        *(f"-I{folder}" for folder in _include(path)),
        f"--python_out={into}",
        f"--pyi_out={into}",
        f"--descriptor_set_out={descriptors}",
        "--include_imports",
        "--include_source_info",
        *(path.locate(name) for name in names),
    ]
    done = _run(arguments)
    if f"{buf_validate.FILE}: File not found" in done.stderr:
        arguments += _with_rules(into)
        done = _run(arguments)
    said = done.stderr.strip() or done.stdout.strip()
    if done.returncode != 0:
        raise CodegenError(
            _explained(said, path) or f"{shlex.join(program)} says nothing, and fails"
        )
    try:
        files = FileDescriptorSet.FromString(descriptors.read_bytes())
    except (OSError, DecodeError):
        raise CodegenError(
            f"{shlex.join(program)} wrote no descriptors, as protoc does; {_CURE}"
        ) from None
    return Compiled(files, into, tuple(line for line in said.splitlines() if ".proto:" in line))


def _run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            arguments, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise CodegenError(f"can't run {arguments[0]}: {error.strerror}; {_CURE}") from None


def _with_rules(into: Path) -> list[str]:
    """The argument with which protoc finds buf/validate/validate.proto in the extra `validate`.

    The library that enforces the rules brings their schema along, compiled.
    """
    if importlib.util.find_spec("protovalidate") is None:
        return []
    try:
        from protovalidate import ViolationPb
    except ImportError as error:
        raise CodegenError(f"{buf_validate.FILE} can't be had: {error}; {UPDATE}") from None

    schema = into / "buf.validate"
    compiled = FileDescriptorProto.FromString(ViolationPb.desc().file.proto.to_binary())
    schema.write_bytes(FileDescriptorSet(file=[compiled]).SerializeToString())
    return [f"--descriptor_set_in={schema}"]


def _explained(said: str, path: ProtoPath) -> str:
    if "File not found" not in said:
        return said
    if f"{buf_validate.FILE}: File not found" in said:
        return (
            f"{said}\n{buf_validate.FILE} comes with the extra `validate`: "
            "pip install 'hsu-worker[validate]'"
        )
    folders = ", ".join(map(str, path.roots))
    return f"{said}\nimports are looked for in {folders}; name other folders with -I"


def _program(command: str) -> list[str]:
    if command:
        try:
            program = shlex.split(command)
        except ValueError as error:
            raise CodegenError(f"--protoc {command!r}: {error}; write it as in a shell") from None
        if not program:
            raise CodegenError(f"--protoc {command!r} names no program; {_CURE}")
        return program
    if importlib.util.find_spec("grpc_tools") is None:
        raise CodegenError(f"there is no protobuf compiler; {_CURE}")
    # -P: a folder of the user's that is called google must not come before the installed one.
    return [sys.executable, "-P", "-m", "grpc_tools.protoc"]


def _include(path: ProtoPath) -> Iterator[Path]:
    # Ours first: a copy in the user's folders may be an old one, and its Python would be ours anyway.
    if path.shipped:
        yield shipped_folder()
    yield from path.roots
    # google/rpc and google/api, which googleapis-common-protos installs beside their Python.
    google = importlib.util.find_spec("google.rpc")
    for folder in (google and google.submodule_search_locations) or ():
        yield Path(folder).parent.parent
