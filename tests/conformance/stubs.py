"""protoc's own modules of our contracts, as workers have them that don't use this package."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PROTOS = ("hsu_core.proto", "hsu_a.proto", "hsu_test_kinds.proto")


def compiled(folder: Path) -> Path:
    """Make them in a folder; returns it."""
    folder.mkdir(exist_ok=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc"),
            *(f"-I{ROOT / 'proto'}", f"-I{ROOT / 'tests' / 'protos'}"),
            *(f"--python_out={folder}", f"--grpc_python_out={folder}"),
            *_PROTOS,
        ],
        check=True,
    )
    return folder
