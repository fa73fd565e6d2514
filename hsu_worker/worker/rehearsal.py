"""A start of a worker of nothing, so that the next one in this process finds everything in its place.

Most of a forked worker's start is the first use of things: pages that are shared until they are written,
grpc's own threads, code that has never run. What one start has gone through, the next has behind it.
"""

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from typing import Final

import grpc
from grpc.aio import init_grpc_aio
from grpc.aio import insecure_channel as aio_channel
from grpc.aio import server as aio_server

from hsu_worker.app import App
from hsu_worker.authoring.implements import implements
from hsu_worker.gen.hsu_core import (
    CoreClient,
    HandshakeRequest,
    KeepPlaceRequest,
    KeepPlaceResponse,
    RegisterRequest,
    RegisterResponse,
    Registry,
    StartRequest,
)
from hsu_worker.serving.logring import LogRing
from hsu_worker.serving.server import STOP_GRACE
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.metadata import bearer
from hsu_worker.worker.answering import answering

#: What keeps grpc's threads, which would end with the last channel or server, and be made again.
_HELD: Final[list[grpc.Channel]] = []
#: grpc would ask the proxy of the environment for an abstract address.
OPTIONS: Final = (("grpc.enable_http_proxy", 0),)


@implements(Registry)
class Nothing:
    """An interface that every worker knows, for calls to go to."""

    async def register(self, request: RegisterRequest) -> AsyncGenerator[RegisterResponse, None]:
        yield RegisterResponse()

    async def keep_place(self, request: KeepPlaceRequest) -> KeepPlaceResponse:
        return KeepPlaceResponse()


def rehearse() -> None:
    """Start, answer, and stop; grpc stays set up."""
    with _silence():
        init_grpc_aio()
        _HELD.append(grpc.insecure_channel("unix-abstract:hsu-nobody", OPTIONS))
        # It is not set: whoever imports an app would see that there was one.
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(_answer())
            loop.run_until_complete(_others_ended())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


async def _answer() -> None:
    token = secrets.token_hex()
    async with answering(App(Nothing()), instance="", token=token, ring=LogRing()) as worker:
        # What an app that was imported beforehand has put in their place counts no start of nobody.
        server = aio_server(handlers=(worker.dispatcher,))
        # Whatever becomes of this process, no file is left of it.
        target = f"unix-abstract:hsu-{os.urandom(16).hex()}"
        server.add_insecure_port(target)
        await server.start()
        try:
            async with aio_channel(target, options=OPTIONS) as channel:
                connection = Connection(channel, bearer(token))
                core = CoreClient(connection)
                await core.handshake(HandshakeRequest())
                async for _ in core.start(StartRequest()):
                    pass
                await Registry.client(connection).keep_place(KeepPlaceRequest())
        finally:
            await server.stop(STOP_GRACE)


async def _others_ended() -> None:
    """Wait for what grpc has left to do: a task that is thrown away says so when it is collected."""
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)


@contextmanager
def _silence() -> Generator[None, None, None]:
    """An app that was imported beforehand may have set up where records go."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)
