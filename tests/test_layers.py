"""Imports run one way, up a list; what starts a worker stays small."""

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "hsu_worker"

#: Each may import those before it. docs/design.md says what they are.
LAYERS = (
    "errors",
    "interface",
    "wire",
    "gen",
    "authoring",
    "app",
    "loading",
    "serving",
    "worker",
    "testing",
    "pytest_plugin",
    "codegen",
    "scaffold",
    "master",
    "conformance",
    "doctor",
    "cli",
    "__main__",
)

#: What runs in every worker process.
WORKER_PATH = LAYERS[: LAYERS.index("worker") + 1]

#: Pairs that the list allows and the architecture doesn't.
STRANGERS = {("master", "worker"), ("master", "testing"), ("conformance", "worker")}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> str:
    """`hsu_worker.wire.client` is in `wire`; the package itself has none."""
    _, _, rest = module.partition(".")
    return rest.partition(".")[0]


def imports(path: Path, *, everywhere: bool = True) -> Iterator[tuple[int, str]]:
    """Line and full name of what a file imports; with `everywhere`, inside functions too."""
    tree = ast.parse(path.read_text())
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package.pop()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{name}.{alias.name}"
                is_module = (ROOT / inner.replace(".", "/")).with_suffix(".py").exists()
                yield node.lineno, inner if is_module or layer(inner) in LAYERS else name


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def loaded_after(statement: str, *packages: str) -> list[str]:
    """Which of the packages, or of their parts, a fresh interpreter has loaded after a statement."""
    ask = (
        "import json, sys\n"
        f"{statement}\n"
        f"wanted = {packages!r}\n"
        "print(json.dumps([m for m in sys.modules if m.startswith(wanted)]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", ask], check=True, capture_output=True, text=True, cwd=ROOT
    )
    loaded: list[str] = json.loads(answer.stdout.splitlines()[-1])
    return loaded


def test_every_file_of_the_package_has_its_layer() -> None:
    homeless = {layer(module_name(path)) for path in sources()} - {*LAYERS, ""}
    assert set() == homeless, "name the new layer in LAYERS, where it belongs"


def test_imports_run_one_way() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {own} imports {name}"
        for path in sources()
        if (own := layer(module_name(path)))
        for line, name in imports(path)
        if name.startswith("hsu_worker.")
        and (other := layer(name)) != own
        and (LAYERS.index(other) > LAYERS.index(own) or (own, other) in STRANGERS)
    ]
    assert [] == wrong


def test_the_package_imports_names_from_where_they_are_made() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources()
        for line, name in imports(path)
        if name == "hsu_worker"
    ]
    assert [] == wrong, (
        "write `from hsu_worker.errors import ...`, not `from hsu_worker import ...`"
    )


def test_the_worker_path_names_no_click_and_loads_no_telemetry() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sources()
        if layer(module_name(path)) in WORKER_PATH
        for everywhere, forbidden in ((True, "click"), (False, "opentelemetry"))
        for line, name in imports(path, everywhere=everywhere)
        if name.split(".")[0] == forbidden
    ]
    assert [] == wrong


def test_a_worker_loads_neither_click_nor_telemetry_nor_the_master() -> None:
    modules = [
        name
        for path in sources()
        if layer(name := module_name(path)) in WORKER_PATH and not name.endswith("__main__")
    ]
    assert [] == loaded_after(
        f"import {', '.join(modules)}", "click", "opentelemetry", "hsu_worker.master"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "import hsu_worker",
        "import hsu_worker.pytest_plugin",
        "import hsu_worker.master.discovery",
        "from hsu_worker.cli import main; main(['--help'], standalone_mode=False)",
        "from hsu_worker.cli import main; main(['--version'], standalone_mode=False)",
    ],
)
def test_what_needs_no_grpc_loads_none(statement: str) -> None:
    assert [] == loaded_after(statement, "grpc")


def test_a_probe_loads_little_beside_grpc() -> None:
    statement = "from hsu_worker.cli import health, _probing; import hsu_worker.wire.address"
    parts = ("master", "gen", "serving", "worker", "codegen", "testing", "doctor")
    assert [] == loaded_after(statement, *(f"hsu_worker.{part}" for part in parts))


def test_the_master_has_all_its_names_and_no_others() -> None:
    master = importlib.import_module("hsu_worker.master")
    assert set(master.__all__) <= set(dir(master))
    assert all(getattr(master, name).__name__ == name for name in master.__all__)
    with pytest.raises(AttributeError) as raised:
        _ = master.Mastr
    assert "module 'hsu_worker.master' has no attribute 'Mastr'" == str(raised.value)
