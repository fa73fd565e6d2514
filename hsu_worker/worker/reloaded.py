"""`python -m hsu_worker.worker.reloaded DESCRIPTOR`: how a reloader starts a worker."""

import sys

from hsu_worker.worker.reload_pipe import ReloadPipe


def main() -> int:
    """Serve what the reloader says; returns the exit code."""
    reloader = ReloadPipe(int(sys.argv[1]))
    # Not above: grpc takes its time, and the reloader may want us gone already.
    from hsu_worker.worker.serve import run_serving

    return run_serving(reloader.options, reloader)


if __name__ == "__main__":
    code = main()
    from hsu_worker.worker.shutdown import end_process

    end_process(code)
