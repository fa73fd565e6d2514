"""`python -m hsu_worker.worker module:App`: how a master starts a Python worker."""

import gc
import os
import sys

from hsu_worker.errors import HsuError, LaunchError
from hsu_worker.wire.launch import LaunchVariables
from hsu_worker.worker import check_platform


def main() -> int:
    """Serve what the command line names; returns the exit code."""
    try:
        check_platform()
        # Taken before the user's code is imported, so that neither it nor a child sees them.
        variables = LaunchVariables.take(os.environ)
        if variables is None:
            raise LaunchError(
                "HSU_INSTANCE is not set: only a master launches workers this way; "
                "write hsu-worker serve <module>:<attribute>"
            )
        if len(sys.argv) != 2:
            raise LaunchError("write python -m hsu_worker.worker <module>:<attribute>")
        # What is imported now stays: looking for garbage in it, again and again, takes some 4 ms.
        gc.disable()
        # Not above: grpc takes its time, and a wrong command line should not.
        from hsu_worker.worker.launched import run_launched

        gc.freeze()
        gc.enable()
        return run_launched(sys.argv[1], variables)
    except HsuError as error:
        print(error, file=sys.stderr)
        return 3


if __name__ == "__main__":
    code = main()
    from hsu_worker.worker.shutdown import end_process

    end_process(code)
