"""Launch variables: taken once, refused all at once, and never a token in a text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsu_worker.errors import LaunchError
from hsu_worker.wire.address import Address
from hsu_worker.wire.launch import LaunchVariables

INSTANCE = "0123456789abcdef0123456789abcdef"
SECRET = "planted-secret"

ALL = {
    "HSU_INSTANCE": INSTANCE,
    "HSU_UNIT": "summarizer",
    "HSU_LISTEN": "unix:/run/a.sock",
    "HSU_ANNOUNCE_FD": "3",
    "HSU_TOKEN": SECRET,
    "HSU_LIFELINE": "none",
    "HSU_MASTER": "unix:/run/master.sock",
    "HSU_MASTER_TOKEN": f"{SECRET}-2",
}


def test_they_are_read_and_deleted() -> None:
    environ = {**ALL, "PATH": "/bin", "HSU_OWN": "kept"}
    variables = LaunchVariables.take(environ)
    assert {"PATH": "/bin", "HSU_OWN": "kept"} == environ
    assert variables == LaunchVariables(
        instance=INSTANCE,
        unit="summarizer",
        listen="unix:/run/a.sock",
        announce_fd="3",
        token=SECRET,
        lifeline="none",
        master="unix:/run/master.sock",
        master_token=f"{SECRET}-2",
    )
    assert Address.parse("unix:/run/a.sock") == variables.address


def test_a_process_that_was_not_launched_keeps_its_environment() -> None:
    environ = {name: value for name, value in ALL.items() if name != "HSU_INSTANCE"}
    before = dict(environ)
    assert LaunchVariables.take(environ) is None
    assert before == environ


def test_what_is_left_out_has_defaults() -> None:
    environ = {"HSU_INSTANCE": INSTANCE, "HSU_LISTEN": "tcp:127.0.0.1:0", "HSU_TOKEN": SECRET}
    assert LaunchVariables.take(environ) == LaunchVariables(
        instance=INSTANCE, listen="tcp:127.0.0.1:0", token=SECRET, lifeline="stdin"
    )


def test_they_are_written_as_they_are_read() -> None:
    variables = LaunchVariables.take(dict(ALL))
    assert variables is not None
    assert ALL == variables.environment()
    bare = LaunchVariables(instance=INSTANCE, listen="tcp:127.0.0.1:0")
    assert {
        "HSU_INSTANCE": INSTANCE,
        "HSU_LISTEN": "tcp:127.0.0.1:0",
        "HSU_LIFELINE": "stdin",
    } == bare.environment()


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("HSU_INSTANCE", "", "HSU_INSTANCE='': not 32 hex digits in lower case"),
        ("HSU_INSTANCE", "beef", "HSU_INSTANCE='beef': not 32 hex digits in lower case"),
        (
            "HSU_INSTANCE",
            INSTANCE.upper(),
            f"HSU_INSTANCE={INSTANCE.upper()!r}: not 32 hex digits in lower case",
        ),
        ("HSU_LISTEN", "", "HSU_LISTEN is not set: write unix:<path> or tcp:127.0.0.1:0"),
        (
            "HSU_LISTEN",
            "7000",
            (
                "HSU_LISTEN: address '7000': neither a Unix path nor TCP; "
                "write unix:<absolute path> or tcp:<host>:<port>, such as tcp:127.0.0.1:0"
            ),
        ),
        (
            "HSU_MASTER",
            "7000",
            (
                "HSU_MASTER: address '7000': neither a Unix path nor TCP; "
                "write unix:<absolute path> or tcp:<host>:<port>, such as tcp:127.0.0.1:0"
            ),
        ),
        ("HSU_ANNOUNCE_FD", "x", "HSU_ANNOUNCE_FD='x': not a descriptor's number"),
        ("HSU_ANNOUNCE_FD", "-1", "HSU_ANNOUNCE_FD='-1': not a descriptor's number"),
        ("HSU_ANNOUNCE_FD", "²", "HSU_ANNOUNCE_FD='²': not a descriptor's number"),
        ("HSU_ANNOUNCE_FD", "٣", "HSU_ANNOUNCE_FD='٣': not a descriptor's number"),
        ("HSU_LIFELINE", "fd3", "HSU_LIFELINE='fd3': neither 'stdin' nor 'none'"),
        ("HSU_LIFELINE", "", "HSU_LIFELINE='': neither 'stdin' nor 'none'"),
        ("HSU_TOKEN", "", "HSU_TOKEN is not set: write what callers have to present"),
        (
            "HSU_TOKEN",
            f"{SECRET}\n",
            "HSU_TOKEN: holds something else than printable ASCII, no spaces",
        ),
        (
            "HSU_MASTER_TOKEN",
            f"{SECRET} ä",
            "HSU_MASTER_TOKEN: holds something else than printable ASCII, no spaces",
        ),
    ],
)
def test_a_variable_that_holds_what_it_can_not_is_refused(
    name: str, value: str, problem: str
) -> None:
    environ = {**ALL, name: value}
    with pytest.raises(LaunchError) as caught:
        LaunchVariables.take(environ)
    assert problem == str(caught.value)
    assert {} == environ


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(LaunchError) as caught:
        LaunchVariables.take(
            {
                "HSU_INSTANCE": "x",
                "HSU_ANNOUNCE_FD": "y",
                "HSU_LIFELINE": "z",
                "HSU_TOKEN": "\n",
            }
        )
    assert [
        "HSU_INSTANCE='x': not 32 hex digits in lower case",
        "HSU_LISTEN is not set: write unix:<path> or tcp:127.0.0.1:0",
        "HSU_ANNOUNCE_FD='y': not a descriptor's number",
        "HSU_LIFELINE='z': neither 'stdin' nor 'none'",
        "HSU_TOKEN: holds something else than printable ASCII, no spaces",
    ] == str(caught.value).split("\n")


def test_no_token_is_shown() -> None:
    variables = LaunchVariables.take(dict(ALL))
    assert SECRET not in repr(variables)
    assert SECRET not in str(variables)
    assert "unix:/run/a.sock" in repr(variables)


broken = st.fixed_dictionaries(
    {},
    optional={name: st.text(max_size=40) for name in ALL if "TOKEN" not in name},
)


@given(broken, st.sampled_from(["", "\n", " ", "ä"]))
def test_no_error_shows_a_token(others: dict[str, str], ending: str) -> None:
    environ: dict[str, Any] = {
        **ALL,
        **others,
        "HSU_TOKEN": SECRET + ending,
        "HSU_MASTER_TOKEN": SECRET + ending,
    }
    try:
        shown = repr(LaunchVariables.take(environ))
    except LaunchError as error:
        shown = f"{error} {error!r} {error.__cause__!r} {error.__context__!r}"
    assert SECRET not in shown
    assert not {name for name in environ if name in ALL}
