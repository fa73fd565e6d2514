"""Workers that break what checks/admission.py asks for."""

from tests.conformance.mutants.mutant import Mutant

_TOKEN = "if len(given) != 1 or not hmac.compare_digest(given[0], f\"Bearer {HSU['TOKEN']}\"):"

MUTANTS = (
    Mutant("token-missing", _TOKEN, f"if given and ({_TOKEN[3:-1]}):", "OK"),
    Mutant(
        "token-missing", _TOKEN, f"if self.state == core.STATE_STOPPED and ({_TOKEN[3:-1]}):", "OK"
    ),
    Mutant(
        "token-wrong", _TOKEN, "if len(given) != 1 or not given[0].startswith('Bearer '):", "OK"
    ),
    Mutant(
        "token-exact", _TOKEN, "if not any(t == f\"Bearer {HSU['TOKEN']}\" for t in given):", "OK"
    ),
    Mutant(
        "token-before-parsing",
        'refusal = Refusal("UNAUTHENTICATED", NO, text="token needed")\n',
        'refusal = Refusal("UNAUTHENTICATED", NO, text="token needed")\n'
        "            return grpc.unary_stream_rpc_method_handler(\n"
        "                partial(self.refuse, refusal), core.PingRequest.FromString)\n",
        "UNKNOWN",
    ),
    Mutant(
        "token-refusal-dispatched",
        'Refusal("UNAUTHENTICATED", NO,',
        'Refusal("UNAUTHENTICATED", YES,',
        "hsu-dispatched: yes",
    ),
    Mutant(
        "health-free",
        'if path.startswith(f"/{HEALTH}/"):',
        'if path.startswith(f"/{HEALTH}/") and dict(details.invocation_metadata).get('
        '"authorization"):',
        "UNAUTHENTICATED",
    ),
    Mutant(
        "token-secret",
        'text="token needed"',
        'text="not " + HSU["TOKEN"]',
        "the token is there",
    ),
    Mutant(
        "token-secret",
        'line = f"HSU 1',
        'print("token", HSU["TOKEN"], file=sys.stderr)\n        line = f"HSU 1',
        "the token is there",
    ),
    Mutant(
        "token-secret",
        '["sleep", "60"]',
        '["sh", "-c", "sleep 60; :", HSU["TOKEN"]]',
        "the token is there",
        child=True,
    ),
    Mutant(
        "unclaimed-leaves",
        "self.claimed or self.leave(0)",
        "None",
        "lives on",
    ),
    Mutant(
        "unclaimed-leaves",
        "        given = [v",
        '        self.claimed |= path.endswith("Handshake")\n        given = [v',
        "lives on",
    ),
    Mutant("unclaimed-leaves", "call_later(CLAIM", "call_later(CLAIM / 3", "it ended within"),
    Mutant("claimed-stays", "self.claimed = True", "pass", "it has ended"),
)
