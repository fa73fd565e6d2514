from pathlib import Path

from tests.languages.demo import shows_what_it_shows
from tests.languages.node.built import WORKER


def test_the_demo_runs_with_it(tmp_path: Path) -> None:
    shows_what_it_shows(tmp_path, {"summarizer": WORKER})
