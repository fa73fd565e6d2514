"""The life of a plugin, from top to bottom."""

import faulthandler
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryDirectory

from hsu_worker.app import App
from hsu_worker.gen.plugin.grpc_controller import GRPCController
from hsu_worker.gen.plugin.grpc_stdio import GRPCStdio
from hsu_worker.serving.logring import LogRing
from hsu_worker.serving.signals import signals_lead_to
from hsu_worker.wire.address import Address
from hsu_worker.worker.answering import answering
from hsu_worker.worker.departure import DEFAULT_GRACE
from hsu_worker.worker.exit_codes import NOT_STARTED, OK
from hsu_worker.worker.last_resort import LAST_RESORT, sigterm_ends_within
from hsu_worker.worker.lifeline import Lifeline
from hsu_worker.worker.notify import Notify
from hsu_worker.worker.plugin.certificate import Identity, make_identity
from hsu_worker.worker.plugin.controller import Controller
from hsu_worker.worker.plugin.descriptors import take_stdout, until_unread
from hsu_worker.worker.plugin.hclog import HclogHandler
from hsu_worker.worker.plugin.relay import relaying
from hsu_worker.worker.plugin.stdio import Stdio
from hsu_worker.worker.plugin.variables import PluginVariables
from hsu_worker.worker.recording import Recording
from hsu_worker.worker.run import load_or_show, run
from hsu_worker.worker.serve import started_alone
from hsu_worker.worker.shutdown import shut_down

#: The version of go-plugin's own protocol, the first number of its handshake line.
CORE_VERSION = 1
#: What a host asks health for.
HEALTH_NAME = "plugin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """What a plugin has beside its app."""

    variables: PluginVariables
    version: int
    """Of the host's protocol."""
    identity: Identity | None
    """None: no TLS."""
    handshake: int
    """The descriptor for the handshake line."""
    stdio: Stdio
    recording: Recording
    ring: LogRing
    lifeline: Lifeline | None


def run_plugin(
    target: str,
    variables: PluginVariables,
    *,
    factory: bool = False,
    version: int | None = None,
    log_level: str = "INFO",
) -> int:
    """Be a host's plugin until it is time to leave; returns the exit code.

    Args:
        target: What to serve, `module:App`.

        variables: What the host says.

        factory: `target` names a function that makes what to serve.

        version: The version of the host's protocol to speak; None: its newest.

        log_level: Nothing below it is logged.

    Raises:
        HsuError: Nothing has been served, and the message says why.
    """
    agreed = variables.agreed(version)
    identity = make_identity(variables.certificate) if variables.certificate else None
    # On a terminal Ctrl-C is for the host, which then says what is to be done. (A handler, since
    # children would inherit that a signal is ignored.)
    signal.signal(signal.SIGINT, lambda *_: None)
    faulthandler.enable()
    handshake = take_stdout()
    host_gone = until_unread(handshake)
    lifeline = Lifeline(host_gone, "the host") if host_gone else None
    ring = LogRing()
    stdio = Stdio()
    recording = Recording(ring, HclogHandler(os.dup(2)), level=log_level)
    with stdio.captures_stdout():
        app = load_or_show(target, factory=factory)
        if app is None:
            return NOT_STARTED
        recording.install()
        ring.line_bytes = app.limits.log_line_bytes
        plugin = Plugin(
            variables=variables,
            version=agreed,
            identity=identity,
            handshake=handshake,
            stdio=stdio,
            recording=recording,
            ring=ring,
            lifeline=lifeline,
        )
        failure = run(live_as_plugin(app, plugin))
    if failure:
        print(f"Error: {target!r} could not start: {failure}", file=sys.stderr)
        return NOT_STARTED
    return OK


async def live_as_plugin(app: App, plugin: Plugin) -> str:
    """Live as a host's plugin: start at once, say where, and serve until the host says Shutdown.

    Returns:
        Why the start failed; empty when it did not.
    """
    controller = Controller()
    async with (
        reachable(plugin) as (public, own),
        answering(
            app,
            own,
            instance=os.urandom(16).hex(),
            token="",
            ring=plugin.ring,
            started=plugin.recording.install,
            beside={GRPCController: controller, GRPCStdio: plugin.stdio},
            known_as=(HEALTH_NAME,),
        ) as worker,
    ):
        leave = partial(worker.departure.ask, DEFAULT_GRACE)
        with (
            signals_lead_to(leave, (signal.SIGTERM,)),
            sigterm_ends_within(DEFAULT_GRACE + LAST_RESORT),
            plugin.stdio.captures_stderr(),
        ):
            controller.leads_to(worker.departure)
            if plugin.lifeline is not None:
                plugin.lifeline.leads_to(worker.departure)
            # The service of a service manager is the host, if any is.
            failure = await started_alone(worker, Notify({}))
            if failure:
                return failure
            _let_in(public, plugin.variables.group)
            try:
                os.write(plugin.handshake, handshake_line(plugin, public))
            except OSError as error:
                reason = f"the handshake line can't be written: {error.strerror}"
                worker.departure.ask(0.0, reason)
            await worker.departure.asked()
            await shut_down(worker, plugin.stdio)
    return ""


def handshake_line(plugin: Plugin, public: str) -> bytes:
    """What the host reads first: how it reaches the plugin."""
    certificate = plugin.identity.announced if plugin.identity else ""
    fields = [str(CORE_VERSION), str(plugin.version), "unix", public, "grpc", certificate]
    if plugin.variables.multiplexes:
        # Older hosts don't expect it: only who asks is told.
        fields.append("false")
    return ("|".join(fields) + "\n").encode()


@asynccontextmanager
async def reachable(plugin: Plugin) -> AsyncGenerator[tuple[str, Address], None]:
    """The path for the host, and where the worker has to listen for that; with TLS between the two."""
    with TemporaryDirectory(prefix="hsu-plugin-") as private:
        public = f"{plugin.variables.folder or private}/plugin-{os.urandom(4).hex()}"
        if plugin.identity is None:
            yield public, Address.parse(f"unix:{public}")
            return
        inner = Address.parse(f"unix:{private}/worker.sock")
        async with relaying(public, plugin.identity.context, inner.path):
            yield public, inner


def _let_in(public: str, group: int | None) -> None:
    """Let the host open the socket, where it runs as another user of a group."""
    if group is not None:
        os.chown(public, -1, group)
        os.chmod(public, 0o660)
