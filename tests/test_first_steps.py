"""The first steps in the docs took the time that is said, and can be taken."""

import sys
import tempfile
from pathlib import Path

import pytest

from bench.first_steps import PAGE, rendered, used


def test_the_page_shows_what_was_measured() -> None:
    assert rendered() == PAGE.read_text()


@pytest.mark.timeout(300)
def test_the_first_steps_can_be_taken() -> None:
    """Here with what is installed already; `make first-steps` begins with the wheel."""
    with tempfile.TemporaryDirectory(prefix="hsu-t-") as folder:
        steps = [what for what, _, _ in used(Path(sys.executable).parent, Path(folder))]
    assert [
        "make a project",
        "test it",
        "serve it",
        "call it",
        "edit it",
        "start it by a master",
    ] == steps
