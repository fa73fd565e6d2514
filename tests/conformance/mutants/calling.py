"""Workers that break what checks/calling.py asks for."""

from tests.conformance.mutants.mutant import Mutant

_RECEIVE = '("grpc.max_receive_message_length", MESSAGE)'
_NO_GZIP = '("grpc.compression_enabled_algorithms_bitset", 1)'

MUTANTS = (
    Mutant(
        "methods-served",
        "for m in INTERFACE.methods}",
        "for m in INTERFACE.methods[:-1]}",
        "UNIMPLEMENTED",
    ),
    Mutant(
        "methods-served",
        'raise Refusal("INVALID_ARGUMENT", YES, text="text is empty")',
        'raise Refusal("INVALID_ARGUMENT", NO, text="text is empty")',
        "hsu-dispatched: no",
    ),
    Mutant(
        "empty-request",
        'raise Refusal("INVALID_ARGUMENT", YES, text="text is empty")',
        'raise ValueError("text is empty")',
        "UNKNOWN",
    ),
    Mutant("unknown-method", 'Refusal("UNIMPLEMENTED",', 'Refusal("NOT_FOUND",', "NOT_FOUND"),
    Mutant(
        "malformed-request",
        'raise Refusal("INVALID_ARGUMENT", dispatched, "MALFORMED_REQUEST") from None',
        "yield kind()",
        "OK",
    ),
    Mutant(
        "malformed-request",
        'raise Refusal("INVALID_ARGUMENT", dispatched, "MALFORMED_REQUEST") from None',
        "os._exit(1)",
        "UNAVAILABLE",
    ),
    Mutant(
        "malformed-in-stream",
        "dispatched = YES if method.client_streaming else NO",
        "dispatched = NO",
        "hsu-dispatched: no",
    ),
    Mutant(
        "malformed-reason",
        'Refusal("INVALID_ARGUMENT", dispatched, "MALFORMED_REQUEST")',
        'Refusal("INTERNAL", dispatched, "MALFORMED_REQUEST")',
        "INTERNAL",
    ),
    Mutant(
        "message-limit",
        _RECEIVE,
        '("grpc.max_receive_message_length", 1 << 20)',
        "RESOURCE_EXHAUSTED",
    ),
    Mutant(
        "message-limit",
        "                yield kind.FromString(body)\n",
        "                if method.containing_service is INTERFACE and len(body) > 1 << 20:\n"
        '                    raise Refusal("RESOURCE_EXHAUSTED", NO)\n'
        "                yield kind.FromString(body)\n",
        "RESOURCE_EXHAUSTED",
    ),
    Mutant(
        "message-limit", "payload=request.payload", "payload=request.payload[: 1 << 20]", "1048576"
    ),
    Mutant("compressed-requests", _RECEIVE, f"{_RECEIVE}, {_NO_GZIP}", "UNIMPLEMENTED"),
    Mutant("message-over-limit", _RECEIVE, '("grpc.max_receive_message_length", -1)', "OK"),
    Mutant(
        "metadata-limit",
        'METADATA),\n                ("grpc.absolute_max_metadata_size", METADATA)',
        '4096),\n                ("grpc.absolute_max_metadata_size", 4096)',
        "RESOURCE_EXHAUSTED",
    ),
    Mutant(
        "concurrent-calls",
        "                self.gate()\n",
        '                self.gate()\n                if self.calls: raise Refusal("ABORTED", NO)\n',
        "'ABORTED'",
    ),
    Mutant(
        "concurrent-calls",
        "            self.calls.pop(key, None)\n",
        "            pass\n",
        "",
    ),
    Mutant("call-cycle", "                self.refuse_cycle(context)\n", "", "DEADLINE_EXCEEDED"),
    Mutant("call-cycle", "in came and self.slots.locked()", "in came", "CALL_CYCLE"),
    Mutant(
        "errors-dispatched",
        'raise Refusal("INVALID_ARGUMENT", YES, text="text is empty")',
        'raise Refusal("INVALID_ARGUMENT", "unknown", text="text is empty")',
        "hsu-dispatched: unknown",
    ),
    Mutant(
        "cancellation",
        "            if not (own and self.cut):\n",
        "            await asyncio.sleep(3600)\n            if not (own and self.cut):\n",
        "1 is told",
    ),
    Mutant(
        "deadline",
        "            if not (own and self.cut):\n",
        "            await asyncio.sleep(3600)\n            if not (own and self.cut):\n",
        "1 is told",
    ),
)
