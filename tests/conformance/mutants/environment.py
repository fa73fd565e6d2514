"""Workers that break what checks/environment.py asks for."""

from tests.conformance.mutants.mutant import FLOODING, Mutant

MUTANTS = (
    Mutant(
        "unknown-variables",
        "TELLS = {",
        "sys.exit(sorted(os.environ)[0]) if 'HSU_CONTRACT' in os.environ else 0\nTELLS = {",
        "it ended: exit code 1",
        beside=("health-free",),
    ),
    Mutant(
        "malformed-variable",
        "    sys.exit(f\"HSU_LISTEN={HSU['LISTEN']!r}: neither a Unix path nor TCP\")",
        '    HSU["LISTEN"] = f"unix:{os.getcwd()}/w.sock"',
        "HSU 1 ",
    ),
    Mutant(
        "malformed-variable-told",
        "    sys.exit(f\"HSU_LISTEN={HSU['LISTEN']!r}: neither a Unix path nor TCP\")",
        "    os._exit(3)",
        "nothing on stderr",
    ),
    Mutant("token-needed", 'if not HSU["TOKEN"]:', "if False:", "HSU 1 "),
    Mutant(
        "children-environment",
        'os.environ.pop(f"HSU_{name}", "")',
        'os.environ.get(f"HSU_{name}", "")',
        "['HSU_INSTANCE', 'HSU_LIFELINE', 'HSU_LISTEN', 'HSU_TOKEN', 'HSU_UNIT']",
        child=True,
    ),
    Mutant(
        "standard-input-empty",
        "    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)\n",
        "",
        "the lifeline",
    ),
    Mutant(
        "output-pipes",
        "import grpc.aio\n",
        "reader, writer = os.pipe()\nos.dup2(writer, 1)\nimport grpc.aio\n",
        "pipe:[",
    ),
    Mutant(
        "output-flood",
        "threading.Thread(target=flood, daemon=True).start()",
        "os.dup2(os.pipe()[1], 1)\n            loop = asyncio.get_running_loop()\n"
        "            loop.call_later(0.1, flood)",
        "0 MiB",
        help=FLOODING,
        patience=0.05,
    ),
)
