"""A client that knows another version of an interface than the worker that runs."""

from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from hsu_worker.errors import RpcError
from hsu_worker.interface import Interface
from tests.gen.hsu_test_kinds import Answer, Ask, BlockingKindsClient, Kinds, KindsClient
from tests.master.running import Running, app, running, text

DIFFER = "the fingerprints of hsu.test.v1.Kinds differ: one side has other methods or fields"
CURE = "; make the older side's code anew with `hsu-worker gen`"

AnyKinds = Interface[object, KindsClient, BlockingKindsClient]


def version(change: Callable[[FileDescriptorProto], object]) -> AnyKinds:
    """Kinds as somebody has it whose `.proto` differs."""
    proto = FileDescriptorProto()
    Kinds.descriptor.file.CopyToProto(proto)
    change(proto)
    pool = DescriptorPool()
    pool.Add(proto)
    service = pool.FindServiceByName(Kinds.name)
    return Interface(service, client=KindsClient, blocking_client=BlockingKindsClient)


def another_field(proto: FileDescriptorProto) -> None:
    proto.message_type[0].field.add(name="later", number=99, type=9, label=1)


def another_number(proto: FileDescriptorProto) -> None:
    proto.message_type[0].field[0].number = 77


def another_method(proto: FileDescriptorProto) -> None:
    names = {"input_type": proto.service[0].method[0].input_type}
    names["output_type"] = proto.service[0].method[0].output_type
    proto.service[0].method.add(name="Later", **names)


def another_kind(proto: FileDescriptorProto) -> None:
    proto.service[0].method[0].server_streaming = True


def another_message(proto: FileDescriptorProto) -> None:
    proto.service[0].method[0].output_type = proto.service[0].method[0].input_type


def a_method_less(proto: FileDescriptorProto) -> None:
    del proto.service[0].method[-1]


async def refusal(it: Running, other: AnyKinds) -> str:
    """What a client of another version reads; nothing of its call reached the worker."""
    with pytest.raises(RpcError) as caught:
        await it.master.client(other).unary(Ask(text="other"), timeout=30)
    assert "no" == caught.value.dispatched
    return caught.value.message


async def same_worker(it: Running) -> None:
    """The unit serves those who know its version, and was not started again for the others."""
    assert "mine" == (await it.kinds.unary(Ask(text="mine"), timeout=30)).text
    assert ["starting", "ready"] == [event.kind for event in it.told]
    assert 0 == it.master.status()["u"].leases


@pytest.mark.parametrize("change", [another_field, another_number])
@pytest.mark.parametrize("first", [True, False], ids=["starts-it", "runs-already"])
async def test_strict_refuses_fields_that_differ(
    tmp_path: Path, change: Callable[[FileDescriptorProto], None], first: bool
) -> None:
    async with running(tmp_path, text(app(tmp_path), "strict = true")) as it:
        if not first:
            await it.kinds.unary(Ask(), timeout=30)
        for _ in range(2):
            assert f"unit 'u', interface {Kinds.name}: {DIFFER}{CURE}" == await refusal(
                it, version(change)
            )
        await same_worker(it)


async def test_strict_serves_who_knows_the_same_version(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path), "strict = true")) as it:
        same = it.master.client(version(lambda _proto: None))
        assert "hi" == (await same.unary(Ask(text="hi"), timeout=30)).text
        await same_worker(it)


async def test_fields_that_differ_are_served_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = version(another_field)
    async with running(tmp_path, text(app(tmp_path))) as it:
        await it.kinds.unary(Ask(), timeout=30)
        for _ in range(3):
            answer = await it.master.client(other).unary(Ask(text="other"), timeout=30)
            assert Answer(text="other") == answer
        await same_worker(it)
        assert [f"unit 'u': {DIFFER}"] == [m for m in caplog.messages if "fingerprints" in m]
        # Another worker may be of another version: it is compared anew.
        await it.master.stop("u")
        await it.master.client(other).unary(Ask(), timeout=30)

    assert [f"unit 'u': {DIFFER}"] * 2 == [m for m in caplog.messages if "fingerprints" in m]


@pytest.mark.parametrize("strict", ["true", "false"])
@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (another_method, "method Later is missing"),
        (
            another_kind,
            "Unary: responses: the client knows a stream, the worker one message",
        ),
        (
            another_message,
            "Unary: response: the client knows hsu.test.v1.Ask, the worker hsu.test.v1.Answer",
        ),
    ],
)
async def test_methods_that_differ_are_named_and_refused(
    tmp_path: Path, strict: str, change: Callable[[FileDescriptorProto], None], difference: str
) -> None:
    async with running(tmp_path, text(app(tmp_path), f"strict = {strict}")) as it:
        await it.kinds.unary(Ask(), timeout=30)
        assert f"unit 'u', interface {Kinds.name}: {difference}{CURE}" == await refusal(
            it, version(change)
        )
        await same_worker(it)


async def test_a_client_that_knows_fewer_methods_is_served_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, text(app(tmp_path))) as it:
        older = it.master.client(version(a_method_less))
        assert "hi" == (await older.unary(Ask(text="hi"), timeout=30)).text
        await same_worker(it)

    assert 1 == len([m for m in caplog.messages if f"the fingerprints of {Kinds.name} differ" in m])
