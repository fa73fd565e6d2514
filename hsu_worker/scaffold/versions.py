"""The versions that a project is made with, and told to ask for."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

#: The template's requirements of them, without the version.
_FLOOR: Final = "hsu-worker>="
#: One compiler for everybody who works on the project.
_COMPILER: Final = "grpcio-tools=="

#: The requirements as the template has them.
REQUIREMENTS: Final = (f"{_FLOOR}0.1.0", f"{_COMPILER}1.76.0")


def compiler_problems() -> Iterator[str]:
    """Why nothing can be generated."""
    try:
        version("grpcio-tools")
    except PackageNotFoundError:
        yield "there is no protobuf compiler; install it with: pip install 'hsu-worker[gen]'"


def requirements() -> dict[str, str]:
    """What takes the place of each of `REQUIREMENTS`."""
    ours = version("hsu-worker").partition("+")[0]
    made_with = (f"{_FLOOR}{ours}", f"{_COMPILER}{version('grpcio-tools')}")
    return dict(zip(REQUIREMENTS, made_with, strict=True))
