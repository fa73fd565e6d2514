"""The demo, with units in another language."""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hsu_worker.master.values import toml

EXAMPLES = Path(__file__).parents[2] / "examples"

#: The lines of `examples/main/hsu.toml` that say what a unit is.
APPS = {
    name: f'app = "hsu_{letter}_service1:App"\nimplements = ["hsu.{letter}.v1.Interface{letter.upper()}"]\n'
    f'cwd = "../hsu_{letter}_service1"'
    for name, letter in (("summarizer", "a"), ("index", "b"))
}


def shows_what_it_shows(tmp_path: Path, commands: Mapping[str, Sequence[str]]) -> None:
    """Run it in a copy whose units are launched by these commands, and see that it finds flour."""
    folder = tmp_path / "main"
    shutil.copytree(EXAMPLES / "main", folder)
    text = (folder / "hsu.toml").read_text()
    for name, app in APPS.items():
        assert app in text
        first, implements, cwd = app.splitlines()
        if name in commands:
            launch = f"command = {toml(list(commands[name]))}\n{implements}"
        else:
            launch = f'{first}\n{implements}\ncwd = "{EXAMPLES / Path(cwd.split(chr(34))[1]).name}"'
        text = text.replace(app, launch)
    (folder / "hsu.toml").write_text(text)
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "mill.md").write_text("# Mill\n\nMillers make flour of wheat. Wheat is ground.\n")
    (notes / "sea.txt").write_text("Nobody bakes at sea.\n")
    ran = subprocess.run(
        [
            *(sys.executable, str(folder / "main.py"), str(notes)),
            *("--state", str(tmp_path / "state"), "--query", "flour", "--sentences", "1"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (ran.returncode, ran.stderr), ran.stdout
    assert "ingested: 2 added" in ran.stdout
    assert "Millers make flour of wheat." in ran.stdout
