"""Addresses of the launch contract: what is one, and one sentence for what is none."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hsu_worker.errors import AddressError
from hsu_worker.wire.address import MAX_UNIX_PATH, Address

CURE = "write unix:<absolute path> or tcp:<host>:<port>, such as tcp:127.0.0.1:0"
HOST_CURE = f"{CURE}, or tcp:[::1]:0 for IPv6"
PATH_CURE = (
    "the path holds something else than printable ASCII, or one of % ? # ,; choose another folder"
)


@pytest.mark.parametrize(
    ("text", "target", "is_local"),
    [
        ("unix:/run/x.sock", "unix:/run/x.sock", True),
        ("unix:/run/with space/x:1", "unix:/run/with space/x:1", True),
        ("tcp:127.0.0.1:0", "127.0.0.1:0", True),
        ("tcp:127.8.9.1:65535", "127.8.9.1:65535", True),
        ("tcp:localhost:80", "localhost:80", True),
        ("tcp:[::1]:7000", "[::1]:7000", True),
        ("tcp:0.0.0.0:7000", "0.0.0.0:7000", False),
        ("tcp:[::]:7000", "[::]:7000", False),
        ("tcp:worker-1.internal_net:7000", "worker-1.internal_net:7000", False),
    ],
)
def test_an_address_is_read_and_written(text: str, target: str, is_local: bool) -> None:
    address = Address.parse(text)
    assert (target, is_local, text) == (address.target, address.is_local, str(address))
    assert text.startswith("unix:") == address.is_unix


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("tcp:LOCALHOST:007", "tcp:localhost:7"),
        ("tcp:[0:0:0:0:0:0:0:1]:7", "tcp:[::1]:7"),
        ("tcp:[::FF]:7", "tcp:[::ff]:7"),
    ],
)
def test_two_ways_to_write_an_address_are_equal(text: str, same: str) -> None:
    assert Address.parse(same) == Address.parse(text)
    assert same == str(Address.parse(text))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", f"neither a Unix path nor TCP; {CURE}"),
        ("127.0.0.1:80", f"neither a Unix path nor TCP; {CURE}"),
        ("unix", f"the path is not absolute; {CURE}"),
        ("UNIX:/x", f"neither a Unix path nor TCP; {CURE}"),
        ("http://x:1", f"neither a Unix path nor TCP; {CURE}"),
        ("unix:", f"the path is not absolute; {CURE}"),
        ("unix:x.sock", f"the path is not absolute; {CURE}"),
        ("unix:/a\nb", PATH_CURE),
        ("unix:/a\0b", PATH_CURE),
        ("unix:/ä", PATH_CURE),
        ("unix:/\udc80", PATH_CURE),
        ("unix:/a%20b", PATH_CURE),
        ("unix:/a?b", PATH_CURE),
        ("unix:/a#b", PATH_CURE),
        ("tcp:127.0.0.1", f"'127.0.0.1' is not a port; {CURE}"),
        ("tcp::80", f"'' is no host; {HOST_CURE}"),
        ("tcp:a b:80", f"'a b' is no host; {HOST_CURE}"),
        ("tcp:a,b:80", f"'a,b' is no host; {HOST_CURE}"),
        ("tcp:-a:80", f"'-a' is no host; {HOST_CURE}"),
        ("tcp:dns:///x:80", f"'dns:///x' is no host; {HOST_CURE}"),
        ("tcp:::1:80", f"'::1' is no host; {HOST_CURE}"),
        ("tcp:[::1:80", f"'[::1' is no host; {HOST_CURE}"),
        ("tcp:[127.0.0.1]:80", f"'[127.0.0.1]' is no host; {HOST_CURE}"),
        ("tcp:[fe80::1%eth0]:80", f"'[fe80::1%eth0]' is no host; {HOST_CURE}"),
        ("tcp:[::1%\n]:80", f"'[::1%\\n]' is no host; {HOST_CURE}"),
        ("tcp:[]:80", f"'[]' is no host; {HOST_CURE}"),
        ("tcp:x:", f"'' is not a port; {CURE}"),
        ("tcp:x:65536", f"'65536' is not a port; {CURE}"),
        ("tcp:x:-1", f"'-1' is not a port; {CURE}"),
        ("tcp:x:1.5", f"'1.5' is not a port; {CURE}"),
        ("tcp:x: 1", f"' 1' is not a port; {CURE}"),
        ("tcp:x:1\n", f"'1\\n' is not a port; {CURE}"),
        ("tcp:x:²", f"'²' is not a port; {CURE}"),
        ("tcp:x:٣", f"'٣' is not a port; {CURE}"),
        ("tcp:x:1_0", f"'1_0' is not a port; {CURE}"),
    ],
)
def test_a_malformed_address_is_refused_with_the_cure(text: str, problem: str) -> None:
    with pytest.raises(AddressError) as caught:
        Address.parse(text)
    assert f"address {text!r}: {problem}" == str(caught.value)


def test_the_longest_path_is_accepted_and_the_next_is_not() -> None:
    longest = "/" + "x" * (MAX_UNIX_PATH - 1)
    assert longest == Address.parse(f"unix:{longest}").path
    with pytest.raises(AddressError) as caught:
        Address.parse(f"unix:{longest}x")
    assert (
        f"address 'unix:{longest}x': the path has 101 bytes, 100 are possible; "
        "choose a shorter folder"
    ) == str(caught.value)


ANY_ADDRESS = st.one_of(
    st.text(),
    st.text().map("unix:/{}".format),
    st.text().map("tcp:{}".format),
    st.tuples(st.text(), st.text()).map(lambda pair: f"tcp:{pair[0]}:{pair[1]}"),
    st.text().map("tcp:[::1%{}]:80".format),
    st.tuples(st.ip_addresses(v=4), st.integers()).map(lambda pair: f"tcp:{pair[0]}:{pair[1]}"),
    st.tuples(st.ip_addresses(v=6), st.integers()).map(lambda pair: f"tcp:[{pair[0]}]:{pair[1]}"),
)


@given(ANY_ADDRESS)
@example("tcp:x:" + "9" * 5000)
@example("unix:/\ud800")
def test_any_text_is_an_address_or_an_address_error(text: str) -> None:
    try:
        address = Address.parse(text)
    except AddressError:
        return
    assert address == Address.parse(str(address))
    assert str(address).isascii()
    assert address.target
    assert isinstance(address.is_local, bool)


@pytest.mark.parametrize(
    ("asked", "told", "is_answer"),
    [
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "unix:/b", False),
        ("unix:/a", "tcp:127.0.0.1:1", False),
        ("tcp:127.0.0.1:0", "tcp:127.0.0.1:1", True),
        ("tcp:127.0.0.1:0", "tcp:127.0.0.1:0", False),
        ("tcp:127.0.0.1:0", "tcp:127.0.0.2:1", False),
        ("tcp:127.0.0.1:0", "unix:/a", False),
        ("tcp:127.0.0.1:7", "tcp:127.0.0.1:7", True),
        ("tcp:127.0.0.1:7", "tcp:127.0.0.1:8", False),
    ],
)
def test_a_worker_answers_where_it_was_asked_to(asked: str, told: str, is_answer: bool) -> None:
    assert is_answer is Address.parse(told).answers(Address.parse(asked))
