"""What a shell offers while somebody types: quick, and silent when it knows nothing."""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click


def units(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The units of the running masters, as their files name them."""
    try:
        found = {unit for file in _files(ctx) for unit in tomllib.loads(file.read_text())["units"]}
    except Exception:
        # A message would end up in the line that is being typed.
        return []
    return sorted(unit for unit in found if unit.startswith(incomplete))


def _files(ctx: click.Context) -> Iterator[Path]:
    """The `hsu.toml` of the master that is named, else of each that runs."""
    from hsu_worker.master.folder import SOCKET, owner_of, running_masters, runtime_folders

    where = ctx.params.get("where") or os.environ.get("HSU_MASTER", "")
    folder = Path(where.removeprefix("unix:").removesuffix(f"/{SOCKET}"))
    owners = [owner_of(folder)] if where else running_masters(*runtime_folders()).values()
    for owner in owners:
        if owner is not None and owner.config:
            yield Path(owner.config)
