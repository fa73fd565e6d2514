"""A service that a stranger writes from nothing, with true processes all the way."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.master.test_attached import serves
from tests.worker.process import environment, serving

BUF = Path(sys.executable).with_name("buf")

SHARED = """\
syntax = "proto3";
package stranger.shared.v1;

message Echo {
  string text = 1;
  int64 seconds = 2;
}
"""

PROTO = """\
syntax = "proto3";
package stranger.v1;

import "google/protobuf/timestamp.proto";
import "stranger_shared.proto";

service Strange {
  rpc One(Outer.Inner) returns (stranger.shared.v1.Echo);
  rpc Many(Outer.Inner) returns (stream stranger.shared.v1.Echo);
  rpc Gather(stream Outer.Inner) returns (stranger.shared.v1.Echo);
  rpc Talk(stream Outer.Inner) returns (stream stranger.shared.v1.Echo);
}

message Outer {
  message Inner {
    string text = 1;
    google.protobuf.Timestamp at = 2;
  }
}
"""

SERVICE = """\
from collections.abc import AsyncIterator

from gen.stranger import Outer, Strange
from gen.stranger_shared import Echo
from hsu_worker import implements


@implements(Strange)
class Odd:
    async def one(self, request: Outer.Inner) -> Echo:
        return Echo(text=request.text.upper(), seconds=request.at.seconds)

    async def many(self, request: Outer.Inner) -> AsyncIterator[Echo]:
        for letter in request.text:
            yield Echo(text=letter, seconds=request.at.seconds)

    async def gather(self, requests: AsyncIterator[Outer.Inner]) -> Echo:
        got = [request async for request in requests]
        return Echo(
            text="+".join(request.text for request in got),
            seconds=sum(request.at.seconds for request in got),
        )

    async def talk(self, requests: AsyncIterator[Outer.Inner]) -> AsyncIterator[Echo]:
        async for request in requests:
            yield Echo(text=request.text[::-1], seconds=-request.at.seconds)
"""

PLAIN = """\
import json
import sys

sys.path.insert(0, "plain")

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from stranger_pb2 import Outer
from stranger_pb2_grpc import StrangeStub


def ask(text, seconds):
    return Outer.Inner(text=text, at=Timestamp(seconds=seconds))


def told(echo):
    return [echo.text, echo.seconds]


with grpc.insecure_channel(sys.argv[1]) as channel:
    stub = StrangeStub(channel)
    two = [ask("ab", 3), ask("cd", 4)]
    answers = {
        "one": told(stub.One(ask("hello", 7), timeout=20)),
        "many": [told(echo) for echo in stub.Many(ask("xyz", 8), timeout=20)],
        "gather": told(stub.Gather(iter(two), timeout=20)),
        "talk": [told(echo) for echo in stub.Talk(iter(two), timeout=20)],
    }
print(json.dumps(answers))
"""

TOML = """\
[units.strange]
app = "mysvc:Odd"
implements = ["stranger.v1.Strange"]
"""

MAIN = """\
import asyncio
import json

from google.protobuf.timestamp_pb2 import Timestamp

from gen.stranger import Outer, Strange
from hsu_worker.master import Master


def ask(text, seconds):
    return Outer.Inner(text=text, at=Timestamp(seconds=seconds))


def told(echo):
    return [echo.text, echo.seconds]


async def asks():
    yield ask("ab", 3)
    yield ask("cd", 4)


async def main():
    async with Master.from_file("hsu.toml") as master:
        strange = master.client(Strange)
        answers = {
            "one": told(await strange.one(ask("hello", 7), timeout=20)),
            "many": [told(echo) async for echo in strange.many(ask("xyz", 8), timeout=20)],
            "gather": told(await strange.gather(asks(), timeout=20)),
            "talk": [told(echo) async for echo in strange.talk(asks(), timeout=20)],
        }
    print(json.dumps(answers))


asyncio.run(main())
"""

ANSWERS = {
    "one": ["HELLO", 7],
    "many": [["x", 8], ["y", 8], ["z", 8]],
    "gather": ["ab+cd", 7],
    "talk": [["ba", -3], ["dc", -4]],
}


async def run(folder: Path, *command: str) -> str:
    """Run a command to its end in a folder; returns what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment(), stdout=PIPE, stderr=PIPE
    )
    try:
        out, problem = await asyncio.wait_for(process.communicate(), 40)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert 0 == process.returncode, problem.decode()
    return out.decode()


async def test_a_service_written_from_nothing(tmp_path: Path) -> None:
    (tmp_path / "proto").mkdir()
    (tmp_path / "plain").mkdir()
    written = {
        "proto/stranger.proto": PROTO,
        "proto/stranger_shared.proto": SHARED,
        "mysvc.py": SERVICE,
        "plain_calls.py": PLAIN,
        "hsu.toml": TOML,
        "main.py": MAIN,
    }
    for name, text in written.items():
        (tmp_path / name).write_text(text)
    protos = ["proto/stranger.proto", "proto/stranger_shared.proto"]
    python = sys.executable
    await asyncio.gather(
        run(tmp_path, python, "-m", "hsu_worker", "gen", *protos, "--out", "gen"),
        run(
            tmp_path,
            *(python, "-m", "grpc_tools.protoc", "-I", "proto"),
            *("--python_out=plain", "--grpc_python_out=plain"),
            *protos,
        ),
    )

    async with serving(tmp_path, "mysvc", f"--listen=unix:{tmp_path}/w") as process:
        await serves(process)
        plain = await run(tmp_path, python, "plain_calls.py", f"unix:{tmp_path}/w")
        curled = await run(
            tmp_path,
            *(str(BUF), "curl", "--protocol=grpc", "--http2-prior-knowledge"),
            f"--unix-socket={tmp_path}/w",
            '--data={"text": "hello", "at": "1970-01-01T00:00:07Z"}',
            "http://localhost/stranger.v1.Strange/One",
        )
        process.send_signal(signal.SIGTERM)
        assert 0 == await asyncio.wait_for(process.wait(), 20)
    mastered = await run(tmp_path, python, "main.py")

    assert json.loads(plain) == ANSWERS
    assert json.loads(mastered) == ANSWERS
    assert json.loads(curled) == {"text": "HELLO", "seconds": "7"}
