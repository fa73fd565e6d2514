from pathlib import Path

import pytest

from hsu_worker.errors import ConfigError
from tests.master.running import app, running, text


@pytest.mark.parametrize("name", ["ü", "a#b", "a%b", "a,b"])
async def test_a_folder_that_grpc_would_read_otherwise_is_refused_at_once(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    toml = text(app(tmp_path), "[master]", f'runtime_dir = "{folder}"')
    with pytest.raises(ConfigError) as caught:
        async with running(tmp_path, toml):
            pass

    message = str(caught.value)
    assert message.startswith(f"runtime folder {folder}/hsu-")
    assert message.endswith("choose another folder; set master.runtime_dir")


async def test_a_folder_that_is_too_long_for_sockets_is_refused_at_once(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 60)
    toml = text(app(tmp_path), "[master]", f'runtime_dir = "{folder}"')
    with pytest.raises(ConfigError) as caught:
        async with running(tmp_path, toml):
            pass

    message = str(caught.value)
    assert message.startswith(f"runtime folder {folder}/hsu-")
    assert message.endswith(" bytes, 100 are possible; set master.runtime_dir to a shorter one")
    assert [] == list(folder.iterdir())
