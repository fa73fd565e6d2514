"""`python -m hsu_worker`: the same as the command `hsu-worker`."""

from hsu_worker.cli import main

main()
