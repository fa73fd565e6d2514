"""`hsu-worker health`, with the exit codes of grpc_health_probe."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from tests.cli.answering import Answering, answering
from tests.cli.inside import run
from tests.worker.process import environment

KINDS = "hsu.test.v1.Kinds"


@pytest.fixture(scope="module")
def there() -> Iterator[Answering]:
    with answering() as it:
        yield it


@contextmanager
def server(folder: Path, **methods: Any) -> Iterator[str]:
    """A server with some methods of grpc.health.v1.Health; gives its address."""
    handlers: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(
            method,
            request_deserializer=health_pb2.HealthCheckRequest.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
        for name, method in methods.items()
    }
    served = grpc.server(ThreadPoolExecutor(1))
    generic = grpc.method_handlers_generic_handler("grpc.health.v1.Health", handlers)
    served.add_generic_rpc_handlers([generic])
    address = f"unix:{folder}/s"
    served.add_insecure_port(address)
    served.start()
    try:
        yield address
    finally:
        served.stop(None).wait()


def test_what_serves_is_told_in_one_line(there: Answering) -> None:
    done = run("health", there.worker)
    assert (0, f"{there.worker} is SERVING\n", "") == (done.exit_code, done.stdout, done.stderr)
    named = run("health", there.worker, KINDS)
    assert (0, f"{KINDS} at {there.worker} is SERVING\n") == (named.exit_code, named.stdout)
    assert {
        "address": there.worker,
        "name": "live",
        "status": "SERVING",
    } == run("health", there.worker, "live", "--json").json


def test_without_an_address_the_running_master_is_asked(there: Answering) -> None:
    assert f"{there.master} is SERVING\n" == run("health").stdout
    assert 0 == run("stop", "u", "--hold").exit_code
    held = run("health", KINDS)
    assert (4, f"{KINDS} at {there.master} is NOT_SERVING\n") == (held.exit_code, held.stdout)
    assert 0 == run("start", "u").exit_code


@pytest.mark.parametrize("status", ["UNKNOWN", "SERVICE_UNKNOWN", "NOT_SERVING"])
def test_what_is_something_else_than_serving_is_4(tmp_path: Path, status: str) -> None:
    def check(_request: Any, _context: Any) -> Any:
        return health_pb2.HealthCheckResponse(status=status)

    with server(tmp_path, Check=check) as address:
        done = run("health", address)
    assert (4, f"{address} is {status}\n", "") == (done.exit_code, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--timeout", "x"), "Invalid value for '--timeout': 'x' is no time in seconds, such as 5 or 0.5"),
        (("unix:/s", "--master", "x"), "ADDRESS and --master exclude each other"),
        (("a", "b"), "one NAME is enough; here are a, b"),
        (("tcp:127.0.0.1:0",), "address 'tcp:127.0.0.1:0': port 0 can't be dialled; write the worker's port"),
        (("unix:s",), "address 'unix:s': the path is not absolute; write unix:<absolute path> or tcp:<host>:<port>, such as tcp:127.0.0.1:0"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_1(arguments: tuple[str, ...], message: str) -> None:
    assert message == run("health", *arguments).error(1)


def test_a_wrong_option_is_1() -> None:
    assert "--nosuch" in run("health", "--nosuch").error(1)


def test_no_connection_is_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = run("health", f"unix:{tmp_path}/s").error(2)
    assert f"nothing answers at unix:{tmp_path}/s: No such file or directory" == refused
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert run("health").error(2).startswith(f"no master of this user runs in {tmp_path} or ")


def test_a_listener_that_says_nothing_is_2(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/s")
        silent.listen()
        for more in ((), ("--watch",)):
            refused = run("health", f"unix:{tmp_path}/s", "--timeout", "0.2", *more).error(2)
            assert f"unix:{tmp_path}/s can't be reached within 0.2 s" == refused


def test_a_call_that_fails_or_is_late_is_3(tmp_path: Path, there: Answering) -> None:
    unknown = run("health", there.worker, "a.B").error(3)
    assert f"{there.worker}: NOT_FOUND: a.B is not served here" == unknown
    with server(tmp_path) as address:
        assert f"{address} has no grpc.health.v1.Health" == run("health", address).error(3)

    def late(_request: Any, context: Any) -> Any:
        over = context.time_remaining()
        assert over is not None
        while context.is_active():
            pass
        return health_pb2.HealthCheckResponse()

    with server(tmp_path, Check=late) as address:
        refused = run("health", address, "--timeout", "0.2").error(3)
    assert f"{address} has not answered within 0.2 s" == refused


def watching(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "hsu_worker", "health", *arguments, "--watch"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def test_changes_are_watched_until_ctrl_c(there: Answering) -> None:
    process = watching(there.master, KINDS, "--json")
    assert process.stdout is not None
    told = [json.loads(process.stdout.readline())["status"]]
    for command in (("stop", "u", "--hold"), ("start", "u"), ("stop", "u", "--hold")):
        assert 0 == run(*command).exit_code
        told.append(json.loads(process.stdout.readline())["status"])
    process.send_signal(signal.SIGINT)
    assert ("", "") == process.communicate(timeout=20)
    assert ["SERVING", "NOT_SERVING", "SERVING", "NOT_SERVING"] == told
    # It is about the last answer.
    assert 4 == process.returncode
    assert 0 == run("start", "u").exit_code


def test_a_watch_ends_with_its_server() -> None:
    with answering() as it:
        watched = watching(it.worker)
        assert watched.stdout is not None
        assert f"{it.worker} is SERVING\n" == watched.stdout.readline()
    out, errors = watched.communicate(timeout=20)
    assert (4, f"{it.worker} is NOT_SERVING\n", "") == (watched.returncode, out, errors)
