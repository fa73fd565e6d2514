"""Whether somebody listens at an address."""

import socket
from typing import Final

from hsu_worker.wire.address import Address

#: Seconds in which the system connects to whoever listens.
_PROBE: Final = 1.0


def unreachable(address: Address) -> str:
    """Why nobody can connect, in the system's words; empty when somebody can."""
    try:
        if address.is_unix:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(_PROBE)
                probe.connect(address.path)
        else:
            socket.create_connection((address.host, address.port), timeout=_PROBE).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""
