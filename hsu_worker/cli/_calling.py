"""`hsu-worker call`, from the names on its command line to the last answer."""

import asyncio
import base64
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
from google.protobuf.descriptor_pool import DescriptorPool

from hsu_worker.cli import Failed, WrongInput, _stdin, said
from hsu_worker.cli._asking import plain
from hsu_worker.cli._caller import Caller
from hsu_worker.cli._failures import failure
from hsu_worker.cli._json_answers import Answers
from hsu_worker.cli._json_requests import read_request
from hsu_worker.cli._methods import find_method, method_in
from hsu_worker.cli._server import Server, reached
from hsu_worker.cli._starts import starts_shown
from hsu_worker.codegen.descriptors import read_protos
from hsu_worker.errors import Dispatch, RpcError, Unimplemented
from hsu_worker.interface import Method
from hsu_worker.master.router import CORE
from hsu_worker.wire.client import time_left
from hsu_worker.wire.metadata import STATUS_DETAILS, UNIT, Metadata

#: The document that stands for stdin.
_STDIN: Final = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call; its fields are the options of the command."""

    interface: str
    method: str
    documents: tuple[str, ...]
    unit: str
    metadata: Metadata
    timeout: float | None
    timed: bool
    verbose: bool
    defaults: bool
    protos: tuple[Path, ...]
    proto_path: tuple[Path, ...]

    async def make(self, address: str | None, where: str | None, token_file: Path | None) -> None:
        """Make the call, and print its answers.

        Raises:
            Failed: It failed; the message tells its status.

            WrongInput: There is no such method, or a request doesn't fit it.

            HsuError: There is no server, or it can't be asked.
        """
        loop = asyncio.get_running_loop()
        async with reached(address, where, token_file) as server:
            pool = DescriptorPool()
            began = loop.time()
            try:
                async with starts_shown(server):
                    method, pool = await self._find(server)
                found = loop.time() - began
                left = time_left(None if self.timeout is None else began + self.timeout)
                requests = await self._requests(method, pool)
                caller = Caller(server.connection)
                try:
                    await self._show(server, caller, method, requests, left, pool)
                finally:
                    if self.verbose:
                        _print_metadata("trailer", caller.trailers())
                    if self.timed:
                        click.echo(_timing(found, caller), err=True)
            except RpcError as error:
                if isinstance(error, Unimplemented) and error.dispatched is Dispatch.NO:
                    # The master has no such unit, or the unit no such interface.
                    raise WrongInput(said(error)) from None
                raise server.unreached(error) or Failed(failure(error, pool)) from None

    async def _find(self, server: Server) -> tuple[Method, DescriptorPool]:
        if self.protos:
            files, _ = read_protos(self.protos, proto_path=self.proto_path)
            return method_in(files, self.interface, self.method)
        if self.interface == CORE and not self.unit and not server.named:
            raise WrongInput(f"every unit has {CORE}; say which one with --unit")
        return await find_method(server, self.interface, self.method, self.timeout)

    async def _requests(self, method: Method, pool: DescriptorPool) -> Any:
        """One request, or as many as the method takes; those from stdin are read as they come."""
        documents = self.documents
        typed = not documents and _is_terminal(sys.stdin)
        from_stdin = documents == (_STDIN,) or (not documents and not typed)
        if not method.client_streaming:
            if from_stdin:
                documents = (await _stdin.text(),)
            elif len(documents) > 1:
                raise WrongInput(
                    f"{self.interface}/{method.name} takes one request, and here are "
                    f'{len(documents)}; is the JSON in quotes, as in \'{{"name": "value"}}\'?'
                )
            # An empty one is the request whose fields all have their defaults.
            return read_request("".join(documents).strip() or "{}", method.request, pool)
        if typed:
            click.echo("Type requests, each as JSON on one line; Ctrl-D ends them.", err=True)
        if typed or from_stdin:
            return _lines(method, pool)
        return [
            read_request(text, method.request, pool, name=f"request {number}")
            for number, text in enumerate(documents, start=1)
        ]

    async def _show(
        self,
        server: Server,
        caller: Caller,
        method: Method,
        requests: Any,
        timeout: float | None,
        pool: DescriptorPool,
    ) -> None:
        alone = not method.server_streaming and _is_terminal(sys.stdout)
        answers = Answers(pool, server, defaults=self.defaults, indent=2 if alone else None)
        metadata = (*self.metadata, *([(UNIT, self.unit)] if self.unit else []))
        if self.verbose:
            click.echo(f"{method.path.removeprefix('/')} ({method.kind}) at {server}", err=True)
            _print_metadata("sent", metadata)
        stream = caller.answers(method, requests, timeout=timeout, metadata=metadata)
        async with starts_shown(server) as end_of_starts, aclosing(stream):
            async for answer in stream:
                if caller.count == 1:
                    await end_of_starts()
                    if self.verbose:
                        _print_metadata("received", await caller.initial_metadata())
                click.echo(await answers.text(answer))


def _is_terminal(stream: Any) -> bool:
    # None: the descriptor is closed.
    return stream is not None and stream.isatty()


async def _lines(method: Method, pool: DescriptorPool) -> AsyncGenerator[Any, None]:
    async with aclosing(_stdin.lines()) as lines:
        async for number, line in lines:
            yield read_request(line, method.request, pool, name=f"line {number}")


def _print_metadata(what: str, metadata: Metadata) -> None:
    for name, value in metadata:
        if name == STATUS_DETAILS:
            continue  # the lines of the error say what is in it
        shown = base64.b64encode(value).decode() if isinstance(value, bytes) else plain(value)
        click.echo(f"{what}: {name}={shown}", err=True)


def _timing(found: float, caller: Caller) -> str:
    parts = [f"found in {found:.3f} s"]
    if caller.first is not None and caller.count > 1:
        parts.append(f"first answer after {caller.first:.3f} s")
    answers = "1 answer" if caller.count == 1 else f"{caller.count} answers"
    return ", ".join([*parts, f"{answers} in {caller.seconds:.3f} s"])
