"""The 0700 folder of one master, which only its own user can enter: its socket, its token, and who
it is.
"""

import json
import os
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager, suppress
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

#: Seconds that the system may take to connect to a socket of this machine.
_PROBE: Final = 1.0

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

    What killed masters left beside it is removed as well.

    Args:
        parent: Where to make it. None: `runtime_folder()`.

        config: The master's `hsu.toml`, for whoever looks for it.

    Raises:
        ConfigError: The parent belongs to somebody else, or nothing can be made in it.
    """
    parent = parent or runtime_folder()
    with ExitStack() as stack:
        try:
            with suppress(FileExistsError):
                parent.mkdir(mode=0o700, parents=True)
            folder = _own(parent)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            pid = os.getpid()
            owner = Owner(pid=pid, started=_started(pid), config=str(config or ""))
            (folder / _OWNER).write_text(json.dumps(asdict(owner)))
        except OSError as error:
            raise ConfigError(
                f"runtime folder {parent}: {error.strerror}; set master.runtime_dir"
            ) from None
        _sweep(parent)
        yield folder


def _own(parent: Path) -> Path:
    if flaw := _flaw(parent):
        raise ConfigError(f"runtime folder {parent}: {flaw}; set master.runtime_dir")
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))


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
    """Where a master makes its folder: `$XDG_RUNTIME_DIR`, else `hsu-<uid>` in the temporary directory."""
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    # Under `sudo` it may still be that of another user.
    usable = named and is_own_folder(Path(named)) and os.access(named, os.W_OK)
    return Path(named) if usable else temporary_folder()


def runtime_folders() -> list[Path]:
    """Where masters of this user may have made theirs, whatever environment they were started in."""
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    sessions = [Path(path) for path in (named, f"/run/user/{os.getuid()}") if path]
    return [*list(filter(is_own_folder, sessions))[:1], temporary_folder()]


def temporary_folder() -> Path:
    """Where masters meet that have no session."""
    return Path(tempfile.gettempdir()) / f"hsu-{os.getuid()}"


def is_own_folder(path: Path) -> bool:
    """It is a folder, no link to one, and belongs to this user."""
    return not _flaw(path)


def _flaw(path: Path) -> str:
    """What stands against a folder for masters; empty: nothing."""
    try:
        facts = path.lstat()
    except OSError as error:
        return error.strerror or str(error)
    if stat.S_ISLNK(facts.st_mode):
        return "it is a link"
    if not stat.S_ISDIR(facts.st_mode):
        return "it is no folder"
    return "" if facts.st_uid == os.getuid() else "it belongs to another user"


def running_masters(*parents: Path) -> dict[Path, Owner | None]:
    """The folders of the masters of this user that run, below some folders.

    What killed masters left behind is removed.
    """
    running: dict[Path, Owner | None] = {}
    for parent in parents:
        _sweep(parent)
        for folder in _own_folders(parent):
            if _listened_at(folder / SOCKET):
                running[folder] = owner_of(folder)
    return running


def _sweep(parent: Path) -> None:
    """Remove what killed masters left: one that just starts does not listen yet, and lives."""
    for folder in _own_folders(parent):
        owner = owner_of(folder)
        if owner is not None and not owner.lives and _listened_at(folder / SOCKET) is False:
            shutil.rmtree(folder, ignore_errors=True)


def _own_folders(parent: Path) -> list[Path]:
    return [*filter(is_own_folder, sorted(parent.glob(f"{PREFIX}*")))]


def _listened_at(path: Path) -> bool | None:
    """Whether somebody listens at a socket; None when there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except FileNotFoundError:
            return None
        except OSError:
            # Too busy to take one more.
            return True
    return True


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
