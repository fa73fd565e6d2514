import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc.aio
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from hsu_worker import RpcError, Unauthenticated, Unavailable
from hsu_worker.errors import Dispatch
from hsu_worker.gen.hsu_core import (
    STATE_RUNNING,
    STATE_STOPPED,
    Core,
    GetStatusRequest,
    HandshakeRequest,
    ShutdownRequest,
    StartRequest,
    StopRequest,
    StreamLogsRequest,
)
from hsu_worker.interface import AnyInterface
from hsu_worker.wire.announce import Announcement
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.serving.served import raw
from tests.until import until
from tests.worker.process import INSTANCE, TOKEN, Worker, environment, launched, write_service


@pytest.mark.parametrize("listen", ["", "tcp:127.0.0.1:0"])
async def test_it_announces_itself_when_it_answers(tmp_path: Path, listen: str) -> None:
    async with launched(tmp_path, write_service(tmp_path), listen=listen) as worker:
        line = await worker.announced()
        announcement = Announcement.parse(line, instance=INSTANCE, asked=worker.asked)
        worker.address = announcement.address
        answer = await Core.client(worker.open(TOKEN)).handshake(HandshakeRequest())

    assert answer.instance == INSTANCE
    assert (answer.name, answer.pid, answer.language) == (
        "Service",
        worker.process.pid,
        "python",
    )
    assert [interface.name for interface in answer.interfaces] == ["hsu.test.v1.Kinds"]
    assert answer.interfaces[0].fingerprint == Kinds.fingerprint
    assert [m.name for m in answer.interfaces[0].methods] == [
        "Unary",
        "ClientStream",
        "ServerStream",
        "Bidi",
    ]
    assert answer.limits.message_bytes == 4 << 20
    assert answer.state == STATE_STOPPED


async def test_without_a_descriptor_it_announces_itself_on_stdout(tmp_path: Path) -> None:
    target = write_service(tmp_path, before="print('HSU is imported')")
    async with launched(tmp_path, target, HSU_ANNOUNCE_FD="") as worker:
        assert worker.process.stdout
        lines = [await worker.process.stdout.readline() for _ in range(2)]

    assert lines[0] == b"HSU is imported\n"
    announcement = Announcement.parse(lines[1], instance=INSTANCE, asked=worker.asked)
    assert announcement.address == worker.asked


async def test_a_whole_life(tmp_path: Path) -> None:
    target = write_service(
        tmp_path,
        "@lifespan\n"
        "def one(self):\n"
        "    Path('one').write_text('entered')\n"
        "    yield\n"
        "    Path('one').write_text('left')",
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        answer = await worker.kinds.unary(Ask(text="hello"))
        status = await worker.core.get_status(GetStatusRequest())
        reply = await worker.core.shutdown(ShutdownRequest())
        code = await worker.exit_code()

    assert answer.text == "hello"
    assert (status.state, status.calls_total, status.calls_in_flight) == (STATE_RUNNING, 1, 0)
    assert status.resident_bytes > 1 << 20
    assert reply.grace.ToTimedelta().total_seconds() == 30
    assert code == 0
    assert (tmp_path / "one").read_text() == "left"
    assert not (tmp_path / "worker.sock").exists()


async def test_the_variables_are_gone_before_the_users_code_is_imported(tmp_path: Path) -> None:
    before = (
        "import json, subprocess\n"
        "names = [n for n in os.environ if n.startswith('HSU')]\n"
        "child = subprocess.run(['env'], capture_output=True, text=True).stdout\n"
        "open('seen.json', 'w').write(json.dumps([names, 'HSU' in child,"
        " Path('/proc/self/cmdline').read_text(), os.read(0, 1).decode()]))"
    )
    async with launched(tmp_path, write_service(tmp_path, before=before)) as worker:
        await worker.start()
        names, in_child, command, stdin = json.loads((tmp_path / "seen.json").read_text())

    assert (names, in_child, stdin) == ([], False, "")
    assert TOKEN not in command


async def test_a_child_of_the_worker_does_not_hold_the_announce_descriptor(
    tmp_path: Path,
) -> None:
    before = (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '60'], close_fds=False)\n"
        "open('pid', 'w').write(str(child.pid))\n"
    )
    async with launched(tmp_path, write_service(tmp_path, before=before)) as worker:
        try:
            # Comes to an end although the child lives.
            assert await asyncio.wait_for(worker.announced(), 20)
        finally:
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
INTERFACES: list[AnyInterface] = [Core, Kinds]


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_no_method_but_health_answers_without_the_token(tmp_path: Path, token: str) -> None:
    async with launched(tmp_path, write_service(tmp_path)) as worker:
        await worker.connect()
        connection = worker.open(token)
        refused = []
        for interface in INTERFACES:
            for method in interface.methods.values():
                # The request and its end are sent in one piece, whatever the kind.
                call = raw(connection, "unary_stream", method.path)
                refused.append(await call(b"", metadata=connection.metadata).code())
        health = await raw(connection, "unary_unary", "/grpc.health.v1.Health/Check")(b"\n\x04live")
        reflect = raw(connection, "unary_stream", REFLECTION)(b"", metadata=connection.metadata)
        refused.append(await reflect.code())
        status = await worker.core.get_status(GetStatusRequest())

    assert set(refused) == {grpc.StatusCode.UNAUTHENTICATED}
    assert len(refused) == 12
    assert health == b"\x08\x01"
    assert status.state == STATE_STOPPED


async def test_an_unclaimed_worker_does_not_count_a_handshake_without_the_token(
    tmp_path: Path,
) -> None:
    async with launched(tmp_path, write_service(tmp_path)) as worker:
        await worker.connect()
        with pytest.raises(Unauthenticated):
            await Core.client(worker.open("wrong")).handshake(HandshakeRequest())


async def test_sigterm_lets_running_calls_finish_and_refuses_new_ones(tmp_path: Path) -> None:
    target = write_service(
        tmp_path,
        "async def unary(self, request):\n"
        "    while not Path('go').exists():\n"
        "        await asyncio.sleep(0.01)\n"
        "    return Answer(text='finished')\n"
        "async def server_stream(self, request):\n"
        "    yield Answer(text='first')\n"
        "    while not Path('go').exists():\n"
        "        await asyncio.sleep(0.01)\n"
        "    yield Answer(text='last')\n",
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        busy = asyncio.create_task(worker.kinds.unary(Ask()))
        stream = worker.kinds.server_stream(Ask())
        first = await anext(stream)
        await worker.in_flight(2)

        worker.process.send_signal(signal.SIGTERM)
        refused = await _refused(worker)
        (tmp_path / "go").touch()
        texts = [first.text, (await busy).text, *[answer.text async for answer in stream]]
        code = await worker.exit_code()

    assert refused.dispatched is Dispatch.NO
    assert refused.message == "the worker is DRAINING, and answers calls in RUNNING only"
    assert isinstance(refused.details[0], ErrorInfo)
    assert (refused.details[0].reason, refused.details[0].domain) == ("DRAINING", "hsu")
    assert texts == ["first", "finished", "last"]
    assert code == 0


async def _refused(worker: Worker) -> RpcError:
    """The answer to a new call once the worker has begun to leave."""
    async with asyncio.timeout(20):
        while True:
            try:
                await worker.kinds.client_stream([])
            except Unavailable as error:
                return error


async def test_calls_longer_than_the_grace_are_named_and_cut_off(tmp_path: Path) -> None:
    target = write_service(
        tmp_path,
        "async def unary(self, request):\n"
        "    try:\n"
        "        await asyncio.sleep(60)\n"
        "    finally:\n"
        "        Path('unwound').touch()\n"
        "    return Answer()\n",
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        messages: list[str] = []

        async def follow() -> None:
            async for response in worker.core.stream_logs(StreamLogsRequest(follow=True)):
                messages.extend(record.message for record in response.records)

        follower = asyncio.create_task(follow())
        busy = asyncio.create_task(worker.kinds.unary(Ask()))
        await worker.in_flight(1)
        request = ShutdownRequest()
        request.grace.FromMilliseconds(200)
        reply = await worker.core.shutdown(request)
        with pytest.raises(Unavailable) as raised:
            await busy
        await follower
        code = await worker.exit_code()

    assert reply.grace.ToTimedelta().total_seconds() == 0.2
    assert raised.value.message == (
        "the worker is leaving, and the call took longer than its grace"
    )
    assert raised.value.dispatched is Dispatch.YES
    assert code == 0
    assert (tmp_path / "unwound").exists()
    call = r"hsu\.test\.v1\.Kinds/Unary \(call [0-9a-f]{16}, \d+\.\d s\)"
    told = [message for message in messages if "Kinds/Unary" in message]
    assert 2 == len(told)
    assert re.fullmatch(rf"waiting for calls, for 0\.\d s at the most: {call}", told[0])
    assert re.fullmatch(rf"cut off, because they took longer than the grace: {call}", told[1])


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    # The loop itself is blocked: only a plain signal handler runs.
    target = write_service(
        tmp_path,
        "async def unary(self, request):\n"
        "    Path('entered').touch()\n"
        "    deadline = time.monotonic() + 60\n"
        "    while time.monotonic() < deadline: pass\n",
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        busy = asyncio.create_task(worker.kinds.unary(Ask()))
        await until(lambda: (tmp_path / "entered").exists())
        worker.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        assert worker.process.returncode is None
        worker.process.send_signal(signal.SIGINT)
        code = await worker.exit_code()
        with pytest.raises(Unavailable) as raised:
            await busy

    assert code == 128 + signal.SIGINT
    assert raised.value.dispatched is Dispatch.UNKNOWN


async def test_the_end_of_the_lifeline_ends_it(tmp_path: Path) -> None:
    target = write_service(
        tmp_path, "@lifespan\ndef one(self):\n    yield\n    Path('left').touch()\n"
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        worker.end_lifeline()
        code = await worker.exit_code()

    assert code == 0
    assert (tmp_path / "left").exists()


async def test_the_end_of_the_lifeline_gives_running_calls_two_seconds(tmp_path: Path) -> None:
    target = write_service(
        tmp_path,
        "async def unary(self, request):\n"
        "    await asyncio.sleep(0.5)\n"
        "    Path('finished').touch()\n"
        "    return Answer()\n"
        "async def client_stream(self, requests):\n"
        "    await asyncio.sleep(60)\n",
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        calls = [
            asyncio.create_task(worker.kinds.unary(Ask())),
            asyncio.create_task(worker.kinds.client_stream([])),
        ]
        await worker.in_flight(2)
        worker.end_lifeline()
        await asyncio.wait(calls)
        with pytest.raises(Unavailable):
            await calls[1]
        code = await worker.exit_code()

    assert (tmp_path / "finished").exists()
    assert code == 0


async def test_the_end_of_the_lifeline_while_importing_ends_it_at_once(tmp_path: Path) -> None:
    before = (
        "Path('importing').touch()\n"
        "deadline = time.monotonic() + 60\n"
        "while time.monotonic() < deadline: sum(range(1000))\n"
    )
    async with launched(tmp_path, write_service(tmp_path, before=before)) as worker:
        await until(lambda: (tmp_path / "importing").exists())
        worker.end_lifeline()
        began = time.monotonic()
        code = await worker.exit_code()

    # Measured: 10 ms.
    assert time.monotonic() - began < 1
    assert code == 0


async def test_the_end_of_the_lifeline_ends_a_worker_whose_loop_is_blocked(
    tmp_path: Path,
) -> None:
    target = write_service(
        tmp_path,
        "async def unary(self, request):\n"
        "    Path('entered').touch()\n"
        "    deadline = time.monotonic() + 60\n"
        "    while time.monotonic() < deadline: pass\n",
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        busy = asyncio.create_task(worker.kinds.unary(Ask()))
        await until(lambda: (tmp_path / "entered").exists())
        worker.end_lifeline()
        code = await worker.exit_code()
        with pytest.raises(Unavailable):
            await busy

    assert code == 1


async def test_without_a_lifeline_stdin_is_left_alone(tmp_path: Path) -> None:
    async with launched(tmp_path, write_service(tmp_path), HSU_LIFELINE="none") as worker:
        await worker.start()
        worker.end_lifeline()
        answer = await worker.kinds.unary(Ask(text="still here"))

    assert answer.text == "still here"


async def test_stop_leaves_the_lifespans_and_start_enters_them_again(tmp_path: Path) -> None:
    target = write_service(
        tmp_path,
        "@lifespan\n"
        "def one(self):\n"
        "    open('log', 'a').write('+')\n"
        "    yield\n"
        "    open('log', 'a').write('-')",
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        stopped = await worker.core.stop(StopRequest())
        with pytest.raises(Unavailable) as raised:
            await worker.kinds.unary(Ask())
        [_ async for _ in worker.core.start(StartRequest())]
        answer = await worker.kinds.unary(Ask(text="again"))

    assert stopped.state == STATE_STOPPED
    assert raised.value.dispatched is Dispatch.NO
    assert answer.text == "again"
    assert (tmp_path / "log").read_text() == "+-+"


async def test_stdout_and_stderr_are_the_masters_pipes(tmp_path: Path) -> None:
    target = write_service(
        tmp_path,
        "async def unary(self, request):\n"
        "    print('out')\n"
        "    print('err', file=sys.stderr)\n"
        "    import logging\n"
        "    logging.getLogger('mine').info('record')\n"
        "    raise ValueError('boom')\n",
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        with pytest.raises(RpcError) as raised:
            await worker.kinds.unary(Ask())
        records = [
            record
            async for response in worker.core.stream_logs(StreamLogsRequest())
            for record in response.records
        ]
        await worker.core.shutdown(ShutdownRequest())
        out, errors = await worker.output(), await worker.errors()

    assert out == "out\n"
    assert "err\n" in errors
    assert "record" not in errors
    # Tracebacks of failures go both ways: the process may end before anybody reads the ring.
    assert "ValueError: boom" in errors
    by_logger = {record.logger: record for record in records}
    assert by_logger["mine"].message == "record"
    assert by_logger["hsu_worker.serving.failures"].exception.endswith("ValueError: boom")
    assert "ValueError" not in str(raised.value)
    assert not {"stdout", "stderr"} & set(by_logger)


async def test_whoever_follows_the_log_reads_the_last_record_of_a_shutdown(
    tmp_path: Path,
) -> None:
    target = write_service(
        tmp_path,
        "@lifespan\n"
        "def one(self):\n"
        "    yield\n"
        "    import logging\n"
        "    logging.getLogger('mine').info('released')\n",
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        messages: list[str] = []

        async def follow() -> None:
            async for response in worker.core.stream_logs(StreamLogsRequest(follow=True)):
                messages.extend(record.message for record in response.records)

        follower = asyncio.create_task(follow())
        worker.process.send_signal(signal.SIGTERM)
        await follower
        code = await worker.exit_code()

    assert messages[-2:] == ["released", "left"]
    assert "leaving: SIGTERM" in messages
    assert code == 0


async def test_open_watches_and_log_streams_do_not_hold_a_shutdown_up(tmp_path: Path) -> None:
    async with launched(tmp_path, write_service(tmp_path)) as worker:
        await worker.start()
        watch = raw(worker.connection, "unary_stream", "/grpc.health.v1.Health/Watch")(b"")
        await watch.read()
        logs = worker.core.stream_logs(StreamLogsRequest(follow=True))
        await anext(logs)
        reflect = raw(worker.connection, "stream_stream", REFLECTION)(
            metadata=worker.connection.metadata
        )
        await reflect.write(b":\x00")
        await reflect.read()
        began = time.monotonic()
        worker.process.send_signal(signal.SIGTERM)
        code = await worker.exit_code()
        took = time.monotonic() - began
        errors = await worker.errors()
        await logs.aclose()

    # 20 ms were measured; one that waits for them takes its grace of 30 s.
    assert took < 5
    assert code == 0
    assert errors == ""


async def test_atexit_functions_run_and_output_is_flushed(tmp_path: Path) -> None:
    before = (
        "import atexit\n"
        "atexit.register(lambda: Path('atexit').touch())\n"
        "sys.stdout.write('no line end')"
    )
    async with launched(tmp_path, write_service(tmp_path, before=before)) as worker:
        await worker.start()
        await worker.core.shutdown(ShutdownRequest())
        out = await worker.output()
        code = await worker.exit_code()

    assert (out, code) == ("no line end", 0)
    assert (tmp_path / "atexit").exists()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"HSU_LISTEN": "nowhere"}, "HSU_LISTEN: address 'nowhere': neither a Unix path nor TCP"),
        ({"HSU_LISTEN": "unix:/no/such/folder/s"}, "the folder /no/such/folder does not exist"),
    ],
)
async def test_what_cannot_be_served_exits_with_3_and_a_sentence(
    tmp_path: Path, variables: dict[str, str], message: str
) -> None:
    async with launched(tmp_path, write_service(tmp_path), **variables) as worker:
        code = await worker.exit_code()
        errors = await worker.errors()

    assert code == 3
    assert message in errors
    assert "Traceback" not in errors


def test_a_descriptor_that_is_not_open_is_named(tmp_path: Path) -> None:
    variables = {
        "HSU_INSTANCE": INSTANCE,
        "HSU_LISTEN": f"unix:{tmp_path}/s",
        "HSU_TOKEN": TOKEN,
        "HSU_ANNOUNCE_FD": "77",
    }
    command = [sys.executable, "-m", "hsu_worker.worker", write_service(tmp_path)]
    no_announce = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(**variables, HSU_LIFELINE="none"),
        capture_output=True,
        text=True,
        check=False,
    )
    no_lifeline = subprocess.run(
        ["bash", "-c", 'exec "$@" <&-', "bash", *command],
        cwd=tmp_path,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (no_announce.returncode, no_lifeline.returncode) == (3, 3)
    assert no_announce.stderr == "HSU_ANNOUNCE_FD=77: no such descriptor is open\n"
    assert no_lifeline.stderr == (
        "HSU_LIFELINE=stdin, and descriptor 0 is closed; "
        "give the worker a pipe, or HSU_LIFELINE=none\n"
    )


def test_not_launched_the_module_says_which_command_to_use(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hsu_worker.worker", write_service(tmp_path)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3
    assert done.stderr == (
        "HSU_INSTANCE is not set: only a master launches workers this way; "
        "write hsu-worker serve <module>:<attribute>\n"
    )


def contents(folder: Path) -> list[str]:
    return [path.read_bytes().decode() for path in folder.iterdir() if path.is_file()]


async def test_the_token_appears_nowhere(tmp_path: Path) -> None:
    target = write_service(tmp_path, "async def unary(self, request):\n    raise ValueError\n")
    async with launched(tmp_path, target) as worker:
        await worker.start()
        errors = []
        for connection in (worker.connection, worker.open("wrong")):
            with pytest.raises(RpcError) as raised:
                await Kinds.client(connection).unary(Ask())
            errors.append(repr(raised.value))
        logs = [str(r) async for r in worker.core.stream_logs(StreamLogsRequest())]
        command = await asyncio.to_thread(Path(f"/proc/{worker.process.pid}/cmdline").read_text)
        worker.process.send_signal(signal.SIGTERM)
        out, problem = await worker.process.communicate()

    told = "".join(
        [
            *errors,
            *logs,
            command,
            out.decode(),
            problem.decode(),
            *contents(tmp_path),
            repr(worker.connection),
        ]
    )
    assert "ValueError" in told
    assert TOKEN not in told
    assert "the-masters-token" not in told


async def test_a_module_that_does_not_exist_is_named(tmp_path: Path) -> None:
    async with launched(tmp_path, "nosuch:app") as worker:
        code = await worker.exit_code()
        errors = await worker.errors()

    assert code == 3
    assert errors == (
        "'nosuch:app': there is no module 'nosuch'; "
        "set `cwd` in hsu.toml to the folder that holds it, or install it\n"
    )


async def test_a_line_that_was_printed_is_not_lost_when_the_process_ends_at_once(
    tmp_path: Path,
) -> None:
    target = write_service(
        tmp_path, "async def unary(self, request):\n    print('last words')\n    os._exit(7)"
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        with pytest.raises(Unavailable):
            await worker.kinds.unary(Ask())
        assert 7 == await worker.exit_code()
        assert "last words\n" == await worker.output()


async def test_an_error_in_the_users_module_keeps_its_own_traceback(tmp_path: Path) -> None:
    target = write_service(tmp_path, before="import no_such_package")
    async with launched(tmp_path, target) as worker:
        code = await worker.exit_code()
        errors = await worker.errors()

    assert code == 3
    assert errors == (
        "Traceback (most recent call last):\n"
        f'  File "{tmp_path}/mysvc.py", line 7, in <module>\n'
        "    import no_such_package\n"
        "ModuleNotFoundError: No module named 'no_such_package'\n"
        "'mysvc:Service' could not be loaded\n"
    )


async def test_a_crash_in_native_code_leaves_a_traceback(tmp_path: Path) -> None:
    target = write_service(
        tmp_path,
        "async def unary(self, request):\n    import faulthandler; faulthandler._sigsegv()",
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        with pytest.raises(Unavailable):
            await worker.kinds.unary(Ask())
        code = await worker.exit_code()
        errors = await worker.errors()

    assert code == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in errors
    assert "in unary" in errors
