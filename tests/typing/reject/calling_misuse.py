import grpc.aio

from hsu_worker import App, blocking_client_of, client_of
from hsu_worker.gen.hsu_a import InterfaceA, InterfaceAClient, SummarizeRequest


class Server(grpc.aio.ServerInterceptor): ...


async def misuse(service: object) -> None:
    # error[mypy]: has incompatible type "type[InterfaceAClient]"
    # error[pyright]: Type "type[InterfaceAClient]" is not assignable to type "Interface
    client_of(InterfaceAClient)
    # error[mypy]: Incompatible types in "await"
    # error[pyright]: is not awaitable
    await blocking_client_of(InterfaceA).summarize(SummarizeRequest())
    # error[mypy]: has incompatible type "type[Server]"
    # error[pyright]: Type "type[Server]" is not assignable to type "ServerInterceptor"
    App(service, interceptors=[Server])
