"""Where a worker listens that was told nothing more exact."""

import os
import secrets
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from hsu_worker.serving.sockets import bound_port
from hsu_worker.wire.address import Address
from hsu_worker.worker.options import Serving


@contextmanager
def settled(options: Serving) -> Generator[Serving, None, None]:
    """The options with an address at least, for as long as the block runs.

    Without one it is any free port of this machine. A stand-in is called by its master alone, and
    gets a socket in a folder that only this user can open.
    """
    if options.listen:
        yield options
    elif options.membership is None or not options.membership.stand_in:
        yield replace(options, listen=(Address(host="127.0.0.1"),))
    else:
        with _private_folder(options.membership.master.address) as folder:
            name = f"stand-in-{secrets.token_hex(4)}.sock"
            yield replace(options, listen=(Address.parse(f"unix:{folder / name}"),))


@contextmanager
def _private_folder(master: Address) -> Generator[Path, None, None]:
    """The master's, where nothing is left behind; else one of our own."""
    folder = Path(master.path).parent
    if master.is_unix and _is_private(folder):
        yield folder
    else:
        with tempfile.TemporaryDirectory(prefix="hsu-") as own:
            yield Path(own)


def _is_private(folder: Path) -> bool:
    try:
        status = folder.stat()
    except OSError:
        return False
    return status.st_uid == os.getuid() and not status.st_mode & 0o077


@contextmanager
def fixed(options: Serving) -> Generator[Serving, None, None]:
    """The options with true ports instead of any free ones, for several workers in turn."""
    with ExitStack() as stack:
        given = stack.enter_context(settled(options))
        yield replace(given, listen=tuple(_fixed(each, stack) for each in given.listen))


def _fixed(address: Address, stack: ExitStack) -> Address:
    if address.is_unix or address.port:
        return address
    holder = bound_port(address)
    port: int = holder.getsockname()[1]
    if sys.platform == "linux":
        # As long as nobody listens on it, it keeps others off, and lets our workers in.
        stack.enter_context(holder)
    else:
        holder.close()
    return replace(address, port=port)
