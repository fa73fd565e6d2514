"""The documents of the demo: those of a folder, or the documentation that this machine has."""

import ast
import hashlib
import os
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from pydoc_data.topics import topics

from hsu_worker.gen.hsu_b import Document

PROJECT = Path(__file__).resolve().parents[2]

#: This project's documentation.
OWN = ("*.md", "LICENSE", "docs/**/*.md", "examples/*/README.md", "proto/*.proto")

#: What counts as a document in a folder.
SUFFIXES = frozenset((".md", ".markdown", ".rst", ".txt", ".text", ".adoc"))

#: Documents of one folder, and bytes of one document, at the most.
MAX_DOCUMENTS = 5_000
MAX_BYTES = 1 << 20

#: Takes a remark on something that was left out.
Remark = Callable[[str], None]


class NothingToIndex(Exception):
    """There is no document. The message says where, and why."""


def from_folder(folder: Path, remark: Remark) -> list[Document]:
    """The text files below a folder; the id is the path.

    Raises:
        NothingToIndex: There are none, or there is no such folder.
    """
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        raise NothingToIndex(f"{folder}: {what}")
    documents = list(_read_all(_files(folder, remark), folder, "", remark))
    if not documents:
        kinds = " ".join(sorted(SUFFIXES))
        raise NothingToIndex(f"{folder}: no document in it that can be read ({kinds})")
    return documents


def from_environment(remark: Remark) -> list[Document]:
    """This project's documentation, that of the installed packages, and Python's own."""
    own = [file for pattern in OWN for file in sorted(PROJECT.glob(pattern))]
    documents = list(_read_all(own, PROJECT, "project/", remark))
    documents += _packages()
    documents += (
        Document(id=f"python/topic/{name}", title=f"Python: {name}", text=text)
        for name, text in topics.items()
    )
    documents += _modules()
    # A package that is installed twice is one.
    return list({document.id: document for document in documents}.values())


def digest(documents: Iterable[Document]) -> str:
    """What GetStats answers when the index holds just these (see hsu_b.proto)."""
    lines = {
        document.id.encode(): hashlib.sha256(f"{document.title}\0{document.text}".encode())
        for document in documents
    }
    whole = hashlib.sha256()
    for id_, text in sorted(lines.items()):
        whole.update(id_ + b"\n" + text.hexdigest().encode() + b"\n")
    return whole.hexdigest()


def typical_words(documents: list[Document], count: int = 3) -> str:
    """A query that finds something: frequent long words that don't stand in most documents."""
    total: Counter[str] = Counter()
    holders: Counter[str] = Counter()
    for document in documents:
        words = re.findall(r"[^\W\d_]{6,}", document.text.lower())
        total.update(words)
        holders.update(set(words))
    telling = [word for word in total if holders[word] <= len(documents) // 2 + 1]
    telling.sort(key=lambda word: (-total[word], word))
    if telling:
        return " ".join(telling[:count])
    return next((word[0] for each in documents if (word := re.search(r"\w+", each.text))), "text")


def _files(folder: Path, remark: Remark) -> list[Path]:
    found: list[Path] = []
    for here, folders, names in os.walk(
        folder, onerror=lambda error: remark(f"{error.filename}: {error.strerror}")
    ):
        # Neither hidden ones nor environments of Python and Node.
        folders[:] = [
            name
            for name in sorted(folders)
            if not name.startswith(".")
            and name not in ("node_modules", "__pycache__")
            and not Path(here, name, "pyvenv.cfg").exists()
        ]
        found += (
            Path(here, name)
            for name in sorted(names)
            if Path(name).suffix.lower() in SUFFIXES or name in ("LICENSE", "README")
        )
        if len(found) > MAX_DOCUMENTS:
            remark(f"{folder}: more than {MAX_DOCUMENTS} documents; the rest is left out")
            break
    return found[:MAX_DOCUMENTS]


def _read_all(
    files: Iterable[Path], folder: Path, prefix: str, remark: Remark
) -> Iterator[Document]:
    for file in files:
        name = prefix + _printable(file.relative_to(folder).as_posix())
        try:
            text = _read(file)
        except (OSError, ValueError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else str(problem)
            remark(f"{name}: left out: {reason}")
            continue
        heading = re.search(r"^#+ +(.+)$", text, re.MULTILINE)
        title = heading[1].strip() if heading else _printable(file.name)
        yield Document(id=name, title=title, text=text)


def _printable(name: str) -> str:
    """A file's name, which may have bytes that are not UTF-8; two names never become the same."""
    return name.encode("utf-8", "backslashreplace").decode()


def _read(file: Path) -> str:
    if not file.is_file():
        raise ValueError("not a regular file")
    if file.stat().st_size > MAX_BYTES:
        raise ValueError(f"longer than {MAX_BYTES >> 20} MiB")
    data = file.read_bytes()
    if b"\0" in data:
        raise ValueError("binary, not text")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("not text in UTF-8") from None
    if not text.strip():
        raise ValueError("empty")
    if file.suffix == ".proto":
        # The comments are the documentation.
        text = re.sub(r"^(?!\s*//).*$|^\s*//(?: buf:lint:.*)?", "", text, flags=re.MULTILINE)
    return text


def _packages() -> Iterator[Document]:
    for package in distributions():
        if package.name == "hsu-worker":
            continue  # its text is the project's README
        # Below the headers stands what the package says of itself.
        _, _, text = (package.read_text("METADATA") or "").partition("\n\n")
        if len(text) > 200:
            title = f"{package.name}: {package.metadata['Summary']}"
            yield Document(id=f"package/{package.name}", title=title, text=text)


def _modules() -> Iterator[Document]:
    library = Path(sysconfig.get_path("stdlib"))
    for name in sorted(sys.stdlib_module_names):
        for file in (library / f"{name}.py", library / name / "__init__.py"):
            if name.startswith("_") or not file.is_file():
                continue
            if text := _docstrings(ast.parse(file.read_bytes())):
                yield Document(
                    id=f"python/module/{name}", title=f"Python: module {name}", text=text
                )


def _docstrings(module: ast.Module) -> str:
    parts = [ast.get_docstring(module) or ""]
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            text = ast.get_docstring(node)
            parts += [f"# {node.name}\n\n{text}"] if text else []
    return "\n\n".join(parts).strip()
