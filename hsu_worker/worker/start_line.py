"""What `hsu-worker serve` prints when it answers."""

import json
import os
import shlex
from collections.abc import Sequence

from hsu_worker.app import App
from hsu_worker.wire.address import Address
from hsu_worker.worker.options import Serving


def start_line(app: App, options: Serving, addresses: Sequence[Address]) -> str:
    """What is served, where, and how to call it; in JSON where the log is."""
    interfaces = [interface.name for interface in app.services]
    membership = options.membership
    if options.log_format == "json":
        facts = {
            "pid": os.getpid(),
            "interfaces": interfaces,
            "addresses": [str(address) for address in addresses],
            "unit": membership.unit if membership else None,
            "master": str(membership.master.address) if membership else None,
        }
        return json.dumps(facts)
    line = f"serving {', '.join(interfaces)} at {', '.join(map(str, addresses))}"
    if membership is not None:
        line += f" as unit {membership.unit}"
    call = _call(app, options, addresses[0])
    return f"{line}; call it: {call}" if call else line


def _call(app: App, options: Serving, address: Address) -> str:
    """A command that calls a method; empty when there is none."""
    methods = [method for interface in app.services for method in interface.methods.values()]
    # One message in is the easiest to write.
    methods.sort(key=lambda method: method.client_streaming)
    if not methods:
        return ""
    token = ["--token-file", options.token_file] if options.token_file else []
    method = methods[0].path.removeprefix("/")
    return shlex.join(["hsu-worker", "call", *token, str(address.called_at), method, "{}"])
