"""Rules of buf.validate are enforced before a handler sees a request."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import BadRequest

from hsu_worker import App, InvalidArgument, Requests, RpcError, implements
from hsu_worker.authoring.rules import messages_with_rules
from hsu_worker.errors import AppError
from hsu_worker.interface import Method
from hsu_worker.serving.validation import _library, check_of
from hsu_worker.testing import running
from hsu_worker.wire import buf_validate
from tests.gen.hsu_test_kinds import Kinds
from tests.gen.hsu_test_rules import Cart, Line, Receipt, Ruled

ROOT = Path(__file__).parent.parent.parent


@implements(Ruled)
class Shop:
    def __init__(self) -> None:
        self.seen: list[str] = []

    async def order(self, request: Cart) -> Receipt:
        self.seen.append(request.customer)
        return Receipt(carts=1)

    def watch(self, request: Cart) -> Iterator[Receipt]:
        self.seen.append(request.customer)
        yield Receipt(carts=1)

    async def order_all(self, requests: Requests[Cart]) -> Receipt:
        carts = 0
        async for request in requests:
            self.seen.append(request.customer)
            carts += 1
        return Receipt(carts=carts)

    async def haggle(self, requests: Requests[Cart]) -> AsyncIterator[Receipt]:
        while True:
            try:
                request = await anext(requests)
            except StopAsyncIteration:
                return
            except InvalidArgument:
                yield Receipt(carts=0)
            else:
                self.seen.append(request.customer)
                yield Receipt(carts=1)

    async def look(self, request: Receipt) -> Receipt:
        return request


GOOD = Cart(customer="Ada", cash=True)
BAD = Cart(
    customer="A",
    lines=[Line(article="pear", count=1), Line(article="Fig!", count=100)],
    coupons={"no": 1},
    gift=True,
)


def violations(error: RpcError) -> list[tuple[str, str, str]]:
    [bad] = error.details
    assert isinstance(bad, BadRequest)
    return [(each.field, each.description, each.reason) for each in bad.field_violations]


async def test_every_violation_is_told_and_no_handler_sees_the_request() -> None:
    shop = Shop()
    async with running(shop) as worker:
        with pytest.raises(InvalidArgument) as refused:
            await worker.client(Ruled).order(BAD)

    assert [
        ("", "a gift has a note", "GIFT_NEEDS_NOTE"),
        ("payment", "exactly one field is required in oneof", "REQUIRED"),
        ("customer", "must be at least 2 characters", "STRING_MIN_LEN"),
        ("lines[1].article", "does not match regex pattern `^[a-z]+$`", "STRING_PATTERN"),
        (
            "lines[1].count",
            "must be greater than or equal to 1 and less than or equal to 99",
            "UINT32_GTE_LTE",
        ),
        ('coupons["no"]', "the key must be 4 characters", "STRING_LEN"),
    ] == violations(refused.value)
    assert (
        "a gift has a note; payment: exactly one field is required in oneof; "
        "customer: must be at least 2 characters; and 3 more"
    ) == refused.value.message
    assert "no" == refused.value.dispatched
    assert [] == shop.seen


async def test_what_keeps_the_rules_reaches_the_handler() -> None:
    shop = Shop()
    async with running(shop) as worker:
        client = worker.client(Ruled)
        await client.order(GOOD)
        [_] = [each async for each in client.watch(GOOD)]
        await client.order_all([GOOD, GOOD])
        [_] = [each async for each in client.haggle([GOOD])]

    assert ["Ada"] * 5 == shop.seen


async def test_a_stream_of_answers_is_refused_before_it_begins() -> None:
    shop = Shop()
    async with running(shop) as worker:
        with pytest.raises(InvalidArgument) as refused:
            [_ async for _ in worker.client(Ruled).watch(BAD)]

    assert "no" == refused.value.dispatched
    assert [] == shop.seen


async def test_each_request_of_a_stream_is_looked_at_when_it_is_read() -> None:
    shop = Shop()
    async with running(shop) as worker:
        with pytest.raises(InvalidArgument) as refused:
            await worker.client(Ruled).order_all([GOOD, Cart(customer="B", cash=True), GOOD])

    assert [("customer", "must be at least 2 characters", "STRING_MIN_LEN")] == violations(
        refused.value
    )
    # The first one had reached the handler.
    assert ("yes", ["Ada"]) == (refused.value.dispatched, shop.seen)


async def test_a_handler_may_go_on_after_a_request_that_breaks_a_rule() -> None:
    async with running(Shop()) as worker:
        answers = worker.client(Ruled).haggle([GOOD, BAD, GOOD])
        assert [1, 0, 1] == [answer.carts async for answer in answers]


async def test_an_app_can_say_that_nobody_looks() -> None:
    async with running(App(Shop(), validate=False)) as worker:
        assert 1 == (await worker.client(Ruled).order(BAD)).carts


async def test_many_violations_still_fit_into_a_status() -> None:
    lines = [Line(article="F" * 10, count=100 + each) for each in range(50)]
    async with running(Shop()) as worker:
        with pytest.raises(InvalidArgument) as refused:
            await worker.client(Ruled).order(Cart(customer="Ada", cash=True, lines=lines))

    assert refused.value.message.endswith("; and 97 more")
    assert 25 < len(violations(refused.value)) < 100


def test_a_method_without_rules_has_no_check() -> None:
    assert None is check_of(Ruled.methods["look"])
    assert all(None is check_of(method) for method in Kinds.methods.values())


def test_rules_are_found_however_deep_they_are() -> None:
    assert {Cart, Line} == set(messages_with_rules(Cart))


def test_a_message_that_holds_itself_is_looked_at_once() -> None:
    # It holds Value, which holds Struct.
    assert [] == messages_with_rules(Struct)


def without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str, package: str | None = None) -> Any:
        return None if name == "protovalidate" else found(name, package)

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


def test_without_the_library_an_app_with_rules_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    without_the_library(monkeypatch)
    with pytest.raises(AppError) as refused:
        App(Shop())

    assert (
        "hsu.test.v1.Ruled: the requests of Order, Watch, OrderAll, Haggle have rules of "
        "buf.validate, and the library that enforces them is missing; install it with: "
        "pip install 'hsu-worker[validate]', or write App(..., validate=False) to answer without"
    ) == str(refused.value)
    App(Shop(), validate=False)


def test_another_version_of_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    old = ModuleType("protovalidate")
    monkeypatch.setitem(sys.modules, "protovalidate", old)
    _library.cache_clear()
    with pytest.raises(AppError) as refused:
        check_of(Ruled.methods["order"])

    assert str(refused.value) == (
        "the rules of /hsu.test.v1.Ruled/Order can't be enforced: cannot import name 'ViolationPb' "
        "from 'protovalidate' (unknown location); "
        "update it with: pip install --upgrade 'hsu-worker[validate]'"
    )


def test_a_worker_with_rules_does_not_start_without_the_library(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "sys.modules['protovalidate'] = None\n"
        "from tests.serving.test_validation import Shop\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "hsu_worker", "serve", "shop:Shop"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (3, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("Error: hsu.test.v1.Ruled: the requests of Order,")


def test_messages_with_rules_can_be_had_without_the_library() -> None:
    code = (
        "import sys; sys.modules['protovalidate'] = sys.modules['buf'] = None\n"
        "from tests.gen.hsu_test_rules import Cart\n"
        "print(Cart(customer='Ada').customer, 'hsu_worker.serving' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "Ada False\n" == done.stdout


def test_only_a_worker_with_rules_loads_the_library() -> None:
    code = """
import json, sys
from hsu_worker.serving.validation import _library, check_of
from tests.gen.hsu_test_rules import Ruled
before = check_of(Ruled.methods["look"]), "protovalidate" in sys.modules
after = check_of(Ruled.methods["order"]) is not None, "protovalidate" in sys.modules
print(json.dumps([before, after]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [[None, False], [True, True]] == json.loads(done.stdout)


def test_the_whole_schema_of_the_users_is_taken_when_it_is_there(tmp_path: Path) -> None:
    package = tmp_path / "buf" / "validate"
    package.mkdir(parents=True)
    # As protoc makes it of the .proto.
    (package / "validate_pb2.py").write_text(
        "from google.protobuf import descriptor_pool\n"
        "from google.protobuf import duration_pb2, timestamp_pb2, field_mask_pb2\n"
        "from protovalidate import ViolationPb\n"
        "schema = ViolationPb.desc().file.proto.to_binary()\n"
        "descriptor_pool.Default().AddSerializedFile(schema)\n"
    )
    code = f"""
import sys; sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]
from google.protobuf import descriptor_pool
from tests.gen.hsu_test_rules import Cart, Ruled
from hsu_worker.serving.validation import _library, check_of
descriptor_pool.Default().FindMessageTypeByName("buf.validate.Violation")
try:
    check_of(Ruled.methods["order"])(Cart(customer="A", cash=True))
except Exception as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert "INVALID_ARGUMENT: customer: must be at least 2 characters\n" == done.stdout


def method_with_rule(name: str, rule: bytes) -> Method:
    """A method whose request has one text with a rule, as bytes of buf.validate.FieldRules."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{name}.proto", package=name, syntax="proto3", dependency=[buf_validate.FILE]
    )
    field = file.message_type.add(name="Request").field.add(name="text", number=1, type=9, label=1)
    # The extension's number with length-delimited bytes.
    field.options.MergeFromString(b"\xba\x48" + bytes([len(rule)]) + rule)
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    request = message_factory.GetMessageClass(
        descriptor_pool.Default().FindMessageTypeByName(f"{name}.Request")
    )
    return Method(
        name="Do",
        handler="do",
        path="/x/Do",
        request=request,
        response=request,
        client_streaming=False,
        server_streaming=False,
        idempotent=False,
    )


def cel(expression: str) -> bytes:
    """The rule with which a field has an expression."""
    rule = b"\x0a\x01x" + b"\x1a" + bytes([len(expression)]) + expression.encode()
    return b"\xba\x01" + bytes([len(rule)]) + rule


def test_a_malformed_rule_is_refused_when_the_method_is_registered() -> None:
    with pytest.raises(AppError, match=r"^malformed\.Request: its rules of buf\.validate are "):
        check_of(method_with_rule("malformed", cel("this.nothing(")))


def test_a_rule_that_fails_over_an_empty_message_is_no_malformed_one() -> None:
    method = method_with_rule("fails", cel("size(this) / size(this) == 1"))
    check = check_of(method)
    assert check is not None
    check(method.request(text="a"))
    # As any bug of the worker.
    with pytest.raises(RuntimeError, match="divide by zero"):
        check(method.request())
