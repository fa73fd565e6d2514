"""Workers that break what checks/leaks.py asks for."""

from tests.conformance.mutants.mutant import Mutant

MUTANTS = (
    Mutant(
        "start-stop-leaks",
        "    async def acquire(self):\n",
        "    async def acquire(self):\n        os.dup(1)\n",
        "new: 90 of pipe",
        patience=1,
    ),
    Mutant(
        "start-stop-leaks",
        "    async def acquire(self):\n",
        "    async def acquire(self):\n"
        "        threading.Thread(target=threading.Event().wait, daemon=True).start()\n",
        "",
        patience=1,
    ),
    Mutant(
        "connection-leaks",
        "        now = time.monotonic()\n",
        "        os.dup(1)\n        now = time.monotonic()\n",
        "of pipe",
    ),
)
