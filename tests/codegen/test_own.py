"""Our own generated code is what this generator makes."""

from pathlib import Path

from hsu_worker.codegen.generate import generate
from hsu_worker.wire.blocking import BlockingClient
from hsu_worker.wire.client import Client

PROJECT = Path(__file__).parent.parent.parent


def test_the_modules_in_the_tree_are_what_is_made_of_the_protos() -> None:
    # protoc's own files differ from version to version; `make check-gen` compares those.
    out = PROJECT / "hsu_worker" / "gen"
    made = generate(sorted((PROJECT / "proto").rglob("*.proto")), out=out).files
    modules = {path: text for path, text in made.items() if not path.stem.endswith("_pb2")}
    assert {path.name for path in modules} == {
        "grpc_controller.py",
        "grpc_stdio.py",
        "hsu_a.py",
        "hsu_b.py",
        "hsu_core.py",
        "hsu_master.py",
    }
    assert {path: path.read_text() for path in modules} == modules


def test_clients_have_no_public_attribute_that_a_method_could_hide() -> None:
    names = {*dir(Client), *dir(BlockingClient)}
    assert {name for name in names if not name.startswith("_")} == set()
