"""Finds a master that runs: the one that is named, the one in the environment, or the only one."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hsu_worker.errors import AddressError, MalformedAddress, NoMaster
from hsu_worker.master.folder import SOCKET, TOKEN, Owner, running_masters, runtime_folders
from hsu_worker.wire.address import Address
from hsu_worker.wire.launch import own_master
from hsu_worker.wire.secret_file import check_token, read_token

#: Where the token of a launched worker comes from.
LAUNCH: Final = "this process's launch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a master is, and what lets one in."""

    address: Address
    token: str = field(repr=False)
    source: str
    """Where the token comes from; empty: there is none."""
    token_file: Path | None = None
    """What holds it, and may hold another one later; None: no file."""


def find_master(
    where: str | None = None,
    *,
    token_file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Place:
    """Find the master to talk to.

    Args:
        where: Its address, such as `tcp:127.0.0.1:7000`, or its folder. None: in a worker the
            one that launched it, else what `HSU_MASTER` says, else the only one of this user.

        token_file: The file with the token. None: the one in the master's folder; for an address
            `HSU_MASTER_TOKEN` is the token, or `HSU_MASTER_TOKEN_FILE` names the file, or it is
            beside the Unix socket.

        environ: The environment.

    Raises:
        NoMaster: There is none, or more than one.

        MalformedAddress: `where` is neither an address nor a folder.

        ConfigError: The token can't be read.
    """
    own = own_master()
    if own is not None and not where:
        return Place(address=own[0], token=own[1], source=LAUNCH)
    where = where or environ.get("HSU_MASTER")
    if not where:
        return _in_folder(_only("no master of this user runs", *runtime_folders()), token_file)
    if where.startswith(("unix:", "tcp:")):
        return _at(where, token_file, environ)
    folder = Path(where)
    if (folder / SOCKET).exists():
        return _in_folder(folder, token_file)
    if not folder.is_dir():
        raise MalformedAddress(
            f"{where}: neither an address, such as tcp:127.0.0.1:7000, nor a master's folder"
        )
    return _in_folder(_only("no master runs", folder), token_file)


def server_at(where: str, *, token_file: Path | None = None) -> Place:
    """A server at an address, which need not be a master, and whatever lets one in.

    Args:
        where: Its address.

        token_file: The file with the token. None: the one beside the socket of a master; other
            servers are shown none.

    Raises:
        AddressError: The address is malformed, or can't be dialled.

        ConfigError: The token can't be read.
    """
    address = Address.parse(where)
    address.check_dialled()
    socket_file = Path(address.path)
    if token_file is None and socket_file.name == SOCKET:
        beside = socket_file.with_name(TOKEN)
        token_file = beside if beside.exists() else None
    if token_file is None:
        return Place(address=address, token="", source="")
    return _told_by(token_file, address)


def _only(none: str, *parents: Path) -> Path:
    running = running_masters(*parents)
    if not running:
        raise NoMaster(
            f"{none} in {' or '.join(map(str, parents))}; "
            "start one with `hsu-worker master run hsu.toml`, or name one with --master or HSU_MASTER"
        )
    if len(running) > 1:
        lines = (f"--master {folder}  {_described(owner)}" for folder, owner in running.items())
        raise NoMaster("several masters run; choose one:\n" + "\n".join(lines))
    return next(iter(running))


def _described(owner: Owner | None) -> str:
    if owner is None:
        return "(it does not say who it is)"
    return f"(pid {owner.pid}, {owner.config or 'without a file'})"


def _in_folder(folder: Path, token_file: Path | None) -> Place:
    token = token_file or folder / TOKEN
    try:
        address = Address.parse(f"unix:{(folder / SOCKET).absolute()}")
    except AddressError as error:
        raise NoMaster(str(error)) from None
    return _told_by(token, address)


def _at(where: str, token_file: Path | None, environ: Mapping[str, str]) -> Place:
    address = Address.parse(where)
    if token_file is None and (token := environ.get("HSU_MASTER_TOKEN")):
        check_token(token, "HSU_MASTER_TOKEN")
        return Place(address=address, token=token, source="HSU_MASTER_TOKEN")
    named = token_file or environ.get("HSU_MASTER_TOKEN_FILE")
    beside = Path(address.path).parent / TOKEN
    if named or (address.is_unix and beside.exists()):
        return _told_by(Path(named or beside), address)
    return Place(address=address, token="", source="")


def _told_by(file: Path, address: Address) -> Place:
    return Place(address=address, token=read_token(file), source=str(file), token_file=file)
