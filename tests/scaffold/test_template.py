"""The template is a project that works in its place."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from packaging.requirements import Requirement

from hsu_worker.cli import main
from hsu_worker.codegen.sources import shipped_folder
from hsu_worker.scaffold.template import project_files, taken_names, to_do_files
from hsu_worker.scaffold.versions import REQUIREMENTS
from tests.test_repo import outside_make, tracked

TEMPLATES = shipped_folder("templates")
PROJECT = TEMPLATES / "project"
PYPROJECTS = sorted(TEMPLATES.glob("*/pyproject.toml"))


def test_its_tests_pass_and_the_one_that_is_to_do_fails(tmp_path: Path) -> None:
    shutil.copytree(PROJECT, tmp_path / "project")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=tmp_path / "project",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 4 passed in " in done.stdout, done.stdout + done.stderr
    assert "UNIMPLEMENTED: HsuTodo.Ask is still to do\n" in done.stdout


def test_every_file_of_it_has_its_use() -> None:
    used = [
        *(PROJECT / path for path in {**project_files(), **to_do_files()}),
        *PYPROJECTS,
        *TEMPLATES.glob("minimal/README.md"),
        *PROJECT.glob("hsu_template/gen/*.py*"),
    ]
    assert {path for path in tracked() if path.is_relative_to(TEMPLATES)} == {*used}


def test_names_that_stand_beside_an_interface_are_known() -> None:
    names = {"Path", "CountRequest", "InvalidArgument", "BlockingMaster", "AskResponse", "pytest"}
    assert names <= taken_names()
    assert {"HsuInterface", "HsuInterfaceService", "HsuTodo"}.isdisjoint(taken_names())


@pytest.mark.parametrize("file", PYPROJECTS, ids=lambda file: file.parent.name)
def test_its_requirements_are_those_of_this_project(file: Path) -> None:
    ours = tomllib.loads((TEMPLATES.parent / "pyproject.toml").read_text())["project"]
    dev = {Requirement(line).name: line for line in ours["optional-dependencies"]["dev"]}
    project = tomllib.loads(file.read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    replaced = [line for line in lines if line in REQUIREMENTS]
    assert {"hsu-worker>=", "grpcio-tools=="} >= {re.sub(r"[\d.]+$", "", line) for line in replaced}
    assert replaced == [line for line in REQUIREMENTS if line in file.read_text()]
    others = [
        line for line in lines if line not in REQUIREMENTS and line != "hsu-worker[gen,reload]"
    ]
    assert others == [dev[Requirement(line).name] for line in others]
    assert project["requires-python"] == ours["requires-python"]


def test_each_requirement_that_is_replaced_is_in_a_template() -> None:
    texts = "".join(file.read_text() for file in PYPROJECTS)
    assert [] == [line for line in REQUIREMENTS if f'"{line}"' not in texts]


def targets() -> list[str]:
    return re.findall(r"^\.PHONY: (\S+)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)


def test_make_lists_its_targets() -> None:
    listed = subprocess.run(
        ["make"], check=True, capture_output=True, text=True, cwd=PROJECT, env=outside_make()
    )
    assert targets() == re.findall(r"^  make (\S+)  ", listed.stdout, re.MULTILINE)


def test_its_readme_names_targets_that_are_there() -> None:
    named = re.findall(r"make ([a-z-]+)[`\n]", (PROJECT / "README.md").read_text())
    assert ["install", "test", "master"] == named[:3]
    assert {*named} <= {*targets()}


def test_its_workflow_runs_what_people_run() -> None:
    workflow = yaml.safe_load((PROJECT / ".github/workflows/ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands == ["make lint check-gen test"]
    assert {"lint", "check-gen", "test"} <= {*targets()}


def dockerfile(instruction: str) -> list[str]:
    """The words of the last such instruction, which may be a JSON array."""
    text = (PROJECT / "Dockerfile").read_text().replace("\\\n", " ")
    found: list[str] = re.findall(rf"^{instruction}\s+(.*)$", text, re.MULTILINE)
    _, bracket, array = found[-1].partition("[")
    return yaml.safe_load(f"[{array}") if bracket else found[-1].split()


def test_the_image_serves_the_app_where_it_is_asked_for_its_health() -> None:
    program, name, *arguments = dockerfile("CMD")
    assert ("hsu-worker", "serve") == (program, name)
    command = main.get_command(click.Context(main), name)
    assert command is not None
    options = command.make_context(name, arguments).params
    assert ("hsu_template.worker:app", True) == (options["app"], options["insecure_remote"])

    (port,) = dockerfile("EXPOSE")
    assert (f"tcp:0.0.0.0:{port}",) == options["listen"]
    assert ["hsu-worker", "health", f"tcp:127.0.0.1:{port}"] == dockerfile("HEALTHCHECK")
    assert ["10001"] == dockerfile("USER")


def test_the_deployment_asks_for_readiness_and_for_liveness() -> None:
    documents: list[dict[str, Any]] = list(
        yaml.safe_load_all((PROJECT / "deploy/kubernetes.yaml").read_text())
    )
    kinds = {document["kind"]: document["spec"] for document in documents}
    pod = kinds["Deployment"]["template"]["spec"]
    (container,) = pod["containers"]
    port = int(*dockerfile("EXPOSE"))
    assert {"port": port, "service": ""} == container["readinessProbe"]["grpc"]
    assert {"port": port, "service": "live"} == container["livenessProbe"]["grpc"]
    assert [{"name": "grpc", "containerPort": port}] == container["ports"]
    assert (True, 10001) == (
        pod["securityContext"]["runAsNonRoot"],
        pod["securityContext"]["runAsUser"],
    )
    # 30 s for the calls that run, 10 s for the lifespans and all else.
    assert pod["terminationGracePeriodSeconds"] > 40
    labels = kinds["Deployment"]["template"]["metadata"]["labels"]
    assert labels == kinds["Service"]["selector"]
    assert labels == kinds["NetworkPolicy"]["podSelector"]["matchLabels"]
