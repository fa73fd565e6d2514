"""The announce line: written, read back, and refused for one reason each."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hsu_worker.errors import AddressError, LaunchError
from hsu_worker.wire.address import Address
from hsu_worker.wire.announce import MAX_LINE, Announcement

INSTANCE = "0123456789abcdef0123456789abcdef"
ASKED = Address.parse("tcp:127.0.0.1:0")
UNIX = Address.parse("unix:/run/with space/a.sock")


def read(line: bytes, asked: Address = ASKED) -> Announcement:
    return Announcement.parse(line, instance=INSTANCE, asked=asked)


def test_the_line_is_as_the_contract_says() -> None:
    announcement = Announcement(INSTANCE, Address.parse("tcp:127.0.0.1:7000"))
    assert f"HSU 1 {INSTANCE} tcp:127.0.0.1:7000\n".encode() == announcement.line()


def test_a_path_with_spaces_comes_last() -> None:
    line = Announcement(INSTANCE, UNIX).line()
    assert f"HSU 1 {INSTANCE} unix:/run/with space/a.sock\n".encode() == line
    assert UNIX == read(line, UNIX).address


def test_a_line_without_its_end_is_read() -> None:
    assert 7 == read(f"HSU 1 {INSTANCE} tcp:127.0.0.1:7".encode()).address.port


NOT_A_LINE = "not an announce line: {}; expected 'HSU 1 <instance> <address>'"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"", NOT_A_LINE.format("''")),
        (b"\n", NOT_A_LINE.format("'\\n'")),
        (b"hello\n", NOT_A_LINE.format("'hello\\n'")),
        (b"HSU 1 x\n", NOT_A_LINE.format("'HSU 1 x\\n'")),
        (b"hsu 1 x y\n", NOT_A_LINE.format("'hsu 1 x y\\n'")),
        (b"HSU one x y\n", NOT_A_LINE.format("'HSU one x y\\n'")),
        (b"HSU  1 x y\n", NOT_A_LINE.format("'HSU  1 x y\\n'")),
        (b"HSU -1 x y\n", NOT_A_LINE.format("'HSU -1 x y\\n'")),
        (
            b"HSU 2 x y\n",
            (
                "the worker speaks version 2 of the launch contract, this master version 1; "
                "update the older one"
            ),
        ),
        (
            b"HSU 01 x y\n",
            (
                "the worker speaks version 01 of the launch contract, this master version 1; "
                "update the older one"
            ),
        ),
        (
            b"HSU 1 beef tcp:x:1\n",
            "the announce line is another instance's: 'beef'; write this launch's HSU_INSTANCE",
        ),
        (
            f"HSU 1 {INSTANCE} nonsense\n".encode(),
            (
                "the announce line names a malformed address: address 'nonsense': "
                "neither a Unix path nor TCP; "
                "write unix:<absolute path> or tcp:<host>:<port>, such as tcp:127.0.0.1:0"
            ),
        ),
        (
            f"HSU 1 {INSTANCE} tcp:127.0.0.1:7\r\n".encode(),
            (
                "the announce line names a malformed address: address 'tcp:127.0.0.1:7\\r': "
                "'7\\r' is not a port; "
                "write unix:<absolute path> or tcp:<host>:<port>, such as tcp:127.0.0.1:0"
            ),
        ),
        (
            f"HSU 1 {INSTANCE} tcp:10.0.0.1:7\n".encode(),
            (
                "the worker listens at tcp:10.0.0.1:7, and was asked for tcp:127.0.0.1:0: "
                "HSU_LISTEN says where"
            ),
        ),
        (
            f"HSU 1 {INSTANCE} unix:/elsewhere\n".encode(),
            (
                "the worker listens at unix:/elsewhere, and was asked for tcp:127.0.0.1:0: "
                "HSU_LISTEN says where"
            ),
        ),
        ("HSU 1 ä b\n".encode(), "the announce line is not ASCII: 'HSU 1 ä b\\n'"),
        (b"HSU \xb2 a b\n", "the announce line is not ASCII: 'HSU \ufffd a b\\n'"),
        (
            b"x" * (MAX_LINE + 1),
            f"the announce line has 1025 bytes, 1024 are possible: {'x' * 200!r}",
        ),
    ],
)
def test_another_line_is_refused(line: bytes, problem: str) -> None:
    with pytest.raises(LaunchError) as caught:
        read(line)
    assert problem == str(caught.value)


addresses = st.one_of(
    st.from_regex(r"/[ -~]{0,99}", fullmatch=True).map("unix:{}".format),
    st.tuples(st.ip_addresses(v=4), st.integers(1, 65535)).map(lambda p: f"tcp:{p[0]}:{p[1]}"),
    st.tuples(st.ip_addresses(v=6), st.integers(1, 65535)).map(lambda p: f"tcp:[{p[0]}]:{p[1]}"),
)


@given(addresses)
def test_whatever_can_be_listened_on_can_be_announced(text: str) -> None:
    try:
        address = Address.parse(text)
    except AddressError:
        assert set("%?#,") & set(text)
        return
    announcement = Announcement(INSTANCE, address)
    line = announcement.line()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) <= MAX_LINE
    assert announcement == read(line, address)


@given(
    st.one_of(
        st.binary(),
        st.binary().map(b"HSU 1 ".__add__),
        st.binary().map(f"HSU 1 {INSTANCE} ".encode().__add__),
        st.binary().map(f"HSU 1 {INSTANCE} tcp:127.0.0.1:".encode().__add__),
    )
)
@example(b"HSU " + b"9" * 1000 + b" a b")
def test_any_bytes_are_an_announcement_or_a_launch_error(line: bytes) -> None:
    try:
        announcement = read(line)
    except LaunchError:
        return
    assert announcement.address.answers(ASKED)
