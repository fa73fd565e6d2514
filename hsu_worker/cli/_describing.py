"""`hsu-worker describe`: where definitions come from, and which of them are shown."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodDescriptorProto
from google.protobuf.message_factory import GetMessageClass

from hsu_worker.cli import WrongInput
from hsu_worker.cli._asking import json_text
from hsu_worker.cli._protos import Definition, Protos
from hsu_worker.cli._server import Server
from hsu_worker.cli._words import nearest
from hsu_worker.codegen.descriptors import read_protos
from hsu_worker.gen.hsu_core import Core
from hsu_worker.gen.hsu_master import Master
from hsu_worker.interface import AnyInterface
from hsu_worker.loading import load_app
from hsu_worker.wire.reflected import pool_of

#: What every server of ours has; shown when it is named.
_EVERY_SERVER: Final = ("grpc.health.", "grpc.reflection.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What there is, and what of it is shown."""

    protos: Protos
    shown: Sequence[Definition]
    names: Sequence[str] = ()
    """Interfaces of which only the name is shown."""


def in_file(file: Path, proto_path: Sequence[Path], protoc: str, name: str) -> Found:
    """What a `.proto` defines, or what has a name there.

    Raises:
        CodegenError: It doesn't compile, or there is no compiler.

        WrongInput: There is no such file, or no such name.
    """
    if not file.is_file():
        raise WrongInput(f"{file}: there is no such file")
    found, asked = read_protos([file], proto_path=proto_path, protoc=protoc)
    protos = Protos(found)
    if name:
        return _named(name, protos, str(file))
    own = protos.defined_in(asked)
    return Found(protos=protos, shown=[*own, *protos.reached(*own)])


def in_app(target: str, name: str) -> Found:
    """What an app offers, or what has a name there; see `load_app`.

    Raises:
        WrongInput: There is no such name.
    """
    interfaces = list(load_app(target).services)
    files: dict[str, FileDescriptorProto] = {}
    for interface in interfaces:
        _add(files, interface.descriptor.file)
    told = {name: text for each in interfaces for name, text in _docs(each).items()}
    protos = Protos(files, told)
    if name:
        return _named(name, protos, target)
    return _interfaces([each.name for each in interfaces], protos)


async def at_server(server: Server, name: str) -> Found:
    """What a server offers, or what has a name there.

    Of a master without a name it is only the names of its interfaces: it would have to start
    every unit to tell more.

    Raises:
        HsuError: See `Server.names`.

        WrongInput: There is no such name.
    """
    if name:
        symbol = name.removeprefix("/").partition("/")[0]
        files = await server.files([symbol])
        # Not every reflection knows methods.
        files = files or await server.files([symbol.rpartition(".")[0]])
        if files:
            return _named(name, Protos(files), str(server))
    names = [each for each in await server.names() if not each.startswith(_EVERY_SERVER)]
    if name:
        # Those of its package may have it misspelt; to look at all would start every unit.
        package = name.rpartition(".")[0]
        near = [each for each in names if each.rpartition(".")[0] == package]
        protos = Protos(await server.files(near))
        known = [*names, *(each for each in protos.names if each not in names)]
        raise WrongInput(f"{server} has nothing called {name!r}{nearest(name, known)}")
    if Master.name in names:
        return Found(protos=Protos({}), shown=(), names=names)
    offered = [each for each in names if each != Core.name] or names
    return _interfaces(offered, Protos(await server.files(offered)))


def example(found: Found, address: str | None) -> str:
    """The command that calls the method that is shown; empty when something else is."""
    method = found.shown[0] if found.shown else None
    if method is None or not isinstance(method.proto, MethodDescriptorProto):
        return ""
    pool = pool_of(found.protos.files)
    kind = GetMessageClass(pool.FindMessageTypeByName(method.proto.input_type.removeprefix(".")))
    document = json_format.MessageToDict(
        kind(), always_print_fields_with_no_presence=True, descriptor_pool=pool
    )
    words = [*filter(None, [address]), f"{method.outer}/{method.proto.name}", json_text(document)]
    return f"hsu-worker call {shlex.join(words)}"


def _interfaces(names: Iterable[str], protos: Protos) -> Found:
    own = [each for name in names if (each := protos.find(name)) is not None]
    return Found(protos=protos, shown=[*own, *protos.reached(*own)])


def _named(name: str, protos: Protos, who: str) -> Found:
    definition = protos.find(name)
    if definition is None:
        raise WrongInput(f"{who} has nothing called {name!r}{nearest(name, protos.names)}")
    return Found(protos=protos, shown=[definition, *protos.reached(definition)])


def _add(files: dict[str, FileDescriptorProto], file: FileDescriptor) -> None:
    if file.name not in files:
        for imported in file.dependencies:
            _add(files, imported)
        file.CopyToProto(files.setdefault(file.name, FileDescriptorProto()))


def _docs(interface: AnyInterface) -> dict[str, str]:
    """Comments of the `.proto`, from where `hsu-worker gen` put them."""
    client: Any = interface.client
    _, _, text = cleandoc(client.__doc__ or "").partition("\n\n")
    told = {interface.name: text}
    for handler, method in interface.methods.items():
        told[f"{interface.name}.{method.name}"] = cleandoc(getattr(client, handler).__doc__ or "")
    return told
