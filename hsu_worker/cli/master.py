"""`hsu-worker master`."""

import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hsu_worker.cli._asking import print_json
from hsu_worker.cli._reloads import summary
from hsu_worker.errors import HsuError

if TYPE_CHECKING:
    import logging

    from hsu_worker.master import Master


@click.group()
def command() -> None:
    """The process that starts units when they are called."""


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--listen",
    multiple=True,
    metavar="ADDRESS",
    help="Listen here as well: unix:<absolute path> or tcp:<host>:<port>; may be repeated.",
)
@click.option(
    "--insecure-remote",
    is_flag=True,
    help="Listen where others in the network can read and make calls.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show what goes wrong, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print where it listens as one line of JSON.")
def run(
    file: Path, listen: tuple[str, ...], insecure_remote: bool, quiet: bool, as_json: bool
) -> None:
    r"""Run the units of an hsu.toml.

    They are started when they are called, and stopped when they are idle.

    \b
      hsu-worker master run hsu.toml
      hsu-worker master run hsu.toml --listen tcp:127.0.0.1:7000

    It prints where it listens; what happens goes to stderr, line by line.

    SIGHUP: it reads the file again, as `hsu-worker reload` has it do.

    Ctrl-C or SIGTERM: calls that run finish, as long as each unit's `drain` says; a second one ends
    everything at once.
    """
    import asyncio
    import logging

    from hsu_worker.master import Master
    from hsu_worker.wire.address import Address

    addresses = [Address.parse(text) for text in listen]
    if not insecure_remote:
        for address in addresses:
            address.check_local()
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO, format="%(asctime)s %(message)s"
    )
    master = Master.from_file(file, listen=addresses, insecure_remote=insecure_remote)
    asyncio.run(_live(master, as_json))


async def _live(master: "Master", as_json: bool) -> None:
    """Run until somebody asks it to leave."""
    import asyncio
    import logging

    from hsu_worker.serving.signals import signals_lead_to

    log = logging.getLogger(__name__)
    asked = asyncio.Event()

    def leave(name: str) -> None:
        log.info("%s: running calls finish; a second signal ends everything at once", name)
        asked.set()

    with signals_lead_to(leave):
        # SIGHUP would end a master that is leaving.
        async with _reloads(master, log), master:
            addresses = [str(address) for address in master.addresses]
            if as_json:
                facts = {
                    "pid": os.getpid(),
                    "addresses": addresses,
                    "token_file": str(master.token_file),
                    "units": list(master.config.units),
                }
                print_json(facts, indent=None)
            else:
                click.echo(f"{', '.join(master.config.units)} at {', '.join(addresses)}")
            await asked.wait()


@asynccontextmanager
async def _reloads(master: "Master", log: "logging.Logger") -> AsyncGenerator[None, None]:
    """Read the file again at each SIGHUP, while the block runs."""
    import asyncio

    asked = asyncio.Event()

    async def reload() -> None:
        while True:
            await asked.wait()
            asked.clear()
            try:
                changes = await master.reload()
            except HsuError as error:
                log.error("SIGHUP: nothing has changed:\n%s", error)  # noqa: TRY400
            except Exception:
                # The next one may go better.
                log.exception("SIGHUP: the file can't be read again")
            else:
                log.info("SIGHUP: %s", summary(changes))

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, asked.set)
    reloading = asyncio.create_task(reload())
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        reloading.cancel()
        await asyncio.wait((reloading,))
