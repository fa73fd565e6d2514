"""The versions that a project is made with, and told to ask for."""

import json
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

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


def clone() -> Path | None:
    """The folder that hsu-worker was installed from; None: it came as a wheel, or from an index."""
    told = distribution("hsu-worker").read_text("direct_url.json")
    source = json.loads(told) if told else {}
    return Path(url2pathname(urlsplit(source["url"]).path)) if "dir_info" in source else None


def requirements() -> dict[str, str]:
    """What takes the place of each of `REQUIREMENTS`."""
    ours = version("hsu-worker").partition("+")[0]
    made_with = (f"{_FLOOR}{ours}", f"{_COMPILER}{version('grpcio-tools')}")
    return dict(zip(REQUIREMENTS, made_with, strict=True))
