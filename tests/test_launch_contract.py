"""docs/launch-contract.md says what the code does: names, numbers and fingerprints."""

import hashlib
import re
from dataclasses import fields
from pathlib import Path

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_tools import protoc

from hsu_worker.gen.hsu_a import InterfaceA
from hsu_worker.gen.hsu_core import Core, State
from hsu_worker.interface import fingerprint
from hsu_worker.wire import chain
from hsu_worker.wire.address import MAX_UNIX_PATH, Address
from hsu_worker.wire.announce import CONTRACT_VERSION, MAX_LINE, Announcement
from hsu_worker.wire.launch import LaunchVariables
from hsu_worker.wire.limits import Limits
from hsu_worker.wire.metadata import DISPATCHED, ERROR_DOMAIN, STATUS_DETAILS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "launch-contract.md").read_text()


def section(title: str) -> str:
    """The text under one heading."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, f"the page has no section {title!r}"
    return found[1]


def code(title: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", section(title), re.DOTALL | re.MULTILINE)


def first_cells(title: str) -> list[str]:
    """The first code span of each row of a section's tables."""
    return re.findall(r"^\| `([^`]+)`", section(title), re.MULTILINE)


@pytest.fixture
def echo(tmp_path: Path) -> ServiceDescriptor:
    """The service of the page's own `.proto`."""
    (tmp_path / "tiny.proto").write_text(code("Fingerprint", "proto")[0])
    out = tmp_path / "tiny.ds"
    assert 0 == protoc.main(
        ["protoc", f"-I{tmp_path}", f"--descriptor_set_out={out}", "tiny.proto"]
    )
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(out.read_bytes()).file:
        pool.Add(file)
    return pool.FindServiceByName("tiny.v1.Echo")


def test_the_fingerprints_are_true(echo: ServiceDescriptor) -> None:
    told = dict(re.findall(r"^\| `([\w.]+)` \| `([0-9a-f]{64})` \|$", PAGE, re.MULTILINE))
    assert {echo.full_name: fingerprint(echo), InterfaceA.name: InterfaceA.fingerprint} == told


def test_the_lines_of_the_small_fingerprint_are_sorted_and_hash_to_it(
    echo: ServiceDescriptor,
) -> None:
    [lines] = code("Fingerprint", "text")
    assert sorted(lines.splitlines(), key=str.encode) == lines.splitlines()
    assert fingerprint(echo) == hashlib.sha256(lines.encode()).hexdigest()


def test_the_variables_are_those_that_a_worker_takes() -> None:
    assert [f"HSU_{field.name.upper()}" for field in fields(LaunchVariables)] == first_cells(
        "Environment"
    )
    assert f"at most {MAX_UNIX_PATH} bytes" in section("Environment")


def test_the_announce_line_is_one_that_a_master_takes() -> None:
    [example] = code("The announce line", "text")
    _, version, instance, address = example.rstrip("\n").split(" ", 3)
    assert CONTRACT_VERSION == int(version)
    assert f"version {CONTRACT_VERSION}\n" in PAGE.splitlines(keepends=True)[0]
    assert f"at most {MAX_LINE:,} bytes" in section("The announce line")
    announcement = Announcement(instance=instance, address=Address.parse(address))
    assert example.encode() == announcement.line()
    assert announcement == Announcement.parse(
        example.encode(), instance=instance, asked=announcement.address
    )


def test_every_method_of_core_has_its_row() -> None:
    assert {method.name for method in Core.methods.values()} == set(first_cells("Core"))


def test_every_state_is_drawn() -> None:
    [drawing] = code("States", "text")
    drawn = set(re.findall(r"\b[A-Z]{5,}\b", drawing))
    assert {name.removeprefix("STATE_") for name in State.DESCRIPTOR.values_by_name} - {
        "UNSPECIFIED"
    } == drawn


def test_the_limits_are_the_defaults() -> None:
    told = re.findall(r"^\| `(\w+)`.*\| (\d+) \|$", section("Limits"), re.MULTILINE)
    assert [(field.name, field.default) for field in fields(Limits)] == [
        (name, int(value)) for name, value in told
    ]


@pytest.mark.parametrize("word", [DISPATCHED, STATUS_DETAILS, f"domain `{ERROR_DOMAIN}`"])
def test_the_words_of_errors_are_those_on_the_wire(word: str) -> None:
    assert word in section("Errors")


def test_the_reasons_are_those_that_the_worker_gives() -> None:
    given = {
        reason
        for path in (ROOT / "hsu_worker" / "serving").glob("*.py")
        for reason in re.findall(r"\b(?:error_info\(|reason = )\"([A-Z_]+)\"", path.read_text())
    }
    given |= {"NOT_RUNNING"}  # stands after an `else`
    given |= {chain.REASON}  # the master gives it, too
    assert given == set(first_cells("Errors"))
