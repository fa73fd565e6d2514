"""A stranger's contracts, with every shape that there is, become a package that works."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hsu_worker.codegen.generate import generate
from tests.codegen.generated import STRANGER, texts

PROJECT = Path(__file__).parent.parent.parent

#: Some seconds for a cold cache; mypy needs one, pyright two.
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package `stranger`, and what its author wrote over it."""
    folder = tmp_path_factory.mktemp("project")
    generate(STRANGER, out=folder / "stranger" / "gen").write()
    (folder / "stranger" / "__init__.py").touch()
    user = Path(__file__).parent / "user" / "shop_service.txt"
    (folder / "stranger" / "service.py").write_text(user.read_text())
    return folder


def run(project: Path, *command: str) -> str:
    """Run Python's module or code in the folder; its output, if it succeeds."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def look(project: Path, code: str) -> Any:
    """What `code`, which imports the package in a process of its own, prints as JSON."""
    return json.loads(run(project, "-W", "error", "-c", code))


def test_files_mirror_the_folders_and_hold_no_grpc_stubs(project: Path) -> None:
    modules = ["common/deep/coin", "common/forward", "common/money", "no_package/v1"]
    modules += ["odd", "shop", "words"]
    packages = ["", "common/", "common/deep/", "no_package/"]
    expected = {f"{package}__init__.py" for package in packages} | {
        f"{module}{end}" for module in modules for end in (".py", "_pb2.py", "_pb2.pyi")
    }
    assert set(texts(project / "stranger" / "gen")) - _caches(project) == expected


def _caches(project: Path) -> set[str]:
    return {name for name in texts(project / "stranger" / "gen") if "__pycache__" in name}


def test_mypy_strict_accepts_the_package_and_its_user(project: Path) -> None:
    (project / "mypy.ini").write_text("[mypy]\n")
    said = run(project, "-m", "mypy", "--strict", "--cache-dir", str(project / "cache"), "stranger")
    assert said == "Success: no issues found in 20 source files\n"


def test_pyright_strict_accepts_the_package_and_its_user(project: Path) -> None:
    settings = {"include": ["stranger"], "typeCheckingMode": "strict", "pythonVersion": "3.11"}
    (project / "pyrightconfig.json").write_text(json.dumps(settings))
    said = run(project, "-m", "pyright", "--pythonpath", sys.executable)
    assert said.splitlines()[-1] == "0 errors, 0 warnings, 0 informations"


def test_every_module_imports_and_its_service_is_checked(project: Path) -> None:
    code = """
import json
from stranger import service
from stranger.gen.no_package.v1 import Purse
from stranger.gen.shop import Nothing, Shop, Store
from stranger.gen.words import Reply
print(json.dumps([interface.name for interface in (Shop, Store, Nothing, Purse, Reply)]))
"""
    assert look(project, code) == [
        "stranger.shop.v1.Shop",
        "stranger.shop.v1.Store",
        "stranger.shop.v1.Nothing",
        "Purse",
        "stranger.words.Reply",
    ]


def test_methods_have_their_kinds_and_messages(project: Path) -> None:
    code = """
import json
from stranger.gen.shop import Shop
print(json.dumps([
    [m.handler, m.kind, m.request.DESCRIPTOR.full_name, m.response.DESCRIPTOR.full_name]
    for m in Shop.methods.values()
]))
"""
    assert look(project, code) == [
        ["buy", "unary", "stranger.shop.v1.Order", "stranger.shop.v1.Order.Receipt"],
        ["watch_price", "server stream", "stranger.shop.v1.Order.Item", "stranger.common.Money"],
        ["buy_many", "client stream", "stranger.shop.v1.Order", "google.protobuf.Empty"],
        [
            "haggle",
            "bidirectional stream",
            "stranger.common.Money",
            "stranger.common.deep.Coin",
        ],
        ["get_http_info", "unary", "google.protobuf.Timestamp", "google.protobuf.Struct"],
        [
            "what_is_the_state_of_the_worker_that_serves_this_shop",
            "unary",
            "hsu.core.v1.GetStatusRequest",
            "hsu.core.v1.GetStatusResponse",
        ],
        ["match", "unary", "google.protobuf.Empty", "google.rpc.Status"],
    ]


def test_messages_of_imported_files_are_the_same_classes_everywhere(project: Path) -> None:
    code = """
import json
from hsu_worker.gen import hsu_core
from stranger.gen.common import forward, money
from stranger.gen.common.deep import coin
from stranger.gen.shop import Shop
methods = Shop.methods
print(json.dumps([
    forward.Coin is coin.Coin,
    methods["watch_price"].response is money.Money,
    methods["haggle"].response is coin.Coin,
    methods["what_is_the_state_of_the_worker_that_serves_this_shop"].request
    is hsu_core.GetStatusRequest,
]))
"""
    assert look(project, code) == [True, True, True, True]


def test_messages_can_be_pickled_by_the_package_that_they_are_in(project: Path) -> None:
    code = """
import json, pickle
from stranger.gen.shop import Order
order = Order(card="1234")
print(json.dumps([Order.__module__, pickle.loads(pickle.dumps(order)) == order]))
"""
    assert look(project, code) == ["stranger.gen.shop_pb2", True]


def test_a_star_import_brings_all_names_but_keywords(project: Path) -> None:
    code = """
import json
from stranger.gen import shop
print(json.dumps(shop.__all__ + [shop.Colour.Value("None")]))
"""
    assert look(project, code) == [
        "BlockingNothingClient",
        "BlockingShopClient",
        "BlockingStoreClient",
        "COLOUR_RED",
        "COLOUR_UNSPECIFIED",
        "Colour",
        "Nothing",
        "NothingClient",
        "NothingHandlers",
        "Order",
        "Shop",
        "ShopClient",
        "ShopHandlers",
        "Store",
        "StoreClient",
        "StoreHandlers",
        2,
    ]


def test_comments_become_docstrings(project: Path) -> None:
    code = """
import json
from inspect import getdoc
from stranger.gen import shop
from stranger.gen.common import money
print(json.dumps([getdoc(each) for each in (
    shop,
    shop.ShopHandlers,
    shop.ShopClient,
    shop.BlockingShopClient,
    shop.StoreClient,
    shop.ShopHandlers.buy,
    shop.ShopClient.watch_price,
    shop.BlockingShopClient.haggle,
    shop.ShopClient.get_http_info,
    shop.ShopClient.buy_many,
    money,
)]))
"""
    module, handlers, client, blocking, block_comment, *methods, without = look(project, code)
    assert module == (
        "The shop of a stranger: every shape that a contract can have.\n\n"
        'Second paragraph, with a \\ backslash and """quotes""".'
    )
    assert handlers == (
        "Sells things.\n\nWhat a class marked with `@implements(Shop)` has to have."
    )
    assert client == "Calls stranger.shop.v1.Shop.\n\nSells things."
    assert blocking == (
        "Calls stranger.shop.v1.Shop, for programs without an event loop.\n\nSells things."
    )
    assert block_comment == "Calls stranger.shop.v1.Store.\n\nKeeps things."
    assert methods == [
        "Buys one thing.",
        'Watches a price until the caller leaves.\nEnds with a "quote"',
        "Bids and asks.",
        "Moves time.",
        None,
    ]
    assert without == "Messages and interfaces of common/money.proto."


def test_comments_of_messages_and_fields_are_in_the_stubs(project: Path) -> None:
    stubs = (project / "stranger" / "gen" / "shop_pb2.pyi").read_text()
    for line in (
        'class Order(_message.Message):\n    """What somebody wants."""\n',
        '    class Item(_message.Message):\n        """One line of it."""\n',
        '        name: _builtins.str\n        """What it is."""\n',
        '            """How it is packed."""\n',
        '        WRAP_UNSPECIFIED: Order.Item.Wrap\n        """As it is."""\n',
        '    cash: _money_pb2.Money\n    """In cash."""\n',
        'COLOUR_RED: Colour\n"""Like a tomato."""\n',
    ):
        assert line in stubs


def test_the_text_is_as_the_formatter_would_leave_it(project: Path, tmp_path: Path) -> None:
    written = [
        path
        for path in (project / "stranger" / "gen").rglob("*.py")
        if not path.name.endswith("_pb2.py")
    ]
    for number, path in enumerate(written):
        # The line that keeps a formatter with other settings away.
        copy = tmp_path / f"{number}.py"
        copy.write_text(path.read_text().replace("# fmt: off\n", ""))
    settings = str(PROJECT / "pyproject.toml")
    said = run(tmp_path, "-m", "ruff", "format", "--diff", "--config", settings, ".")
    assert said == ""


def test_the_same_protos_make_the_same_bytes(project: Path, tmp_path: Path) -> None:
    generate(list(reversed(STRANGER)), out=tmp_path / "gen").write()
    first = texts(project / "stranger" / "gen")
    second = texts(tmp_path / "gen")
    assert {name: first[name] for name in second} == second
