"""From `.proto` files to the files of a Python package, straight through."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hsu_worker.codegen.clashes import refuse_clashes, refuse_modules
from hsu_worker.codegen.floor import declaration, floor_of
from hsu_worker.codegen.messages import rewrite_messages, rewrite_types
from hsu_worker.codegen.output import Output
from hsu_worker.codegen.protoc import Compiled, compile_protos
from hsu_worker.codegen.render import render
from hsu_worker.codegen.sources import ProtoPath, Sources
from hsu_worker.errors import CodegenError


def generate(
    protos: Sequence[Path], *, out: Path, proto_path: Sequence[Path] = (), protoc: str = ""
) -> Output:
    """Make the Python of `.proto` files; nothing is written yet.

        generate([Path("proto/mysvc.proto")], out=Path("src/mysvc/gen")).write()

    Args:
        protos: The files. What they import from the same folders is generated with them.

        out: The folder of the package to write.

        proto_path: The folders in which imports are looked for; the folder of the files when none
            is given.

        protoc: The compiler's command; the one of grpcio-tools when empty.

    Raises:
        CodegenError: A file doesn't compile, or can't become Python. The message lists why.
    """
    # hsu_worker's own messages are made by this generator too.
    is_ours = out.resolve() == Path(__file__).parents[1].resolve() / "gen"
    path = ProtoPath.of(protos, proto_path, is_ours=is_ours)
    names = path.names(protos)
    with TemporaryDirectory(prefix="hsu-gen-") as temporary:
        compiled = _compile(names, path, protoc, Path(temporary) / "listed")
        imported = [
            file.name
            for file in compiled.files.file
            if path.holds(file.name) and file.name not in names
        ]
        if imported:
            names = sorted([*names, *imported])
            compiled = _compile(names, path, protoc, Path(temporary) / "all")
        sources = Sources(compiled.files, names, path)
        made = {source.name: compiled.folder / source.stem for source in sources.owned}
        stubs = {
            source.name: rewrite_types(_read(f"{made[source.name]}_pb2.pyi"), source, sources)
            for source in sources.owned
        }
        refuse_clashes(sources, stubs)
        files: dict[Path, str] = {}
        messages: list[str] = []
        for source in sources.owned:
            messages.append(_read(f"{made[source.name]}_pb2.py"))
            files[out / f"{source.stem}.py"] = render(source, sources)
            files[out / f"{source.stem}_pb2.py"] = rewrite_messages(messages[-1], source, sources)
            files[out / f"{source.stem}_pb2.pyi"] = stubs[source.name]
    packages = {folder for file in files for folder in _up_to(out, file)}
    return Output(
        files,
        tuple(sorted(packages)),
        declaration(floor_of(messages), out),
        compiled.warnings,
    )


def _compile(names: Sequence[str], path: ProtoPath, protoc: str, into: Path) -> Compiled:
    refuse_modules(names)
    into.mkdir()
    return compile_protos(names, path, command=protoc, into=into)


def _up_to(out: Path, file: Path) -> list[Path]:
    return [out, *(out / parent for parent in file.relative_to(out).parents)]


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except OSError:
        raise CodegenError(
            f"protoc wrote no {Path(file).name}; grpcio-tools 1.76 and protoc 33 do"
        ) from None
