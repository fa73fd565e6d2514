"""A service is added to somebody's app where that is safe; otherwise the lines are shown."""

from pathlib import Path

import pytest

from hsu_worker.scaffold.edits import Edits, edits_for
from hsu_worker.scaffold.names import InterfaceName

INTERFACE = InterfaceName("Spelling", "mine")
TOML = '[units.u]\napp = "mine.worker:app"\nimplements = ["mine.v1.Mine"]\n'
WORKER = "from hsu_worker import App\nfrom mine.service import A\n\napp = App(A(), name='é')\n"
TOML_AFTER = TOML.replace('"mine.v1.Mine"', '"mine.v1.Mine", "mine.spelling.v1.Spelling"')


def edited(folder: Path, toml: str = TOML, worker: str = WORKER) -> Edits:
    (folder / "mine").mkdir()
    (folder / "mine" / "worker.py").write_bytes(worker.encode())
    (folder / "hsu.toml").write_bytes(toml.encode())
    return edits_for(INTERFACE, folder)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            WORKER,
            (
                "from hsu_worker import App\nfrom mine.service import A\n"
                "from mine.spelling import SpellingService\n\n"
                "app = App(A(), SpellingService(), name='é')\n"
            ),
        ),
        (
            "import hsu_worker\nfrom mine.zeta import Z\napp = hsu_worker.App(\n    Z('é', 1),\n)\n",
            (
                "import hsu_worker\nfrom mine.spelling import SpellingService\nfrom mine.zeta import Z\n"
                "app = hsu_worker.App(\n    Z('é', 1),\n    SpellingService(),\n)\n"
            ),
        ),
        (
            (
                'é = "é"; from hsu_worker import App\nmade: App = App("é".x(A()))\n\n'
                'app: App = App("é".x(\n    A()))'
            ),
            (
                'é = "é"; from hsu_worker import App\nfrom mine.spelling import SpellingService\n'
                'made: App = App("é".x(A()))\n\n'
                'app: App = App("é".x(\n    A()), SpellingService())'
            ),
        ),
        (
            "from hsu_worker import App\r\nfrom mine import (\r\n  a,\r\n)\r\napp = App(\r\n\ta\r\n)\r\n",
            (
                "from hsu_worker import App\r\nfrom mine import (\r\n  a,\r\n)\r\n"
                "from mine.spelling import SpellingService\r\n"
                "app = App(\r\n\ta,\r\n\tSpellingService()\r\n)\r\n"
            ),
        ),
    ],
    ids=["one line", "a line each", "no import of the package", "CRLF"],
)
def test_the_service_is_added_and_nothing_else(tmp_path: Path, before: str, after: str) -> None:
    edits = edited(tmp_path, worker=before)
    assert after == edits.texts[tmp_path / "mine" / "worker.py"]
    assert TOML_AFTER == edits.texts[tmp_path / "hsu.toml"]
    assert [] == edits.by_hand


@pytest.mark.parametrize(
    "worker",
    [
        "def app(): ...\n",
        "from hsu_worker import App\napp = App()\n",
        "from hsu_worker import App\napp = App(*services)\n",
        "from hsu_worker import App\napp = make_app(A())\n",
        "from hsu_worker import App\nother = App(A())\n",
        "app = App(A())\n",
        "app = App(A())\nfrom hsu_worker import App\n",
        "app = App(A()",
        "",
    ],
    ids=[
        "a factory",
        "no services",
        "a list of services",
        "another function",
        "another name",
        "no import",
        "a late import",
        "not Python",
        "empty",
    ],
)
def test_an_app_that_cannot_be_changed_safely_is_left_alone(tmp_path: Path, worker: str) -> None:
    edits = edited(tmp_path, worker=worker)
    # The unit must not say more than its worker offers.
    assert {} == edits.texts
    assert edits.by_hand == [
        (
            f"{tmp_path}/mine/worker.py: add SpellingService() to the services of the App, and\n"
            "    from mine.spelling import SpellingService"
        ),
        f'{tmp_path}/hsu.toml: then add to what unit u implements\n    "mine.spelling.v1.Spelling"',
    ]


@pytest.mark.parametrize(
    "toml",
    [
        TOML.replace('"mine.v1.Mine"', ""),
        TOML.replace('["mine.v1.Mine"]', "3"),
        TOML.replace("mine.v1", "mi\\u006ee.v1"),
    ],
    ids=["empty", "no list", "escaped"],
)
def test_a_list_that_cannot_be_changed_safely_is_left_alone(tmp_path: Path, toml: str) -> None:
    edits = edited(tmp_path, toml)
    assert [tmp_path / "mine" / "worker.py"] == list(edits.texts)
    assert edits.by_hand == [
        f'{tmp_path}/hsu.toml: then add to what unit u implements\n    "mine.spelling.v1.Spelling"',
    ]


@pytest.mark.parametrize(
    "toml",
    [
        TOML + TOML.replace("units.u", "units.v"),
        TOML.replace("mine.worker", "yours.worker"),
        "[units.u]\ncommand = ['x']\n",
        "units = 3\n",
        "units.u = 3\n",
        "not toml",
        "",
    ],
    ids=["two units", "another package", "no app", "no units", "no unit", "not TOML", "empty"],
)
def test_without_one_unit_of_the_package_both_lines_are_shown(tmp_path: Path, toml: str) -> None:
    edits = edited(tmp_path, toml)
    assert {} == edits.texts
    assert edits.by_hand == [
        (
            "add SpellingService() to the services of the App, and\n"
            "    from mine.spelling import SpellingService"
        ),
        (
            f"{tmp_path}/hsu.toml: then add to what its unit implements\n"
            '    "mine.spelling.v1.Spelling"'
        ),
    ]


def test_an_app_in_the_package_itself_is_changed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text(WORKER)
    (tmp_path / "hsu.toml").write_text(TOML.replace("mine.worker", "mine"))
    edits = edits_for(INTERFACE, tmp_path)
    assert [tmp_path / "mine" / "__init__.py", tmp_path / "hsu.toml"] == list(edits.texts)
