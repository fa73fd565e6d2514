"""Packages made of the protos of these tests."""

from pathlib import Path

PROTOS = Path(__file__).parent / "protos"

#: Every shape that a contract can have. Its folder `common` is imported, not listed.
STRANGER = sorted((PROTOS / "stranger").glob("*.proto"))
REFUSED = PROTOS / "refused"


def texts(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
