"""The shell of each test."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import BODY, Shell
from tests.master.running import text
from tests.worker.process import write_service


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    toml = text(f'app = "{write_service(tmp_path, BODY)}"', 'drain = "20s"')
    (tmp_path / "hsu.toml").write_text(toml)
    # Short: it is a part of the paths of sockets.
    with tempfile.TemporaryDirectory(prefix="hsu-t-") as runtime:
        yield Shell(tmp_path, {"XDG_RUNTIME_DIR": runtime})
