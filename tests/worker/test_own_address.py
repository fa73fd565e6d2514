"""Where a worker listens that was told nothing more exact, and what it says about it."""

import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hsu_worker import App
from hsu_worker.errors import AddressError
from hsu_worker.serving.sockets import bound_port
from hsu_worker.wire.address import Address
from hsu_worker.worker.options import KnownMaster, Membership, Serving
from hsu_worker.worker.own_address import fixed, settled
from hsu_worker.worker.start_line import start_line
from tests.serving.kinds import AsyncKinds

LOOPBACK = Address(host="127.0.0.1")
SERVING = Serving(app="mysvc", app_dir="/")


def as_stand_in(master: Address) -> Serving:
    return replace(
        SERVING, membership=Membership(master=KnownMaster(address=master), unit="u", stand_in=True)
    )


def test_any_free_port_of_this_machine() -> None:
    with settled(SERVING) as options:
        assert (LOOPBACK,) == options.listen
    registered = replace(
        SERVING, membership=Membership(master=KnownMaster(address=LOOPBACK), unit="u")
    )
    with settled(registered) as options:
        assert (LOOPBACK,) == options.listen


def test_what_was_told_stays(tmp_path: Path) -> None:
    told = (Address(path=str(tmp_path / "s")), LOOPBACK)
    stand_in = as_stand_in(Address(path=str(tmp_path / "m")))
    for options in (SERVING, stand_in):
        with settled(replace(options, listen=told)) as given:
            assert told == given.listen


def test_a_stand_in_listens_in_the_private_folder_of_its_master(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    stand_in = as_stand_in(Address(path=str(tmp_path / "m")))
    with settled(stand_in) as first, settled(stand_in) as second:
        paths = {Path(options.listen[0].path) for options in (first, second)}
    assert 2 == len(paths)
    assert {tmp_path} == {path.parent for path in paths}


@pytest.mark.parametrize("mode", [0o755, None])
def test_without_such_a_folder_it_has_one_of_its_own(tmp_path: Path, mode: int | None) -> None:
    master = Address(host="127.0.0.1", port=7)
    if mode is not None:
        tmp_path.chmod(mode)
        master = Address(path=str(tmp_path / "m"))
    with settled(as_stand_in(master)) as options:
        folder = Path(options.listen[0].path).parent
        assert 0o700 == folder.stat().st_mode & 0o777
        assert folder != tmp_path
    assert not folder.exists()


def test_several_workers_in_turn_have_one_port(tmp_path: Path) -> None:
    unix, given = Address(path=str(tmp_path / "s")), Address(host="127.0.0.1", port=1)
    with fixed(replace(SERVING, listen=(unix, LOOPBACK, given))) as options:
        path, port, same = options.listen
        assert (unix, given) == (path, same)
        assert port.port > 0
        # It is kept from others, and not from ours.
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", port.port))
        with bound_port(port) as ours:
            ours.listen()


def test_a_port_that_nobody_can_have_is_named() -> None:
    options = replace(SERVING, listen=(Address(host="192.0.2.1"),))
    with pytest.raises(AddressError, match=r"address tcp:192\.0\.2\.1:0: "), fixed(options):
        pass


@pytest.mark.parametrize(
    ("listen", "options", "line"),
    [
        (
            ["tcp:127.0.0.1:7"],
            {},
            (
                "serving hsu.test.v1.Kinds at tcp:127.0.0.1:7; call it: "
                "hsu-worker call tcp:127.0.0.1:7 hsu.test.v1.Kinds/Unary '{}'"
            ),
        ),
        (
            ["unix:/a b", "tcp:127.0.0.1:7"],
            {"token": "secret", "token_file": "my token"},
            (
                "serving hsu.test.v1.Kinds at unix:/a b, tcp:127.0.0.1:7; call it: "
                "hsu-worker call --token-file 'my token' 'unix:/a b' hsu.test.v1.Kinds/Unary '{}'"
            ),
        ),
        (
            ["tcp:0.0.0.0:7"],
            {
                "membership": Membership(
                    master=KnownMaster(address=LOOPBACK, token="secret"), unit="u"
                )
            },
            (
                "serving hsu.test.v1.Kinds at tcp:0.0.0.0:7 as unit u; call it: "
                "hsu-worker call tcp:127.0.0.1:7 hsu.test.v1.Kinds/Unary '{}'"
            ),
        ),
        (
            ["tcp:[::]:7"],
            {},
            (
                "serving hsu.test.v1.Kinds at tcp:[::]:7; call it: "
                "hsu-worker call 'tcp:[::1]:7' hsu.test.v1.Kinds/Unary '{}'"
            ),
        ),
    ],
)
def test_the_line_says_where_and_how_to_call(
    listen: list[str], options: dict[str, Any], line: str
) -> None:
    told = replace(SERVING, **options)
    assert line == start_line(App(AsyncKinds()), told, [Address.parse(each) for each in listen])


def test_the_line_for_machines() -> None:
    told = replace(SERVING, log_format="json")
    facts = {
        "pid": os.getpid(),
        "interfaces": ["hsu.test.v1.Kinds"],
        "addresses": ["tcp:127.0.0.1:7"],
        "unit": None,
        "master": None,
    }
    address = Address(host="127.0.0.1", port=7)
    assert facts == json.loads(start_line(App(AsyncKinds()), told, [address]))
    member = replace(
        told, membership=Membership(master=KnownMaster(address=Address(path="/m")), unit="u")
    )
    assert facts | {"unit": "u", "master": "unix:/m"} == json.loads(
        start_line(App(AsyncKinds()), member, [address])
    )
