"""What the repository promises about itself."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: Hand-written files with more lines hold more than one concept; tests tell longer stories, and those
#: of Go stand beside what they test.
MAX_LINES = {"hsu_worker": 400, "examples": 400, "tests": 800}

#: Written in two parts, or this file would find itself.
MACHINE_PATHS = [f"/{folder}/" for folder in ("work", "root", "home", "Users", "tmp")]
REGISTRIES = [
    f"{name}.{domain}"
    for name, domain in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("crates", "io"),
        # Not their domain alone: in Go that begins the names of modules.
        ("proxy", "golang.org"),
        ("sum", "golang.org"),
        ("maven", "org"),
    )
]
LOCK_FILES = {"uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock", "Cargo.lock", "go.sum"} | {
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "buf.lock",
}


def outside_make() -> dict[str, str]:
    """The environment without what `make test` tells the makes that it starts."""
    return {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}


def tracked() -> list[Path]:
    """The files that a commit of everything would hold."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def found_in_files(words: list[str], *, after: str) -> list[str]:
    """The lines with one of the words, unless it stands right behind one of the signs `after`."""
    pattern = re.compile("|".join(rf"(?<![{after}]){re.escape(word)}" for word in words))
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]


def requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    return [found for line in lines if (found := Requirement(line)).name != PROJECT["name"]]


def pins(name: str) -> dict[str, str]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
    pairs = [line.split("==") for line in lines if line]
    return {canonicalize_name(package): pinned for package, pinned in pairs}


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    assert [] == found_in_files(MACHINE_PATHS, after=r"\w.-")


def test_no_file_names_a_package_registry() -> None:
    assert [] == found_in_files(REGISTRIES, after=r"\w-")


def test_there_are_no_lock_files() -> None:
    assert [] == [path for path in tracked() if path.name in LOCK_FILES]


def folder_of(path: Path) -> str:
    """The folder of the root in which a file is."""
    return path.relative_to(ROOT).parts[0]


def is_go_test(path: Path) -> bool:
    return path.name.endswith("_test.go")


def test_no_hand_written_file_is_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked()
        if path.suffix in (".py", ".go")
        and "gen" not in path.parts
        and (limit := MAX_LINES.get("tests" if is_go_test(path) else folder_of(path)))
        and (lines := len(path.read_text().splitlines())) > limit
    }
    assert {} == long


def test_the_changelog_is_about_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[(\d[^\]]*)\]", changelog, re.MULTILINE)
    assert PROJECT["version"] == released[0]
    assert PROJECT["version"] == version("hsu-worker")


def test_constraints_min_holds_the_declared_floors() -> None:
    declared = {}
    for requirement in requirements():
        [floor] = [item.version for item in requirement.specifier if item.operator == ">="]
        declared[canonicalize_name(requirement.name)] = floor
    assert declared == pins("constraints-min.txt")


def test_constraints_name_an_allowed_version_of_every_requirement() -> None:
    pinned = pins("constraints.txt")
    assert canonicalize_name(PROJECT["name"]) not in pinned
    wrong = [
        str(requirement)
        for requirement in requirements()
        if not requirement.specifier.contains(
            Version(pinned.get(canonicalize_name(requirement.name), "0"))
        )
    ]
    assert [] == wrong


@dataclass(frozen=True)
class Ci:
    """A run of .ci/run that makes nothing: what it would have made, and what it said."""

    code: int
    made: list[str]
    said: str
    complained: str


#: Stands in for make: notes the target, which fails if it is FAILS, knows which toolchains are there, and ends as what
#: has hung until `timeout` ended it.
MAKE = """#!/bin/sh
for target; do :; done
if [ "$target" != toolchain ]; then
    echo "$target" >> "$NOTES"
    test "$target" != "$FAILS"
else
    case "$*" in
        *"/$MISSING "*) echo "$MISSING is missing: install it"; exit 1 ;;
        *"/$HANGS "*) exit 124 ;;
    esac
fi
"""


@pytest.fixture
def ci(tmp_path: Path) -> Callable[..., Ci]:
    stub = tmp_path / "make"
    stub.write_text(MAKE)
    stub.chmod(0o755)
    notes = tmp_path / "notes"
    environment = {key: value for key, value in os.environ.items() if key != "CI_LANGUAGES"}
    environment |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "NOTES": str(notes)}

    def run(
        *, missing: str = "none", hangs: str = "none", fails: str = "none", **variables: str
    ) -> Ci:
        notes.write_text("")
        ran = subprocess.run(
            [ROOT / ".ci" / "run"],
            env=environment | {"MISSING": missing, "HANGS": hangs, "FAILS": fails} | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ci(ran.returncode, notes.read_text().split(), ran.stdout, ran.stderr)

    return run


#: What everybody runs, whatever languages there are.
OURS = ["lint", "check-gen", "test"]


def test_ci_runs_what_people_run_and_says_what_it_leaves_out(ci: Callable[..., Ci]) -> None:
    ran = ci()
    assert (0, [*OURS, "test-go", "test-node", "test-java"]) == (ran.code, ran.made)
    assert ran.said.endswith(
        "\n== make test-rust: NOT RUN: it compiles for minutes; CI_LANGUAGES=all takes it, too"
        "\n== make test-swaps: NOT RUN: it takes go and rust\n"
    )

    ran = ci(missing="go")
    assert (0, [*OURS, "test-node", "test-java"]) == (ran.code, ran.made)
    assert "\n== make test-go: NOT RUN: go is missing: install it\n" in ran.said


def test_ci_begins_no_language_late_unless_somebody_asks_for_it(ci: Callable[..., Ci]) -> None:
    # Bash counts from there.
    ran = ci(SECONDS="5000")
    assert (0, OURS) == (ran.code, ran.made)
    told = (
        r"== make test-(\w+): NOT RUN: 500\d s have gone by; CI_LANGUAGES=\1 takes it, however late"
    )
    assert ["go", "node", "java"] == re.findall(told, ran.said)

    assert "test-java" in ci(SECONDS="5000", CI_LANGUAGES="all").made
    assert "test-java" in ci(SECONDS="5000", CI_LANGUAGES="java").made


def test_ci_takes_all_languages_that_are_there_and_says_which_are_not(
    ci: Callable[..., Ci],
) -> None:
    [known] = re.findall(r"^LANGUAGES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    tests = [f"test-{language}" for language in known.split()]
    ran = ci(CI_LANGUAGES="all")
    assert (0, [*OURS, *tests, "test-swaps"]) == (ran.code, ran.made)
    assert "NOT RUN" not in ran.said

    ran = ci(CI_LANGUAGES="all", missing="go")
    assert (0, [*OURS, *tests[1:]]) == (ran.code, ran.made)
    assert "\n== make test-go: NOT RUN: go is missing: install it\n" in ran.said


def test_ci_waits_for_no_libraries_that_do_not_come(ci: Callable[..., Ci]) -> None:
    ran = ci(hangs="go")
    assert (0, [*OURS, "test-node", "test-java"]) == (ran.code, ran.made)
    assert "\n== make test-go: NOT RUN: its libraries have not come within 180 s\n" in ran.said


def test_ci_takes_the_languages_that_are_named(ci: Callable[..., Ci]) -> None:
    ran = ci(CI_LANGUAGES="rust go")
    assert (0, [*OURS, "test-go", "test-rust", "test-swaps"]) == (ran.code, ran.made)
    assert "\n== make test-java: NOT RUN: CI_LANGUAGES does not name it\n" in ran.said

    assert OURS == ci(CI_LANGUAGES="").made


def test_ci_fails_at_once_where_a_language_that_is_named_is_missing(ci: Callable[..., Ci]) -> None:
    ran = ci(CI_LANGUAGES="node go", missing="go")
    assert (2, []) == (ran.code, ran.made)
    assert "CI_LANGUAGES: go can't be tested: go is missing: install it\n" == ran.complained


def test_ci_fails_at_once_where_no_language_has_the_name(ci: Callable[..., Ci]) -> None:
    ran = ci(CI_LANGUAGES="go jave")
    assert (2, []) == (ran.code, ran.made)
    assert (
        "CI_LANGUAGES: there is no 'jave'; name some of: go node rust java; or say: all\n"
        == ran.complained
    )


@pytest.mark.parametrize("target", [*OURS, "test-go"])
def test_ci_fails_where_something_fails(ci: Callable[..., Ci], target: str) -> None:
    ran = ci(fails=target)
    assert ran.code != 0
    assert target == ran.made[-1]


@pytest.mark.parametrize("target", ["build", "gen", "check-gen", "test"])
def test_a_language_whose_toolchain_is_missing_fails_loudly(target: str) -> None:
    ran = subprocess.run(
        ["make", "--directory", ROOT / "examples" / "go", target, "GO=no-such-go"],
        env=outside_make(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert 2 == ran.returncode
    assert "Go is missing: install 1.26 or newer, or name it with GO=...\n" in ran.stdout


def test_make_lists_its_targets() -> None:
    listed = subprocess.run(
        ["make"], check=True, capture_output=True, text=True, cwd=ROOT, env=outside_make()
    )
    targets = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets == re.findall(r"^  make (\S+)", listed.stdout, re.MULTILINE)


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A repository of our contracts, tagged."""
    for name in ("Makefile", "buf.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    git(tmp_path, "init", "--quiet")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    settings = ("user.name=test", "user.email=test@example.invalid", "core.hooksPath=nowhere")
    options = [option for setting in settings for option in ("-c", setting)]
    subprocess.run(["git", *options, *arguments], check=True, cwd=folder)


def breaking(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = Path(sys.prefix)
    return subprocess.run(
        ["make", "breaking", f"VENV={environment}", "--assume-old", f"{environment}/.installed"],
        env=outside_make(),
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )


def test_breaking_says_so_when_there_is_no_tag(released: Path) -> None:
    ran = breaking(released)
    assert (0, "There is no tag to compare proto/ with.\n") == (ran.returncode, ran.stdout)


def test_breaking_lets_additions_pass_and_stops_what_breaks(released: Path) -> None:
    git(released, "add", ".")
    git(released, "commit", "--quiet", "--message", "first")
    git(released, "tag", "v1")
    contract = released / "proto" / "hsu_a.proto"
    before = contract.read_text()

    contract.write_text(f"{before}\n// New.\nmessage New {{}}\n")
    assert 0 == breaking(released).returncode

    contract.write_text(before.replace("uint32 sentences = 2;", "uint32 sentences = 3;"))
    ran = breaking(released)
    assert ran.returncode != 0
    assert 'Previously present field "2"' in ran.stdout
