"""The 0700 folder of one master, which only its own user can enter: its socket, its token, and who
it is.
"""

import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from hsu_worker.errors import AddressError, ConfigError
from hsu_worker.master.process_stat import stat_fields
from hsu_worker.wire.address import MAX_UNIX_PATH, Address

#: What the name of a master's folder begins with.
PREFIX: Final = "hsu-"
SOCKET: Final = "master.sock"
TOKEN: Final = "token"  # noqa: S105  its name
_OWNER: Final = "master.json"

# Annotated, so that type checkers read the code of both platforms.
_LINUX: bool = sys.platform == "linux"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The master that a folder belongs to."""

    pid: int
    started: str
    """The kernel's time of its start: a pid is given to others again."""
    config: str
    """The path of its `hsu.toml`; empty when it has none."""

    @property
    def lives(self) -> bool:
        """Its process is there."""
        return _started(self.pid) == self.started != ""


@contextmanager
def private_folder(
    parent: Path | None = None, *, config: Path | None = None
) -> Generator[Path, None, None]:
    """Make a folder for sockets and the token; remove it with all that is in it.

    Args:
        parent: Where to make it. None: the user's runtime directory, `$XDG_RUNTIME_DIR`, or
            `hsu-<uid>` in the temporary directory.

        config: The master's `hsu.toml`, for whoever looks for it.

    Raises:
        ConfigError: The parent belongs to somebody else, or can't be made.
    """
    parent = parent or runtime_folder()
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"runtime folder {parent}: {error.strerror}") from None
    if not is_own_folder(parent):
        raise ConfigError(
            f"runtime folder {parent}: it is not a folder of this user; set master.runtime_dir"
        )
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        pid = os.getpid()
        owner = Owner(pid=pid, started=_started(pid), config=str(config or ""))
        (folder / _OWNER).write_text(json.dumps(asdict(owner)))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def socket_name(unit: str, instance: str) -> str:
    """The name of a worker's socket: never twice the same, and short."""
    return f"{unit[:15]}-{instance[:8]}.sock"


def check_paths(folder: Path, units: Iterable[str]) -> None:
    """Say at once what would only show at the first call.

    Raises:
        ConfigError: The paths of sockets in this folder are too long, or grpc can't read them.
    """
    names = [SOCKET, *(socket_name(unit, "x" * 32) for unit in units)]
    longest = max(names, key=len)
    size = len(os.fsencode(folder / longest))
    if size > MAX_UNIX_PATH:
        raise ConfigError(
            f"runtime folder {folder}: the path of a socket in it would have {size} bytes, "
            f"{MAX_UNIX_PATH} are possible; set master.runtime_dir to a shorter one"
        )
    try:
        Address.parse(f"unix:{folder / longest}")
    except AddressError as error:
        raise ConfigError(f"runtime folder {folder}: {error}; set master.runtime_dir") from None


def runtime_folder() -> Path:
    """Where masters of this user make their folders."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    temporary = Path(tempfile.gettempdir()) / f"hsu-{os.getuid()}"
    return Path(runtime) if runtime and os.access(runtime, os.W_OK) else temporary


def is_own_folder(path: Path) -> bool:
    """It is a folder, no link to one, and belongs to this user."""
    try:
        facts = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid()


def owner_of(folder: Path) -> Owner | None:
    """The master of a folder; None while it has not written who it is."""
    try:
        return Owner(**json.loads((folder / _OWNER).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _started(pid: int) -> str:
    """When the kernel started a process; empty when it has ended."""
    if not _LINUX:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            pass
        return "unknown"
    fields = stat_fields(pid)
    return "" if fields is None or fields[0] in "ZXx" else fields[19]
