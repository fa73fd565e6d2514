"""What a master writes down of workers that outlive it, and finds again when it is started anew."""

import fcntl
import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Final, get_origin

from hsu_worker.errors import ConfigError, HsuError
from hsu_worker.master.config import Config
from hsu_worker.master.folder import SOCKET, check_paths
from hsu_worker.master.keeper.processes import live_processes, process_line
from hsu_worker.master.process_stat import outputs_of
from hsu_worker.wire.address import Address
from hsu_worker.wire.secret_file import read_secret

log = logging.getLogger(__name__)

_LOCK: Final = "lock"
_VERSION: Final = 1
_INSTANCE: Final = re.compile(r"[0-9a-f]{32}")

#: Also of a record that is cut off.
_UNIT: Final = re.compile(r'\{"unit": "([a-z0-9_-]{1,40})"')

#: The folders that masters of this process have: their locks exclude other processes only.
_held: set[Path] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One worker that outlives its master. Every field has to agree before it is adopted.

    A field with a default may be missing in what an earlier version of the program wrote; `version` may not.
    """

    unit: str
    instance: str
    launch: str
    """What its table said of its process, as a digest."""
    boot: str
    """The kernel's id of the boot that it runs under."""
    mark: str
    """What its environment holds; see the keeper."""
    address: str
    token: str = field(repr=False)
    master_token: str = field(repr=False)
    pid: int
    """0: it was about to be spawned, and is bound to the master that did it."""
    start: int
    """When its process started, in the kernel's ticks."""
    groups: tuple[str, ...] = ()
    """Those of its unit: in an exclusive one nobody may be beside it, whatever became of its table."""
    ending: bool = False
    """A master has decided that it ends, be it after its calls."""
    version: int = _VERSION

    @property
    def flaw(self) -> str:
        """Why its process can't be adopted; empty: nothing stands against it."""
        if self.boot != boot_id():
            return "the machine was started anew meanwhile"
        line = process_line(self.pid)
        if line is None or not line.live:
            return f"its process, pid {self.pid}, is no longer there"
        if line.start != self.start:
            return f"pid {self.pid} is another process now, and is left alone"
        if not any(f"/{self.mark}/" in mark for mark in line.marks()):
            return f"pid {self.pid} does not carry the mark of this worker, and is left alone"
        return ""

    def found(self) -> tuple[int, int]:
        """Pid and start of the process that carries the mark; zeros: there is none."""
        if self.boot == boot_id():
            for line in live_processes():
                leads = line.pid == line.session
                if leads and any(f"/{self.mark}/" in mark for mark in line.marks()):
                    return line.pid, line.start
        return 0, 0


class Survivors:
    """The folder of one configuration's surviving workers, mode 0700: records, sockets and output.

    Args:
        folder: Only this master has it; see `survivors_of`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gateway = Address(path=str(folder / SOCKET))
        """Where this master and those after it listen for them."""
        self.leaving = False
        """The master leaves: what can go on without it does."""

    def write(self, record: Record) -> None:
        """Replace the record of an instance at one stroke, readable for its user alone.

        Raises:
            OSError: It can't be written.
        """
        descriptor, name = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(asdict(record), file)
            os.replace(name, self.path(record.instance, "json"))
        except BaseException:
            os.unlink(name)
            raise

    def path(self, instance: str, kind: str) -> Path:
        """A file of an instance."""
        return self.folder / f"{instance}.{kind}"

    def remove(self, instance: str) -> None:
        """Nothing is left of an instance, and all of its output has been read."""
        for path in self.folder.glob(f"{instance}.*"):
            path.unlink(missing_ok=True)

    def refuse(self, record: Record) -> None:
        """Keep a record aside that leads to something else."""
        path = self.path(record.instance, "json")
        self._put_aside(path, f"pid {record.pid} does not answer as this worker")

    def _put_aside(self, path: Path, flaw: str) -> None:
        aside = path.with_suffix(".damaged")
        self._tell(path, flaw, f"it is kept as {aside.name}")
        path.rename(aside)

    def _tell(self, path: Path, flaw: str, kept: str) -> None:
        text = "%s: %s; nothing of it is adopted, signalled or removed, and %s; %s"
        log.error(text, path, flaw, kept, self._whereabouts(path))

    def _whereabouts(self, path: Path) -> str:
        """What is still there of a worker whose record is of no use."""
        outputs = {os.path.realpath(self.path(path.stem, kind)) for kind in ("stdout", "stderr")}
        named, pid = None, 0
        with suppress(OSError):
            # The leader is the worker, and what it has started writes to the same files.
            leaders = (line.pid for line in live_processes() if line.pid == line.session)
            pid = next((each for each in leaders if not outputs.isdisjoint(outputs_of(each))), 0)
            named = _UNIT.match(path.read_text(errors="replace")) if path.is_file() else None
        unit = f" of unit {named[1]!r}" if named else ""
        if not pid:
            return f"no worker{unit} that writes its output was found"
        return (
            f"its worker{unit}, pid {pid}, still runs, and is left alone: end it with: kill {pid}"
        )

    def read(self) -> list[Record]:
        """All records, those of the oldest processes first.

        One that can't be opened, or is none, is told, and whatever it speaks of is left alone. What is none is
        renamed, too.
        """
        for path in self.folder.glob("*.tmp"):
            path.unlink(missing_ok=True)
        records = []
        for path in sorted(self.folder.glob("*.json")):
            try:
                text = read_secret(path)
            except ConfigError as error:
                # Under its name, so that it is read again once that is corrected.
                flaw = str(error).removeprefix(f"{path}: ")
                self._tell(path, flaw, "it is read again when the master is started again")
                continue
            try:
                records.append(_parsed(path, text))
                continue
            except (HsuError, ValueError, TypeError, RecursionError) as error:
                flaw = str(error).removeprefix(f"{path}: ")
            self._put_aside(path, f"not the record of a worker: {flaw}")
        return sorted(records, key=lambda record: record.start)


@contextmanager
def survivors_of(config: Config, parent: Path) -> Generator[Survivors | None, None, None]:
    """Have the folder of a configuration for as long as the block runs; None: it needs none.

    Args:
        config: A master that is started with its file again finds the folder again.

        parent: Where masters have their folders.

    Raises:
        ConfigError: It has no file, another master runs with it, or the folder can't be made.
    """
    survive = [name for name, unit in config.units.items() if unit.lifetime == "survive"]
    if config.file is None:
        if survive:
            raise ConfigError(
                f'unit {survive[0]!r}: lifetime = "survive" needs a configuration in a file: the '
                "next master finds the worker by its path"
            )
        yield None
        return
    digest = hashlib.sha256(os.fsencode(os.path.realpath(config.file))).hexdigest()
    folder = parent / f"hsu_survivors_{digest[:8]}"
    # A unit that is bound now may have survived as what it was before.
    if not survive and not folder.exists():
        yield None
        return
    check_paths(folder, survive)
    with _locked(folder, config.file):
        yield Survivors(folder)


@contextmanager
def _locked(folder: Path, config: Path) -> Generator[None, None, None]:
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        folder.chmod(0o700)
        # A lock of the process: one of the file would be inherited by what the application forks.
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigError(
            f"folder {folder} of surviving workers: {error.strerror}; set master.runtime_dir"
        ) from None
    try:
        try:
            if folder in _held:
                raise BlockingIOError
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(lock, 20, 0).decode(errors="replace").strip()
            raise ConfigError(
                f"{config}: another master (pid {owner}) runs with it, and has its surviving "
                "workers; stop that one first"
            ) from None
        _held.add(folder)
        os.pwrite(lock, f"{os.getpid():<20}".encode(), 0)
        try:
            yield
        finally:
            _held.discard(folder)
    finally:
        os.close(lock)


def boot_id() -> str:
    """What the kernel calls this boot."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return "unknown"


def _parsed(path: Path, text: str) -> Record:
    """Raises HsuError, ValueError, TypeError: It is none."""
    found = json.loads(text)
    known = {each.name for each in fields(Record)}
    needed = {each.name for each in fields(Record) if each.default is MISSING} | {"version"}
    if not isinstance(found, dict) or not needed <= found.keys() <= known:
        raise ValueError("it has other fields")
    found["groups"] = tuple(map(str, found.get("groups", ())))
    record = Record(**found)
    for each in fields(Record):
        if type(getattr(record, each.name)) is not (get_origin(each.type) or each.type):
            raise ValueError(f"{each.name!r} has the wrong type")
    if record.version != _VERSION:
        raise ValueError(f"version {record.version}, this master writes version {_VERSION}")
    if not _INSTANCE.fullmatch(record.instance) or record.instance != path.stem:
        raise ValueError("its name is not its instance's")
    if record.pid < 0 or record.pid == 1 or not re.fullmatch(r"[0-9a-f]+/[0-9]+", record.mark):
        raise ValueError("no master has written it")
    Address.parse(record.address)
    return record
