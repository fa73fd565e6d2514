"""Workers that break what checks/identity.py asks for."""

from tests.conformance.mutants.mutant import Mutant

MUTANTS = (
    Mutant(
        "handshake-identity",
        'instance=HSU["INSTANCE"],\n            name="whole"',
        'instance="",\n            name="whole"',
        "''",
    ),
    Mutant("handshake-identity", "contract_version=1", "contract_version=2", "2"),
    Mutant("handshake-identity", "pid=os.getpid()", "pid=1", "1"),
    Mutant(
        "handshake-interfaces",
        "for method in INTERFACE.methods:\n            info",
        "for method in INTERFACE.methods[:0]:\n            info",
        "none",
    ),
    Mutant("handshake-interfaces", "interfaces=[info]", "interfaces=[]", "none"),
    Mutant(
        "handshake-interfaces",
        "input=method.input_type.full_name",
        "input='.' + method.input_type.full_name",
        "'.hsu.test.v1.Ask'",
    ),
    Mutant(
        "handshake-reflection",
        "client_streaming=method.client_streaming,",
        "client_streaming=False,",
        "ClientStream(hsu.test.v1.Ask)",
    ),
    Mutant("handshake-fingerprint", "sorted(lines)", "sorted(lines)[::-1]", ""),
    Mutant(
        "handshake-newer",
        "        self.claimed = True\n",
        "        self.claimed = True\n        if request.contract_version != 1:\n"
        '            raise Refusal("FAILED_PRECONDITION", NO, text="another version")\n',
        "another version",
    ),
    Mutant(
        "core-every-state",
        "        now = time.monotonic()\n",
        "        self.gate()\n        now = time.monotonic()\n",
        "NOT_RUNNING",
    ),
    Mutant("handshake-told", 'name="whole",', 'name="",', "['name']"),
    Mutant(
        "reflection",
        'if path in (f"/grpc.reflection.v1.{REFLECTION}", '
        'f"/grpc.reflection.v1alpha.{REFLECTION}"):',
        "if False:",
        "UNIMPLEMENTED",
    ),
    Mutant(
        "reflection",
        "names = (INTERFACE.full_name, CORE.full_name)",
        "names = (CORE.full_name,)",
        "['hsu.test.v1.Kinds']",
    ),
    Mutant("reflection-both", 'f"/grpc.reflection.v1.{REFLECTION}", ', "", "UNIMPLEMENTED"),
)
