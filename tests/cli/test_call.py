"""`hsu-worker call`, against a worker and against a master."""

import base64
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.cli.answering import Answering, answering
from tests.cli.inside import run
from tests.worker.process import ROOT

KINDS = "hsu.test.v1.Kinds"
PROTO = str(ROOT / "tests" / "protos" / "hsu_test_kinds.proto")


@pytest.fixture(scope="module")
def there() -> Iterator[Answering]:
    with answering() as it:
        yield it


@pytest.fixture(params=["worker", "master"])
def where(request: pytest.FixtureRequest, there: Answering) -> list[str]:
    """What a command line begins with to reach each of them."""
    return [there.worker] if request.param == "worker" else []


def test_a_unary_method_is_called(where: list[str]) -> None:
    called = run("call", *where, f"{KINDS}/Unary", '{"text": "hällo", "number": 3}')
    assert {"text": "hällo", "number": "3"} == called.json


def test_a_stream_of_answers_is_one_document_per_line(where: list[str]) -> None:
    called = run("call", *where, f"{KINDS}/ServerStream", '{"number": 3}')
    assert [{}, {"number": "1"}, {"number": "2"}] == called.lines


def test_requests_are_the_lines_of_stdin(where: list[str]) -> None:
    lines = b'{"text": "a"}\n\n{"text": "b"}'
    called = run("call", *where, f"{KINDS}/Bidi", stdin=lines)
    assert [{"text": "a"}, {"text": "b"}] == called.lines
    assert {"number": "2"} == run("call", *where, f"{KINDS}/ClientStream", "-", stdin=lines).json


def test_requests_are_the_documents_of_the_command_line(where: list[str]) -> None:
    called = run("call", *where, f"{KINDS}/ClientStream", "{}", '{"text": "b"}', "{}")
    assert {"number": "3"} == called.json


def test_one_request_is_all_of_stdin_and_nothing_is_the_empty_one(there: Answering) -> None:
    document = b'{\n  "text":\n  "over lines"\n}\n'
    called = run("call", there.worker, f"{KINDS}/Unary", stdin=document)
    assert {"text": "over lines"} == called.json
    assert {} == run("call", there.worker, f"{KINDS}/Unary").json


def test_a_method_can_be_written_with_a_dot_and_with_a_slash_before_it(there: Answering) -> None:
    for name in (f"{KINDS}.Unary", f"/{KINDS}/Unary"):
        assert {"text": "a"} == run("call", there.worker, name, '{"text": "a"}').json


def test_fields_with_their_defaults_are_shown_on_request(there: Answering) -> None:
    called = run("call", there.worker, f"{KINDS}/Unary", "{}", "--defaults")
    assert {"text": "", "number": "0", "payload": ""} == called.json


def test_metadata_is_sent(where: list[str]) -> None:
    pairs = ("-m", "X-Text=a=b", "--metadata", f"x-data-bin={base64.b64encode(b'no').decode()}")
    called = run("call", *where, f"{KINDS}/Unary", '{"text": "metadata"}', *pairs)
    assert "[('x-data-bin', b'no'), ('x-text', 'a=b')]" == called.json["text"]


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("foo", "'foo' is no NAME=VALUE"),
        ("=foo", "'=foo' is no NAME=VALUE"),
        ("x-bin=?", "'x-bin': the value is no base64"),
        (
            "authorization=secret",
            "'authorization': others could read the token here; use --token-file",
        ),
        ("a b=c", "'a b': names are lower case letters, digits and `_.-`"),
        (
            "a=ä",
            "'a': the value is not printable ASCII; send bytes, under a name in -bin",
        ),
    ],
)
def test_metadata_that_can_not_be_sent_is_a_usage_error(pair: str, message: str) -> None:
    called = run("call", "unix:/nowhere", f"{KINDS}/Unary", "-m", pair)
    assert f"Invalid value for '-m' / '--metadata': {message}" == called.error(2)


def test_a_failed_call_shows_its_status_and_every_detail(where: list[str]) -> None:
    called = run("call", *where, f"{KINDS}/Unary", '{"text": "refused"}')
    assert [
        "INVALID_ARGUMENT: two fields are wrong",
        "  text: must not be refused",
        "  number: must be at least 1",
        "  reason: REFUSED (test), limit=1",
        "  try again in 2 s",
        '  google.rpc.Help: {"links": [{"description": "more", "url": "https://example.invalid"}]}',
        '  hsu.test.v1.Answer: {"text": "a type of ours"}',
    ] == called.error().splitlines()


def test_a_bug_of_the_worker_leads_to_its_log(there: Answering) -> None:
    called = run("call", f"{KINDS}/Unary", '{"text": "bug"}')
    first, second = called.error().splitlines()
    assert re.fullmatch(r"INTERNAL: internal error [0-9a-f]{16}", first)
    assert "  the worker's log has the traceback, under this id" == second
    assert first.split()[-1] in run("logs", "u").stdout


def test_a_call_ends_with_its_timeout(where: list[str]) -> None:
    called = run("call", *where, f"{KINDS}/Unary", '{"text": "slow"}', "--timeout", "0.3")
    assert called.error().startswith("DEADLINE_EXCEEDED")


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e10", "5s"])
def test_a_timeout_is_a_number_of_seconds(seconds: str) -> None:
    called = run("call", "unix:/nowhere", f"{KINDS}/Unary", f"--timeout={seconds}")
    assert (
        f"Invalid value for '--timeout': {seconds!r} is no time in seconds, such as 5 or 0.5"
    ) == called.error(2)


def test_metadata_and_trailers_are_shown_on_request(there: Answering) -> None:
    called = run("call", there.worker, f"{KINDS}/Unary", '{"text": "refused"}', "-v", "-m", "x=1")
    assert [
        f"{KINDS}/Unary (unary) at {there.worker}",
        "sent: x=1",
        "trailer: hsu-dispatched=yes",
        "Error: INVALID_ARGUMENT: two fields are wrong",
    ] == called.stderr.splitlines()[:4]
    called = run("call", "--unit", "u", f"{KINDS}/ServerStream", '{"number": 1}', "-v")
    assert [
        f"{KINDS}/ServerStream (server stream) at the master at {there.master}",
        "sent: hsu-unit=u",
    ] == called.stderr.splitlines()


def test_the_time_is_told_on_request(there: Answering) -> None:
    called = run("call", there.worker, f"{KINDS}/ServerStream", '{"number": 2}', "--time")
    told = re.sub(r"\d+\.\d{3}", "N", called.stderr)
    assert "found in N s, first answer after N s, 2 answers in N s\n" == told
    called = run("call", there.worker, f"{KINDS}/Unary", "{}", "--time")
    assert "found in N s, 1 answer in N s\n" == re.sub(r"\d+\.\d{3}", "N", called.stderr)


def test_core_of_a_unit_is_called_by_name(there: Answering) -> None:
    called = run("call", "--unit", "u", "hsu.core.v1.Core/Ping", "{}")
    assert "STATE_RUNNING" == called.json["state"]
    refused = run("call", "hsu.core.v1.Core/Ping", "{}")
    assert "every unit has hsu.core.v1.Core; say which one with --unit" == refused.error(2)


def test_a_unit_that_is_not_there_is_the_masters_to_refuse(there: Answering) -> None:
    called = run("call", "--unit", "x", f"{KINDS}/Unary", "{}")
    assert "there is no unit 'x'; configured: u" == called.error(2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{KINDS}/unarry", f"{KINDS} has no method 'unarry'; did you mean 'Unary'?"),
        (f"{KINDS}/server_stream", f"{KINDS} has no method 'server_stream'; did you mean 'ServerStream'?"),
        (
            f"{KINDS}/Foo",
            f"{KINDS} has no method 'Foo'; it has Unary, ClientStream, ServerStream, Bidi",
        ),
        (KINDS, f"{KINDS} is an interface; add one of Unary, ClientStream, ServerStream, Bidi"),
        ("hsu.test.v1.Kindz/Unary", "WHERE has no interface 'hsu.test.v1.Kindz'; did you mean 'hsu.test.v1.Kinds'?"),
        ("Kinds/Unary", "WHERE has no interface 'Kinds'; did you mean 'hsu.test.v1.Kinds'?"),
        ("a.B/C", "WHERE has no interface 'a.B'; it has hsu.core.v1.Core, hsu.test.v1.Kinds"),
        ("Unary", "'Unary' names no method; write INTERFACE/METHOD, such as hsu.a.v1.InterfaceA/Summarize"),
        ("a/b/c", "'a/b/c' names no method; write INTERFACE/METHOD, such as hsu.a.v1.InterfaceA/Summarize"),
        ("localhost:70", "localhost:70: an address begins with unix: or tcp:; write tcp:localhost:70"),
    ],
)  # fmt: skip
def test_a_name_that_leads_nowhere_is_told_with_the_nearest(
    there: Answering, name: str, message: str
) -> None:
    called = run("call", there.worker, name, "{}")
    assert message.replace("WHERE", there.worker) == called.error(2)


def test_what_does_not_fit_the_message_is_told_with_its_place(there: Answering) -> None:
    called = run("call", there.worker, f"{KINDS}/Unary", '{"txt": "a", "number": "b"}')
    assert [
        "txt: hsu.test.v1.Ask has no such field; did you mean 'text'?",
        'number: expected a whole number (int64), got "b"',
    ] == called.error(2).splitlines()


def test_a_wrong_request_of_several_is_numbered(there: Answering) -> None:
    called = run("call", there.worker, f"{KINDS}/ClientStream", "{}", "{", "{}")
    assert called.error(2).startswith("request 2: no JSON: ")


def test_a_wrong_line_ends_a_stream_and_what_came_before_is_answered(where: list[str]) -> None:
    called = run("call", *where, f"{KINDS}/Bidi", stdin=b'{"text": "a"}\n\n{"txt": "b"}\n')
    assert 2 == called.exit_code
    assert (
        "Error: line 3: txt: hsu.test.v1.Ask has no such field; did you mean 'text'?\n"
    ) == called.stderr
    called = run("call", *where, f"{KINDS}/ClientStream", stdin=b"{}\n\xff")
    assert "line 2: not UTF-8, at byte 1" == called.error(2)


def test_several_requests_for_one_are_refused(there: Answering) -> None:
    called = run("call", there.worker, f"{KINDS}/Unary", '{"text":', '"a"}')
    assert (
        f"{KINDS}/Unary takes one request, and here are 2; is the JSON in quotes, as in "
        '\'{"name": "value"}\'?'
    ) == called.error(2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "INTERFACE/METHOD is missing"),
        (("unix:/nowhere",), "INTERFACE/METHOD is missing"),
        (
            ("unix:/nowhere", "--unit", "u", "a/b"),
            "--unit is for a master, which --master names; ADDRESS is a server",
        ),
        (("a/b", "-I", "."), "-I goes with --proto"),
        (("unix:/nowhere", "--master", "x", "a/b"), "ADDRESS and --master exclude each other"),
    ],
)
def test_options_that_do_not_fit_are_a_usage_error(
    arguments: tuple[str, ...], message: str
) -> None:
    called = run("call", *arguments)
    assert message == called.error(2)


def test_an_address_without_a_server_is_told_with_the_cure(tmp_path: Path) -> None:
    called = run("call", f"unix:{tmp_path}/s", f"{KINDS}/Unary", "{}")
    assert (
        f"nothing answers at unix:{tmp_path}/s: No such file or directory; start a worker there, "
        f"as in `hsu-worker serve mysvc:app --listen unix:{tmp_path}/s`"
    ) == called.error()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tcp:127.0.0.1:0", "address 'tcp:127.0.0.1:0': port 0 can't be dialled; write the worker's port"),
        (
            "tcp:127.0.0.1",
            "address 'tcp:127.0.0.1': '127.0.0.1' is not a port; write unix:<absolute path> or tcp:<host>:<port>, such as tcp:127.0.0.1:0",
        ),
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_a_usage_error(address: str, message: str) -> None:
    called = run("call", address, f"{KINDS}/Unary", "{}")
    assert message == called.error(2)


def test_without_a_master_the_cure_is_told(
    tmp_path: Path, temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    called = run("call", f"{KINDS}/Unary", "{}")
    assert (
        f"no master of this user runs in {tmp_path} or {temporary_folder}; "
        "start one with `hsu-worker master run hsu.toml`, or name one with --master or HSU_MASTER"
    ) == called.error()


def test_a_token_is_presented_and_asked_for(tmp_path: Path, there: Answering) -> None:
    folder = Path(there.master.removeprefix("unix:")).parent
    # The one beside the socket of a master lets in whoever can read it.
    assert {} == run("call", there.master, f"{KINDS}/Unary", "{}").json
    wrong = tmp_path / "token"
    wrong.write_text("wrong")
    wrong.chmod(0o600)
    refused = run("call", there.master, f"{KINDS}/Unary", "{}", "--token-file", str(wrong))
    assert (
        f"{there.master} refuses the token of {wrong}; name the file that holds it with --token-file"
    ) == refused.error()
    (tmp_path / "s").symlink_to(folder / "master.sock")
    asked = run("call", f"unix:{tmp_path}/s", f"{KINDS}/Unary", "{}")
    assert (
        f"unix:{tmp_path}/s asks for a token; name the file that holds it with --token-file"
    ) == asked.error()
    given = run("call", f"unix:{tmp_path}/s", f"{KINDS}/Unary", "{}", "--token-file", str(folder / "token"))  # fmt: skip
    assert {} == given.json


def test_a_server_without_reflection_is_called_with_its_proto(tmp_path: Path) -> None:
    def echo(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.send_initial_metadata((("x-first", "1"),))
        context.set_trailing_metadata((("x-last-bin", b"2"),))
        return request

    method: Any = grpc.unary_unary_rpc_method_handler(echo)
    handler = grpc.method_handlers_generic_handler(KINDS, {"Unary": method})
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers([handler])
    address = f"unix:{tmp_path}/s"
    server.add_insecure_port(address)
    server.start()
    try:
        refused = run("call", address, f"{KINDS}/Unary", "{}")
        called = run("call", address, f"{KINDS}/Unary", '{"text": "a"}', "--proto", PROTO)
        shown = run("call", address, f"{KINDS}/Unary", "{}", "--proto", PROTO, "-v")
        wrong = run("call", address, f"{KINDS}/Unari", "{}", "--proto", PROTO)
        other = run("call", address, "hsu.test.v1.Kind/Unary", "{}", "--proto", PROTO)
    finally:
        server.stop(None).wait()
    assert (
        f"{address} has no reflection, so its messages are not known; "
        "give their .proto: `call --proto FILE`, `describe FILE`"
    ) == refused.error()
    assert {"text": "a"} == called.json
    assert [
        f"{KINDS}/Unary (unary) at {address}",
        "received: x-first=1",
        "trailer: x-last-bin=Mg==",
    ] == shown.stderr.splitlines()
    assert f"{KINDS} has no method 'Unari'; did you mean 'Unary'?" == wrong.error(2)
    assert (
        "the files have no interface 'hsu.test.v1.Kind'; did you mean 'hsu.test.v1.Kinds'?"
    ) == other.error(2)
