"""`hsu-worker describe`: a file, an app, a server, a master."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsu_worker.codegen.sources import shipped_folder
from tests.cli.answering import Answering, answering
from tests.cli.inside import run
from tests.worker.process import ROOT

STRANGER = ROOT / "tests" / "codegen" / "protos" / "stranger"
SHOP = str(STRANGER / "shop.proto")
KINDS_PROTO = str(ROOT / "tests" / "protos" / "hsu_test_kinds.proto")

KINDS = """\
package hsu.test.v1;

service Kinds {
  rpc Unary(Ask) returns (Answer);
  rpc ClientStream(stream Ask) returns (Answer);
  rpc ServerStream(Ask) returns (stream Answer);
  rpc Bidi(stream Ask) returns (stream Answer);
}

message Ask {
  string text = 1;
  int64 number = 2;
  bytes payload = 3;
}

message Answer {
  string text = 1;
  int64 number = 2;
  bytes payload = 3;
}
"""


@pytest.fixture(scope="module")
def there() -> Iterator[Answering]:
    with answering() as it:
        yield it


def described(*arguments: str) -> str:
    done = run("describe", *arguments)
    assert (0, "") == (done.exit_code, done.stderr)
    return done.stdout


def test_a_server_describes_what_it_offers_but_not_what_every_server_has(there: Answering) -> None:
    assert KINDS == described(there.worker)


@pytest.mark.parametrize("where", ["worker", "master"])
def test_an_interface_is_described_with_its_messages(there: Answering, where: str) -> None:
    address = [there.worker] if where == "worker" else []
    assert KINDS == described(*address, "hsu.test.v1.Kinds")


def test_a_master_lists_its_interfaces_and_starts_nothing(there: Answering) -> None:
    assert 0 == run("stop", "u").exit_code
    names = [
        "hsu.core.v1.Core",
        "hsu.core.v1.Registry",
        "hsu.master.v1.Master",
        "hsu.test.v1.Kinds",
    ]
    assert names == described().splitlines()
    assert {
        "interfaces": [{"name": name} for name in names],
        "messages": [],
        "enums": [],
    } == run("describe", "--json").json
    assert "absent" == run("list", "--json").json[0]["phase"]


def test_a_method_is_described_with_the_command_that_calls_it(there: Answering) -> None:
    told = described(there.worker, "hsu.test.v1.Kinds/ServerStream")
    assert "service Kinds {\n  rpc ServerStream(Ask) returns (stream Answer);\n}\n" in told
    *_, command = told.splitlines()
    document = '\'{"text": "", "number": "0", "payload": ""}\''
    assert f"hsu-worker call {there.worker} hsu.test.v1.Kinds/ServerStream {document}" == command
    assert told == described(there.worker, "hsu.test.v1.Kinds.ServerStream")
    # It works as it stands.
    assert "" == run(*command.replace(document, "").split()[1:], document.strip("'")).stdout


def test_a_message_and_an_enum_are_described(there: Answering) -> None:
    message = described(there.worker, "hsu.core.v1.Limits")
    assert message.startswith("package hsu.core.v1;\n\nmessage Limits {\n  uint64 ")
    enum = described("hsu.core.v1.State")
    assert enum.startswith("package hsu.core.v1;\n\nenum State {\n  STATE_UNSPECIFIED = 0;\n")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("hsu.test.v1.Kinds/Unarry", "did you mean 'hsu.test.v1.Kinds.Unary'?"),
        ("hsu.test.v1.Kindz", "did you mean 'hsu.test.v1.Kinds'?"),
        ("hsu.test.v1.Annswer", "did you mean 'hsu.test.v1.Answer'?"),
        ("nothing", "it has hsu.core.v1.Core, hsu.test.v1.Kinds"),
    ],
)
def test_a_name_that_a_server_does_not_know_is_told_with_the_nearest(
    there: Answering, name: str, hint: str
) -> None:
    refused = run("describe", there.worker, name).error(2)
    assert f"{there.worker} has nothing called {name!r}; {hint}" == refused


def test_nothing_that_answers_is_told_with_the_cure(tmp_path: Path) -> None:
    refused = run("describe", f"unix:{tmp_path}/s").error()
    assert refused.startswith(f"nothing answers at unix:{tmp_path}/s: No such file or directory;")


def test_a_file_is_described_with_its_comments() -> None:
    assert """\
package hsu.test.v1;

// What a test asks.
message Ask {
  // What to do, in the test's own words.
  string text = 1;
  // How often, how long, which.
  int64 number = 2;
  // Something to carry.
  bytes payload = 3;
}
""" == described(KINDS_PROTO, "hsu.test.v1.Ask")
    assert "// All four kinds" not in described(KINDS_PROTO)
    assert described(KINDS_PROTO).startswith(
        "package hsu.test.v1;\n\n// One method of each kind.\nservice Kinds {\n"
        "  // One request, one response.\n  rpc Unary(Ask) returns (Answer);\n"
    )


def test_every_shape_of_a_message_is_written_as_in_a_proto() -> None:
    assert """\
package stranger.shop.v1;

// What somebody wants.
message Order {
  // One line of it.
  message Item {
    // How it is packed.
    enum Wrap {
      // As it is.
      WRAP_UNSPECIFIED = 0;
      WRAP_PAPER = 1;
    }
    // What it is.
    string name = 1;
    Order.Item.Wrap wrap = 2;
  }
  // What was paid.
  message Receipt {
    stranger.common.Money paid = 1;
    repeated Order.Item items = 2;
    google.protobuf.Timestamp at = 3;
    hsu.core.v1.State worker = 4;
  }
  repeated Order.Item items = 1;
  map<string, Order.Item> by_name = 2;
  map<int32, Colour> colours = 3;
  oneof payment {
    // In cash.
    stranger.common.Money cash = 4;
    string card = 5;
  }
  optional int32 floor = 6;
  repeated Colour wanted = 7;
""" == described(SHOP, "stranger.shop.v1.Order").partition("  google.protobuf.Any")[0]


def test_the_methods_of_a_file_have_all_their_words() -> None:
    told = described(SHOP, "stranger.shop.v1.Shop")
    assert (
        """\
// Sells things.
service Shop {
  // Buys one thing.
  rpc Buy(Order) returns (Order.Receipt) { option idempotency_level = IDEMPOTENT; }
  // Watches a price until the caller leaves.
  // Ends with a "quote"
  rpc WatchPrice(Order.Item) returns (stream stranger.common.Money);
  rpc BuyMany(stream Order) returns (google.protobuf.Empty);
"""
        in told
    )
    # What it reaches, grouped by package; the well-known types are known.
    packages = [line for line in told.splitlines() if line.startswith("package ")]
    assert [
        "package stranger.shop.v1;",
        "package stranger.common;",
        "package stranger.common.deep;",
        "package hsu.core.v1;",
        "package google.rpc;",
        "package stranger.words;",
    ] == packages
    assert "message Empty" not in told
    assert "service Nothing {\n}" in described(SHOP)


def test_json_tells_the_same_as_the_text() -> None:
    told = run("describe", SHOP, "stranger.shop.v1.Order", "--json").json
    assert [] == told["interfaces"]
    messages = {each["name"]: each for each in told["messages"]}
    assert {
        "stranger.shop.v1.Order",
        "stranger.shop.v1.Order.Item",
        "stranger.shop.v1.Order.Receipt",
        "stranger.common.Money",
        "stranger.words.Any",
    } <= set(messages)
    fields = {each["name"]: each for each in messages["stranger.shop.v1.Order"]["fields"]}
    assert {
        "name": "by_name",
        "comment": "",
        "json_name": "byName",
        "number": 2,
        "type": "map<string, stranger.shop.v1.Order.Item>",
        "repeated": False,
        "optional": False,
        "oneof": None,
    } == fields["by_name"]
    assert ("payment", "In cash.") == (fields["cash"]["oneof"], fields["cash"]["comment"])
    assert (True, None) == (fields["floor"]["optional"], fields["floor"]["oneof"])
    assert fields["wanted"]["repeated"]
    enums = {each["name"]: each["values"] for each in told["enums"]}
    assert {"name": "COLOUR_RED", "comment": "Like a tomato.", "number": 1} == enums[
        "stranger.shop.v1.Colour"
    ][1]
    [method] = run("describe", SHOP, "stranger.shop.v1.Shop/Buy", "--json").json["interfaces"]
    assert {
        "name": "stranger.shop.v1.Shop",
        "methods": [
            {
                "name": "Buy",
                "comment": "Buys one thing.",
                "kind": "unary",
                "request": "stranger.shop.v1.Order",
                "response": "stranger.shop.v1.Order.Receipt",
                "idempotent": True,
            }
        ],
    } == method


def test_our_own_files_can_be_described() -> None:
    told = described(str(shipped_folder() / "hsu_core.proto"), "hsu.core.v1.PingRequest")
    assert "// A payload to get back.\nmessage PingRequest {" in told


def test_a_file_of_another_folder_needs_to_know_where_its_imports_are(tmp_path: Path) -> None:
    file = tmp_path / "a.proto"
    file.write_text(
        'syntax = "proto3";\nimport "words.proto";\nmessage A { stranger.words.Any a = 1; }'
    )
    refused = run("describe", str(file)).error()
    assert refused.endswith(f"imports are looked for in {tmp_path}; name other folders with -I")
    told = described(str(file), "-I", str(tmp_path), "-I", str(STRANGER))
    assert told.startswith("message A {\n  stranger.words.Any a = 1;\n}\n")


def test_an_app_is_described_with_the_comments_of_its_methods(
    there: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(there.folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    try:
        told = described("mysvc:Service")
        assert told == described("mysvc", "hsu.test.v1.Kinds")
        wrong = run("describe", "mysvc:Service", "hsu.test.v1.Askk").error(2)
        missing = run("describe", "mysvc:Servise").error(3)
    finally:
        sys.modules.pop("mysvc", None)
    assert "// One method of each kind.\nservice Kinds {\n  // One request, one response.\n" in told
    assert (
        "mysvc:Service has nothing called 'hsu.test.v1.Askk'; did you mean 'hsu.test.v1.Ask'?"
        == wrong
    )
    assert "'mysvc' has no attribute 'Servise'; did you mean Service?" == missing


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a:b", "c", "d"), "one NAME is enough; here are c, d"),
        (("unix:/s", "c", "d"), "one NAME is enough; here are c, d"),
        (("unix:/s", "--master", "x"), "ADDRESS and --master exclude each other"),
        (("a.B", "-I", "."), "-I and --protoc go with FILE.proto"),
        (("nosuch.proto",), "nosuch.proto: there is no such file"),
    ],
)
def test_what_does_not_fit_together_is_a_usage_error(
    arguments: tuple[str, ...], message: str
) -> None:
    assert message == run("describe", *arguments).error(2)
