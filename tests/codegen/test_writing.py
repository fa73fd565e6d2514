"""Files are written all or none, whatever stops it."""

from pathlib import Path

import pytest

from hsu_worker.codegen.writing import write_all
from hsu_worker.errors import CodegenError


def everything(folder: Path) -> dict[str, str | None]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def files(tmp_path: Path) -> dict[Path, str]:
    """Two that are there, and two in folders that aren't."""
    (tmp_path / "a").write_text("old a")
    (tmp_path / "b").write_text("old b")
    (tmp_path / "a").chmod(0o640)
    return {tmp_path / name: f"new {name}" for name in ("a", "deep/er/x", "deep/y", "b")}


def test_files_are_written_with_their_folders_and_keep_their_modes(
    tmp_path: Path, files: dict[Path, str]
) -> None:
    write_all(files)
    assert everything(tmp_path) == {
        "a": "new a",
        "b": "new b",
        "deep": None,
        "deep/er": None,
        "deep/er/x": "new deep/er/x",
        "deep/y": "new deep/y",
    }
    assert 0o640 == (tmp_path / "a").stat().st_mode & 0o777


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("late", [False, True], ids=["before it is replaced", "after"])
def test_ctrl_c_at_any_file_leaves_everything_as_it_was(
    step: int, late: bool, tmp_path: Path, files: dict[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(tmp_path)
    replace, replaced = Path.replace, list[Path]()

    def interrupted(self: Path, target: Path) -> None:
        if len(replaced) == step and not late:
            raise KeyboardInterrupt
        replace(self, target)
        if len(replaced) == step:
            raise KeyboardInterrupt
        replaced.append(target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_all(files)
    assert before == everything(tmp_path)


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path, files: dict[Path, str]) -> None:
    before = everything(tmp_path)
    with pytest.raises(CodegenError) as caught:
        write_all(files | {tmp_path / "a" / "z": "new"})
    assert f"can't write {tmp_path}/a/z: Not a directory" == str(caught.value)
    assert before == everything(tmp_path)
