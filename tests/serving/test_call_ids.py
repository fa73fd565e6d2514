"""Ids that nobody sent along."""

import re
import subprocess
import sys

PROGRAM = """
import os, random
from hsu_worker.serving.calls import ServedCall

def call_id(*sent):
    call = ServedCall(None, None, sent, "", None, None)
    assert call.id == call.id
    return call.id

random.seed(1)
first = call_id()
random.seed(1)
print(first, call_id(), flush=True)
for _ in range(2):
    if not os.fork():
        print(call_id(), flush=True)
        os._exit(0)
    os.wait()
print(call_id(), call_id(("hsu-call-id", "not an id")), call_id(("hsu-call-id", "0123456789abcdef")))
"""


def test_neither_a_seed_nor_a_fork_makes_an_id_come_twice() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    *made, given = done.stdout.split()
    assert "0123456789abcdef" == given
    assert 6 == len(set(made)) == len(made)
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in made)
