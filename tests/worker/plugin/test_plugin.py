"""A worker as a plugin, driven as a host of go-plugin drives one."""

import asyncio
import base64
import json
import os
import signal
import ssl
import stat
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from hsu_worker.errors import Unavailable
from hsu_worker.gen.hsu_core import STATE_RUNNING, PingRequest
from hsu_worker.gen.plugin.grpc_stdio import StdioData
from tests.gen.hsu_test_kinds import Ask
from tests.sequences import assert_same
from tests.worker.plugin.host import PATIENCE, Certificate, client_context, hosted, refused
from tests.worker.process import write_service


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate.make(tmp_path / "host.pem")


async def output(stream: "object", channel: "StdioData.Channel", end: str) -> str:
    """What comes on a channel, up to a text."""
    text = ""
    async for piece in stream:  # type: ignore[attr-defined]
        if piece.channel == channel:
            text += piece.data.decode()
        if end in text:
            break
    return text


async def test_a_host_finds_it_calls_it_and_ends_it(tmp_path: Path) -> None:
    async with hosted(tmp_path, write_service(tmp_path)) as plugin:
        assert f"1|12|unix|{plugin.path}|grpc|" == plugin.line
        assert "hello" == (await plugin.kinds.unary(Ask(text="hello"))).text
        assert STATE_RUNNING == (await plugin.core.ping(PingRequest())).state
        check = plugin.connection.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        answer = await check(HealthCheckRequest(service="plugin"))
        assert HealthCheckResponse.SERVING == answer.status
        assert 0 == await plugin.shutdown()
        assert not Path(plugin.path).parent.exists()
    assert b"" == plugin.errors
    assert ["leaving: GRPCController.Shutdown", "left"] == [
        record["@message"] for record in plugin.log
    ][-2:]


async def test_a_factory_in_another_folder_makes_what_it_serves(tmp_path: Path) -> None:
    module = write_service(tmp_path).partition(":")[0]
    with (tmp_path / f"{module}.py").open("a") as file:
        file.write("\ndef make_it():\n    return Service()\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    arguments = (f"{module}:make_it", "--factory", "--app-dir", str(tmp_path))
    async with hosted(elsewhere, *arguments) as plugin:
        assert "hello" == (await plugin.kinds.unary(Ask(text="hello"))).text
        assert 0 == await plugin.shutdown()


async def test_the_broker_is_not_offered(tmp_path: Path) -> None:
    async with hosted(tmp_path, write_service(tmp_path), PLUGIN_MULTIPLEX_GRPC="true") as plugin:
        assert plugin.line.endswith("|grpc||false")
        broker: Any = plugin.connection.channel.stream_stream("/plugin.GRPCBroker/StartStream")
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            [answer async for answer in broker(iter(()))]
        assert grpc.StatusCode.UNIMPLEMENTED == refusal.value.code()


async def heard(path: str, context: ssl.SSLContext | None) -> bytes:
    """What a server says by itself: gRPC's sends its settings at once."""
    name = None if context is None else "localhost"
    reader, writer = await asyncio.open_unix_connection(path, ssl=context, server_hostname=name)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read(100)
    except OSError:
        # In TLS 1.3 a client learns from the first answer only what the server thinks of it.
        return b""
    finally:
        writer.close()


def _announced(certificate: Certificate) -> str:
    der = ssl.PEM_cert_to_DER_cert(certificate.pem)
    return base64.b64encode(der).decode()


async def test_with_tls_both_sides_prove_who_they_are(
    tmp_path: Path, certificate: Certificate
) -> None:
    async with hosted(tmp_path, write_service(tmp_path), certificate=certificate) as plugin:
        assert "hello" == (await plugin.kinds.unary(Ask(text="hello"))).text
        numbers = [a.number async for a in plugin.kinds.server_stream(Ask(number=1_000))]
        assert_same(range(1_000), numbers)

        stranger = Certificate.make(tmp_path / "stranger.pem")
        announced = plugin.line.split("|")[5]
        for other in (None, stranger):
            assert b"" == await heard(plugin.path, client_context(announced, other))
        assert b"" != await heard(plugin.path, client_context(announced, certificate))
        # Who has launched another plugin takes this one for no plugin of theirs.
        with pytest.raises(ssl.SSLCertVerificationError):
            await heard(plugin.path, client_context(_announced(stranger), certificate))
        # A TLS alert at the most, and no gRPC.
        assert (await heard(plugin.path, None))[:1] in (b"", b"\x15")
        assert "again" == (await plugin.kinds.unary(Ask(text="again"))).text
        assert 0 == await plugin.shutdown()
        with pytest.raises(FileNotFoundError):
            os.stat(plugin.path)


BODY = """
async def unary(self, request):
    print(request.text)
    print("oh", file=sys.stderr)
    return Answer()
async def server_stream(self, request):
    print("x" * request.number)
    yield Answer()
"""


async def test_what_it_prints_is_streamed_to_the_host(tmp_path: Path) -> None:
    before = "print('imported'); os.write(1, b'from below\\n')"
    async with hosted(tmp_path, write_service(tmp_path, BODY, before=before)) as plugin:
        stdio = plugin.stdio.stream_stdio(Empty())
        await plugin.kinds.unary(Ask(text="in a call"))
        channel = StdioData.Channel
        assert "imported\nin a call\n" == await output(stdio, channel.STDOUT, "in a call\n")
        assert "oh\n" == await output(stdio, channel.STDERR, "oh\n")
        assert 0 == await plugin.shutdown()
        # Below Python nothing may come before the handshake line, or get lost after it.
        assert b"from below\n" == plugin.errors


async def test_output_that_nobody_reads_holds_nothing_up(tmp_path: Path) -> None:
    async with hosted(tmp_path, write_service(tmp_path, BODY)) as plugin:
        for _ in range(3):
            assert [a async for a in plugin.kinds.server_stream(Ask(number=1_000_000))]
        text = ""
        async for piece in plugin.stdio.stream_stdio(Empty()):
            text += piece.data.decode()
            if "lost" in text:
                break
        assert "\n[19" in text
        assert text.endswith(" bytes of output were lost]\n")


async def test_log_records_are_lines_of_json(tmp_path: Path) -> None:
    body = (
        "async def unary(self, request):\n"
        "    import logging\n"
        "    log = logging.getLogger('mine')\n"
        "    log.warning('odd %s', 1, extra={'a': 2})\n"
        "    raise ValueError('x')"
    )
    async with hosted(tmp_path, write_service(tmp_path, body)) as plugin:
        with pytest.raises(Exception, match="internal error"):
            await plugin.kinds.unary(Ask())
        await plugin.shutdown()
    [odd] = [record for record in plugin.log if record["@module"] == "mine"]
    assert ("warn", "odd 1", "2") == (odd["@level"], odd["@message"], odd["a"])
    [internal] = [record for record in plugin.log if record["@level"] == "error"]
    assert "ValueError: x" in internal["exception"]
    assert b"" == plugin.errors


async def test_calls_that_run_do_not_keep_it(tmp_path: Path) -> None:
    body = (
        "async def unary(self, request):\n    Path('begun').touch()\n    await asyncio.sleep(1000)"
    )
    async with hosted(tmp_path, write_service(tmp_path, body)) as plugin:
        call = asyncio.ensure_future(plugin.kinds.unary(Ask()))
        while (await plugin.core.ping(PingRequest())).calls_in_flight == 0:
            pass
        assert 0 == await plugin.shutdown()
        with pytest.raises(Unavailable):
            await call


async def test_it_leaves_when_its_host_is_gone(tmp_path: Path) -> None:
    async with hosted(tmp_path, write_service(tmp_path)) as plugin:
        await plugin.kinds.unary(Ask())
        transport = plugin.process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]
        transport.close()
        assert 0 == await plugin.exit_code()
        assert "leaving: the host is gone" in [record["@message"] for record in plugin.log]


async def test_ctrl_c_is_for_the_host_and_sigterm_for_the_plugin(tmp_path: Path) -> None:
    async with hosted(tmp_path, write_service(tmp_path)) as plugin:
        plugin.process.send_signal(signal.SIGINT)
        assert "hello" == (await plugin.kinds.unary(Ask(text="hello"))).text
        plugin.process.send_signal(signal.SIGTERM)
        assert 0 == await plugin.exit_code()


async def test_the_variables_are_gone_before_the_users_code_is_imported(
    tmp_path: Path, certificate: Certificate
) -> None:
    before = (
        "import json, subprocess\n"
        "child = subprocess.run(['env'], capture_output=True, text=True).stdout\n"
        "mine = [n for n in os.environ if n.startswith('PLUGIN')]\n"
        "Path('seen.json').write_text(json.dumps([mine, 'PLUGIN' in child]))"
    )
    target = write_service(tmp_path, before=before)
    async with hosted(tmp_path, target, certificate=certificate):
        assert [[], False] == json.loads((tmp_path / "seen.json").read_text())


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize(("group", "mode"), [("", 0o600), (str(os.getgid()), 0o660)])
async def test_the_socket_is_where_the_host_wants_it_and_for_whom(
    tmp_path: Path, certificate: Certificate, encrypted: bool, group: str, mode: int
) -> None:
    folder = tmp_path / "sockets"
    folder.mkdir()
    async with hosted(
        tmp_path,
        write_service(tmp_path),
        certificate=certificate if encrypted else None,
        PLUGIN_UNIX_SOCKET_DIR=str(folder),
        PLUGIN_UNIX_SOCKET_GROUP=group,
    ) as plugin:
        status = os.stat(plugin.path)
        assert (str(folder), mode) == (os.path.dirname(plugin.path), stat.S_IMODE(status.st_mode))
        assert 0 == await plugin.shutdown()
    assert [] == os.listdir(folder)


async def test_a_start_that_fails_is_told_on_stderr(tmp_path: Path) -> None:
    body = "@lifespan\ndef loaded(self):\n    raise OSError('no model')\n    yield"
    code, errors = await refused(tmp_path, write_service(tmp_path, body))
    assert 3 == code
    assert errors.endswith("'mysvc:Service' could not start: OSError: no model\n")

    code, errors = await refused(tmp_path, write_service(tmp_path, before="print(1 / 0)"))
    assert 3 == code
    assert "ZeroDivisionError" in errors


@pytest.mark.parametrize(
    ("arguments", "variables", "problem"),
    [
        (
            ["--plugin-version", "3"],
            {},
            "--plugin-version 3: the host that launched this process speaks 1, 5, 12",
        ),
        ([], {"PLUGIN_PROTOCOL_VERSIONS": "x"}, "PLUGIN_PROTOCOL_VERSIONS='x': no number in it"),
        (
            [],
            {"PLUGIN_CLIENT_CERT": "x", "PLUGIN_PROTOCOL_VERSIONS": "1"},
            "PLUGIN_CLIENT_CERT holds no certificate in PEM",
        ),
        (
            [],
            {"PLUGIN_UNIX_SOCKET_DIR": "/no/where", "PLUGIN_UNIX_SOCKET_GROUP": "no group"},
            (
                "PLUGIN_UNIX_SOCKET_DIR='/no/where': no such folder\n"
                "PLUGIN_UNIX_SOCKET_GROUP='no group': no such group"
            ),
        ),
    ],
)
async def test_what_it_can_not_work_with_is_told(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], problem: str
) -> None:
    target = write_service(tmp_path)
    assert (3, f"Error: {problem}\n") == await refused(tmp_path, target, *arguments, **variables)


async def test_the_version_of_the_hosts_protocol_can_be_chosen(tmp_path: Path) -> None:
    async with hosted(tmp_path, write_service(tmp_path), "--plugin-version", "5") as plugin:
        assert plugin.line.startswith("1|5|unix|")


async def test_without_cryptography_it_says_how_to_get_it(
    tmp_path: Path, certificate: Certificate
) -> None:
    (tmp_path / "cryptography.py").write_text("raise ImportError('not here')\n")
    code, errors = await refused(
        tmp_path, write_service(tmp_path), PLUGIN_CLIENT_CERT=certificate.pem
    )
    assert 3 == code
    assert (
        "Error: the host that launched this process asks for TLS (AutoMTLS), and the package "
        "cryptography is missing; install it with: pip install 'hsu-worker[tls]'\n"
    ) == errors


async def test_a_version_is_for_plugins_only(tmp_path: Path) -> None:
    code, errors = await refused(
        tmp_path, write_service(tmp_path), "--plugin-version", "5", PLUGIN_PROTOCOL_VERSIONS=""
    )
    assert 2 == code
    assert "--plugin-version is for plugins, and no host has launched this one" in errors
