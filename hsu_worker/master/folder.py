"""The 0700 folder of one master, which only its own user can enter."""

import os
import shutil
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from hsu_worker.errors import ConfigError


@contextmanager
def private_folder(parent: Path | None = None) -> Generator[Path, None, None]:
    """Make a folder for sockets and the token; remove it with all that is in it.

    Args:
        parent: Where to make it. None: the user's runtime directory, `$XDG_RUNTIME_DIR`, or
            `hsu-<uid>` in the temporary directory.

    Raises:
        ConfigError: The parent belongs to somebody else, or can't be made.
    """
    if parent is None:
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        temporary = Path(tempfile.gettempdir()) / f"hsu-{os.getuid()}"
        parent = Path(runtime) if runtime and os.access(runtime, os.W_OK) else temporary
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = parent.lstat()
    except OSError as error:
        raise ConfigError(f"runtime folder {parent}: {error.strerror}") from None
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise ConfigError(
            f"runtime folder {parent}: it is not a folder of this user; set master.runtime_dir"
        )
    folder = Path(tempfile.mkdtemp(prefix="hsu-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
