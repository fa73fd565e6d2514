"""The method that somebody names, as a server or a `.proto` describes it."""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from hsu_worker.cli import WrongInput
from hsu_worker.cli._server import Server
from hsu_worker.cli._words import nearest
from hsu_worker.errors import HsuError
from hsu_worker.interface import Method
from hsu_worker.wire.reflected import pool_of

_HOST_AND_PORT: Final = re.compile(r"[^/{]*:[0-9]+")
#: What nobody misspells who calls a worker.
_EVERY_SERVER: Final = ("grpc.health.", "grpc.reflection.")
_SUCH_AS: Final = "such as hsu.a.v1.InterfaceA/Summarize"


def split_method(word: str) -> tuple[str, str]:
    """Interface and method of `hsu.a.v1.InterfaceA/Summarize`, also with a dot between them.

    Raises:
        WrongInput: It is no name of a method.
    """
    if _HOST_AND_PORT.fullmatch(word):
        raise WrongInput(f"{word}: an address begins with unix: or tcp:; write tcp:{word}")
    interface, slash, method = word.removeprefix("/").rpartition("/")
    if not slash:
        interface, _, method = word.rpartition(".")
    if not interface or not method or "/" in interface:
        raise WrongInput(f"{word!r} names no method; write INTERFACE/METHOD, {_SUCH_AS}")
    return interface, method


async def find_method(
    server: Server, interface: str, method: str, timeout: float | None
) -> tuple[Method, DescriptorPool]:
    """Ask a server for a method; the pool holds its messages.

    Raises:
        WrongInput: There is none. The message names what there is.

        HsuError: See `Server.names`.
    """
    pool = pool_of(await server.files([interface], timeout))
    with suppress(KeyError):
        return _method(pool.FindServiceByName(interface), method), pool
    names = await server.names(timeout)
    if interface in names:
        raise HsuError(f"{server} lists {interface}, and its reflection does not describe it")
    if f"{interface}.{method}" in names:
        # The last part of an interface's name was taken for a method.
        return await find_method(server, f"{interface}.{method}", "", timeout)
    offered = [name for name in names if not name.startswith(_EVERY_SERVER)]
    raise WrongInput(f"{server} has no interface {interface!r}{nearest(interface, offered)}")


def method_in(
    files: Mapping[str, FileDescriptorProto], interface: str, method: str
) -> tuple[Method, DescriptorPool]:
    """As `find_method`, from files."""
    pool = pool_of(files)
    names = [
        f"{file.package}.{service.name}".removeprefix(".")
        for file in files.values()
        for service in file.service
    ]
    if interface not in names:
        raise WrongInput(f"the files have no interface {interface!r}{nearest(interface, names)}")
    return _method(pool.FindServiceByName(interface), method), pool


def _method(service: ServiceDescriptor, name: str) -> Method:
    names = [method.name for method in service.methods]
    if name in names:
        return Method.of(service.methods_by_name[name])
    if not name:
        raise WrongInput(f"{service.full_name} is an interface; add one of {', '.join(names)}")
    raise WrongInput(f"{service.full_name} has no method {name!r}{nearest(name, names)}")
