import logging

import pytest

from hsu_worker.errors import HandshakeError
from hsu_worker.gen.hsu_a import InterfaceA
from hsu_worker.gen.hsu_core import InterfaceInfo, MethodInfo
from hsu_worker.master.handshake import check_compatible

NAME = "hsu.a.v1.InterfaceA"
FIELDS_DIFFER = f"the fingerprints of {NAME} differ: one side has other methods or fields"
CURE = "; make the older side's code anew with `hsu-worker gen`"


def offered() -> InterfaceInfo:
    """What a worker of the same build says of the interface."""
    return InterfaceInfo(
        name=NAME,
        fingerprint=InterfaceA.fingerprint,
        methods=[
            MethodInfo(
                name=method.name,
                client_streaming=method.client_streaming,
                server_streaming=method.server_streaming,
                input=method.request.DESCRIPTOR.full_name,
                output=method.response.DESCRIPTOR.full_name,
            )
            for method in InterfaceA.methods.values()
        ],
    )


def complaint(*infos: InterfaceInfo, strict: bool = False) -> str:
    with pytest.raises(HandshakeError) as caught:
        check_compatible("u", InterfaceA, infos, strict=strict)
    return str(caught.value)


@pytest.mark.parametrize("strict", [False, True])
def test_the_same_interface_is_compatible(strict: bool, caplog: pytest.LogCaptureFixture) -> None:
    other = InterfaceInfo(name="hsu.b.v1.InterfaceB")
    check_compatible("u", InterfaceA, [other, offered()], strict=strict)
    assert [] == caplog.messages


def test_a_worker_may_offer_methods_that_the_client_does_not_know() -> None:
    info = offered()
    info.methods.append(MethodInfo(name="Translate"))
    check_compatible("u", InterfaceA, [info], strict=True)


def test_an_interface_that_is_not_offered_is_named() -> None:
    text = f"unit 'u' does not offer interface {NAME}"
    assert text == complaint()
    assert text == complaint(InterfaceInfo(name="hsu.b.v1.InterfaceB"))


def test_a_missing_method_is_named() -> None:
    info = offered()
    del info.methods[1]
    assert f"unit 'u', interface {NAME}: method StreamSummary is missing{CURE}" == complaint(info)


def test_a_stream_where_one_message_was_known_is_told_for_each_way() -> None:
    info = offered()
    info.methods[0].client_streaming = True
    info.methods[1].server_streaming = False
    assert (
        f"unit 'u', interface {NAME}: "
        "Summarize: requests: the client knows one message, the worker a stream; "
        f"StreamSummary: responses: the client knows a stream, the worker one message{CURE}"
    ) == complaint(info)


def test_other_messages_are_told_with_both_names() -> None:
    info = offered()
    info.methods[0].input = "hsu.a.v1.Question"
    info.methods[0].output = "hsu.a.v1.Answer"
    assert (
        f"unit 'u', interface {NAME}: "
        "Summarize: request: the client knows hsu.a.v1.SummarizeRequest, "
        "the worker hsu.a.v1.Question; "
        "Summarize: response: the client knows hsu.a.v1.SummarizeResponse, "
        f"the worker hsu.a.v1.Answer{CURE}"
    ) == complaint(info)


def test_another_fingerprint_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    info = offered()
    info.fingerprint = "0" * 64
    with caplog.at_level(logging.WARNING):
        check_compatible("u", InterfaceA, [info], strict=False)
    assert [f"unit 'u': {FIELDS_DIFFER}"] == caplog.messages


def test_another_fingerprint_is_an_error_when_strict() -> None:
    info = offered()
    info.fingerprint = "0" * 64
    assert f"unit 'u', interface {NAME}: {FIELDS_DIFFER}{CURE}" == complaint(info, strict=True)


def test_methods_that_differ_explain_another_fingerprint(caplog: pytest.LogCaptureFixture) -> None:
    info = offered()
    info.fingerprint = "0" * 64
    del info.methods[0]
    text = f"unit 'u', interface {NAME}: method Summarize is missing{CURE}"
    assert [text, text] == [complaint(info), complaint(info, strict=True)]
    assert [] == caplog.messages


@pytest.mark.parametrize("strict", [False, True])
def test_a_worker_that_tells_no_fingerprint_is_believed(
    strict: bool, caplog: pytest.LogCaptureFixture
) -> None:
    info = offered()
    info.fingerprint = ""
    check_compatible("u", InterfaceA, [info], strict=strict)
    assert [] == caplog.messages
