"""A worker and a master for the tests of a module, as processes that answer all of them."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from tests.cli.inside import process
from tests.master.running import text
from tests.worker.process import write_service

BEFORE = """
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, Help, RetryInfo
"""

#: What it does is in the text of a request.
BODY = """
async def unary(self, request):
    call = current_call()
    match request.text:
        case "refused":
            fields = [
                BadRequest.FieldViolation(field="text", description="must not be refused"),
                BadRequest.FieldViolation(field="number", description="must be at least 1"),
            ]
            raise InvalidArgument(
                "two fields are wrong",
                details=[
                    BadRequest(field_violations=fields),
                    ErrorInfo(reason="REFUSED", domain="test", metadata={"limit": "1"}),
                    RetryInfo(retry_delay=Duration(seconds=2)),
                    Help(links=[Help.Link(description="more", url="https://example.invalid")]),
                    Answer(text="a type of ours"),
                ],
            )
        case "bug":
            raise ZeroDivisionError("a secret")
        case "slow":
            await asyncio.sleep(60)
        case "metadata":
            sent = {name: value for name, value in call.metadata.items() if name.startswith("x-")}
            return Answer(text=repr(sorted(sent.items())))
    return Answer(text=request.text, number=request.number, payload=request.payload)
"""


@dataclass(frozen=True)
class Answering:
    worker: str
    """The address of a worker that serves `hsu.test.v1.Kinds`."""
    master: str
    """The address of the only master that a command finds; its unit `u` does the same."""
    folder: Path


@contextmanager
def answering() -> Iterator[Answering]:
    """A worker and a master, while the block runs."""
    # Short: it is a part of the paths of sockets.
    with tempfile.TemporaryDirectory(prefix="hsu-t-") as name:
        folder = Path(name)
        service = write_service(folder, BODY, before=BEFORE)
        (folder / "hsu.toml").write_text(text(f'app = "{service}"'))
        (folder / "run").mkdir(mode=0o700)
        runtime = {"XDG_RUNTIME_DIR": str(folder / "run")}
        worker = f"unix:{folder}/w"
        with (
            process(folder, "master", "run", "hsu.toml", "--json", **runtime) as told,
            process(folder, "serve", service, "--listen", worker),
            mock.patch.dict(os.environ, runtime),
        ):
            os.environ.pop("HSU_MASTER", None)
            yield Answering(worker, json.loads(told)["addresses"][0], folder)
