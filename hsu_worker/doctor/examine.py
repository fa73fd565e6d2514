"""All checks, one after the other."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from hsu_worker.doctor.bytecode import bytecode
from hsu_worker.doctor.config import config
from hsu_worker.doctor.environment import environment
from hsu_worker.doctor.finding import Check, Finding, problem
from hsu_worker.doctor.generated import generated
from hsu_worker.doctor.installation import grpc_variables, packages, python, requirements
from hsu_worker.doctor.limits import limits
from hsu_worker.doctor.project import project
from hsu_worker.doctor.runtime import masters, sockets

#: In the order of what depends on what.
CHECKS: Final[tuple[Check, ...]] = (
    python,
    requirements,
    packages,
    grpc_variables,
    bytecode,
    project,
    generated,
    config,
    sockets,
    masters,
    limits,
)


def examine(folder: Path, variables: Collection[str] = ()) -> Iterator[Finding]:
    """Look at this installation, and at the project in a folder.

        for finding in examine(Path()):
            print(finding.verdict, finding.cause)

    Args:
        folder: The folder of the project.

        variables: Those that stand for options of commands.
    """
    for check in (*CHECKS, environment(variables)):
        try:
            yield from check(folder)
        except Exception as error:
            # One that breaks shall not hide what the others find.
            found = f"the check itself failed: {type(error).__name__}: {error}"
            yield problem(check.__name__, found, "report it, please")
