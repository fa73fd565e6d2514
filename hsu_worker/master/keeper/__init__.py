"""
The keeper: a small process between the master and what it launches.

It starts commands for the master, each in a session of its own, reports how they end, and stops all of them
when the master is gone. It is run as a folder (`python -I -S keeper <pid of the master>`), is
single-threaded, and imports nothing but the standard library. Descriptor 0 is its socket to the master.

A frame on the socket is a length (4 bytes) and that much JSON; descriptors come with its first byte.

Whatever descends from a keeper carries the marks of the keepers above it in HSU_KEEPER_ID, outermost first:
of each keeper its id, then the number of the command. All keepers of one master have the same id, so that one
can take over what another, which was killed, has started.
"""

import struct

PROGRAM = __path__[0]
"""What Python has to run."""
HEADER = struct.Struct("!I")
MARK = "HSU_KEEPER_ID"
GRACE = 0.7
"""Seconds between SIGTERM and SIGKILL once the master is gone."""
GIVE_UP = 3.0
"""Seconds after the last SIGKILL in which the kernel has to end the rest."""
