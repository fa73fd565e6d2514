"""What the doctor says of the variables of the shell."""

from pathlib import Path

import pytest

from hsu_worker.doctor.environment import environment
from hsu_worker.doctor.finding import Finding, ok, warning

ALL_WELL = [ok("environment", "no variable of this shell is misspelt")]


def found() -> list[Finding]:
    return list(environment(["HSU_SERVE_LISTEN", "HSU_LIST_JSON"])(Path()))


@pytest.mark.parametrize("name", ["HSU_SERVE_LISTEN", "HSU_MASTER", "HSU_MASTER_TOKEN_FILE"])
def test_known_variables_are_well(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    assert ALL_WELL == found()


def test_variables_of_a_program_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSU_B_INDEX", "x")
    assert ALL_WELL == found()


@pytest.mark.parametrize(
    ("name", "near"), [("HSU_SERVE_LISTN", "HSU_SERVE_LISTEN"), ("HSU_MASTR", "HSU_MASTER")]
)
def test_a_misspelt_one_is_told(monkeypatch: pytest.MonkeyPatch, name: str, near: str) -> None:
    monkeypatch.setenv(name, "x")
    cause = f"{name} is set, and nothing reads it"
    assert [warning("environment", cause, f"write {near}")] == found()


@pytest.mark.parametrize("port", ["http", "-1", "65536", "\u0663"])
def test_a_port_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("PORT", port)
    cause = f"PORT={port!r} is not a port, and `hsu-worker serve` refuses it"
    assert [warning("environment", cause, "correct it, or unset it")] == found()


def test_a_port_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8080")
    assert ALL_WELL == found()
