"""Writes files all or none."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from hsu_worker.errors import CodegenError


def write_all(files: Mapping[Path, str]) -> None:
    """Write files, and make the folders that they need.

    All are written beside their places first: a full disk then leaves the old ones. Whatever stops
    it, Ctrl-C too, leaves everything as it was.

    Raises:
        CodegenError: One can't be written.
    """
    folders: list[Path] = []
    written: dict[Path, Path] = {}
    before: dict[Path, bytes | None] = {}
    at = Path()
    try:
        try:
            for at, text in files.items():
                _make(at.parent, folders)
                with NamedTemporaryFile(
                    "wb", dir=at.parent, prefix=f".{at.name}.", delete=False
                ) as temporary:
                    written[Path(temporary.name)] = at
                    temporary.write(text.encode())
                mode = at.stat().st_mode if at.exists() else 0o666 & ~_umask()
                os.chmod(temporary.name, mode)
            for beside, at in written.items():
                before[at] = at.read_bytes() if at.exists() else None
                beside.replace(at)
        finally:
            for beside in written:
                beside.unlink(missing_ok=True)
    except BaseException as error:
        _restore(before, folders)
        if isinstance(error, OSError):
            raise CodegenError(f"can't write {at}: {error.strerror}") from None
        raise


def _make(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it; `made` gets each one that was not there."""
    missing = [above for above in (folder, *folder.parents) if not above.exists()]
    for each in reversed(missing):
        each.mkdir()
        made.append(each)


def _restore(before: Mapping[Path, bytes | None], folders: list[Path]) -> None:
    # What can't be restored must not hide why it has to be.
    with suppress(OSError):
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)
        for folder in reversed(folders):
            folder.rmdir()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
