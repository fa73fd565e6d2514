"""Makes sure that nobody else listens where we want to, and leaves nothing behind."""

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress

from hsu_worker.errors import AddressError
from hsu_worker.wire.address import Address


@contextmanager
def reserved(address: Address) -> Generator[None, None, None]:
    """Check that an address can be listened on; a Unix path stays ours until the block ends.

    Raises:
        AddressError: Somebody listens there, or nobody can.
    """
    if not address.is_unix:
        _check_port(address)
        yield
        return
    with _lock(address):
        _remove_stale(address)
        try:
            yield
        finally:
            _unlink(address.path)


@contextmanager
def private_files() -> Generator[None, None, None]:
    """What is created in the block belongs to this user alone: mode 0600."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def bound_port(address: Address) -> socket.socket:
    """A socket at a host and port that nobody listens at; it doesn't listen either.

    Raises:
        AddressError: Somebody listens there, or nobody can.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        holder = socket.socket(family, kind, protocol)
        try:
            # As grpc does: connections of an earlier server that linger are no obstacle.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(place)
        except OSError:
            holder.close()
            raise
    except OSError as error:
        raise _refused(address, error) from None
    return holder


def _check_port(address: Address) -> None:
    # grpc tells a taken port from a missing host only in its log; a plain socket tells it apart.
    with bound_port(address) as probe:
        try:
            probe.listen(1)
        except OSError as error:
            raise _refused(address, error) from None


@contextmanager
def _lock(address: Address) -> Generator[None, None, None]:
    """Hold the file `<path>.lock`: a second server would unlink the first one's socket, silently."""
    lock = f"{address.path}.lock"
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _refused(address, error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise _refused(address, error) from None
        if _is_still(lock, descriptor):
            break
        # Its last holder has just removed it; the lock on a removed file protects nothing.
        os.close(descriptor)
    try:
        yield
    finally:
        _unlink(lock)
        os.close(descriptor)


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _is_still(path: str, descriptor: int) -> bool:
    try:
        return os.stat(path).st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _remove_stale(address: Address) -> None:
    """Remove a socket that nobody listens at; anything else stays, and is an error."""
    try:
        mode = os.lstat(address.path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise AddressError(f"address {address}: it is a folder; name a file in it")
    if not stat.S_ISSOCK(mode):
        raise AddressError(f"address {address}: a file that is no socket is there; remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(address.path)
        except ConnectionRefusedError:
            _unlink(address.path)
            return
        except OSError as error:
            raise _refused(address, error) from None
    raise AddressError(f"address {address}: in use by another server; choose another path")


def _refused(address: Address, error: OSError) -> AddressError:
    if error.errno in (errno.EADDRINUSE, errno.EWOULDBLOCK):
        other = "path" if address.is_unix else "port, or 0 for any free one"
        return AddressError(f"address {address}: in use by another server; choose another {other}")
    if error.errno == errno.ENOENT and address.is_unix:
        folder = os.path.dirname(address.path)
        return AddressError(f"address {address}: the folder {folder} does not exist; create it")
    return AddressError(f"address {address}: can't listen there: {error.strerror or error}")
