"""docs/launch-contract.md says what the code does: names, numbers and fingerprints."""

import base64
import hashlib
import re
from dataclasses import fields
from pathlib import Path

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_tools import protoc

from hsu_worker.conformance import bounds
from hsu_worker.conformance.catalog import CHECKS, UNPROVEN
from hsu_worker.errors import LaunchError
from hsu_worker.gen.hsu_a import InterfaceA
from hsu_worker.gen.hsu_core import Core, State
from hsu_worker.interface import fingerprint
from hsu_worker.serving import server
from hsu_worker.wire import chain
from hsu_worker.wire.address import MAX_UNIX_PATH, Address
from hsu_worker.wire.announce import CONTRACT_VERSION, MAX_LINE, Announcement
from hsu_worker.wire.connection import keepalive_options
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
def tiny(tmp_path: Path) -> dict[str, ServiceDescriptor]:
    """The services of the page's own `.proto` files, by their names."""
    services = {}
    for number, text in enumerate(code("Fingerprint", "proto")):
        (tmp_path / "tiny.proto").write_text(text)
        out = tmp_path / f"{number}.ds"
        google = Path(protoc.__file__).parent / "_proto"
        assert 0 == protoc.main(
            [
                *("protoc", f"-I{tmp_path}", f"-I{google}", "--include_imports"),
                *(f"--descriptor_set_out={out}", "tiny.proto"),
            ]
        )
        pool = DescriptorPool()
        for file in FileDescriptorSet.FromString(out.read_bytes()).file:
            pool.Add(file)
            for service in file.service:
                found = pool.FindServiceByName(f"{file.package}.{service.name}")
                services[found.full_name] = found
    return services


def test_the_fingerprints_are_true(tiny: dict[str, ServiceDescriptor]) -> None:
    told = dict(re.findall(r"^\| `([\w.]+)` \| `([0-9a-f]{64})` \|$", PAGE, re.MULTILINE))
    true = {name: fingerprint(service) for name, service in tiny.items()}
    assert {**true, InterfaceA.name: InterfaceA.fingerprint} == told


def test_the_lines_of_the_fingerprints_are_sorted_and_hash_to_them(
    tiny: dict[str, ServiceDescriptor],
) -> None:
    shown = code("Fingerprint", "text")
    assert len(tiny) == len(shown)
    for service, lines in zip(tiny.values(), shown, strict=True):
        assert sorted(lines.splitlines(), key=str.encode) == lines.splitlines()
        assert fingerprint(service) == hashlib.sha256(lines.encode()).hexdigest()


def test_the_variables_are_those_that_a_worker_takes() -> None:
    assert [f"HSU_{field.name.upper()}" for field in fields(LaunchVariables)] == first_cells(
        "Environment"
    )
    assert f"at most {MAX_UNIX_PATH} bytes" in section("Where to listen")


def test_pings_may_come_as_often_as_the_page_and_the_kit_say() -> None:
    ours = dict(keepalive_options(Address.parse("tcp:worker.example:7000")))
    told = section("Where to listen")
    assert f"come every {bounds.PING:g} s" in told
    assert f"own every\n{int(ours['grpc.keepalive_time_ms']) // 1000} s" in told
    assert f"{server.PING_INTERVAL / 1000:g} s\nis a good bound" in told
    assert server.PING_INTERVAL / 1000 < bounds.PING


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


@pytest.mark.parametrize(
    ("asked", "announced", "verdict"),
    re.findall(r"^\| `([^`]+)` \| `(HSU [^`]+)` \| (.*) \|$", PAGE, re.MULTILINE),
)
def test_the_master_takes_and_refuses_what_the_page_says(
    asked: str, announced: str, verdict: str
) -> None:
    taken = "taken"
    try:
        Announcement.parse(
            f"{announced}\n".encode(),
            instance="6f1ed002ab5595859014ebf0951522d9",
            asked=Address.parse(asked),
        )
    except LaunchError:
        taken = "refused"
    assert taken == verdict.partition(":")[0]


def test_every_method_of_core_has_its_requirements() -> None:
    told = section("Core")
    assert [] == [each.name for each in Core.methods.values() if each.name not in told]


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


def test_the_details_of_the_example_are_those_of_the_refusal() -> None:
    [text] = code("Errors", "text")
    status = Status.FromString(base64.b64decode(f"{text.strip()}=="))
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (14, "STOPPED", "hsu", "NOT_RUNNING") == (
        status.code,
        status.message,
        info.domain,
        info.reason,
    )


#: The requirements, with their levels.
REQUIREMENTS = dict(re.findall(r"^- `([A-Z]\d+)` (must|should|may): ", PAGE, re.MULTILINE))


def test_requirements_have_numbers_of_their_own_in_order() -> None:
    numbers = re.findall(r"^- `([A-Z])(\d+)` ", PAGE, re.MULTILINE)
    assert len(REQUIREMENTS) == len(numbers)
    for letter in dict.fromkeys(letter for letter, _ in numbers):
        own = [int(number) for each, number in numbers if each == letter]
        assert list(range(1, len(own) + 1)) == own, letter


def test_each_requirement_is_proven_by_a_check_or_the_kit_says_why_not() -> None:
    proven = {name for each in CHECKS.values() for name in each.proves}
    assert set(REQUIREMENTS) == proven | set(UNPROVEN)
    assert set() == proven & set(UNPROVEN)


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_has_the_level_of_what_it_proves(name: str) -> None:
    proven = {REQUIREMENTS[requirement] for requirement in CHECKS[name].proves}
    assert {str(CHECKS[name].level)} == proven
