"""Records of workers that outlive their master, by themselves."""

import json
from pathlib import Path

import pytest

from hsu_worker.master.survivors import Record, Survivors

RECORD = Record(
    unit="u",
    instance="0" * 32,
    launch="",
    boot="",
    mark="ab/1",
    address="unix:/a",
    token="",
    master_token="",
    pid=2,
    start=1,
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("address", text) for text in ("", "http://x", "unix:relative", "unix:/a\0b")],
        ("mark", "nobody's"),
        ("instance", "another"),
        ("version", 0),
        ("pid", "1"),
    ],
)
def test_t25_a_record_of_which_one_field_can_not_be_is_damaged(
    tmp_path: Path, field: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    survivors = Survivors(tmp_path)
    survivors.write(RECORD)
    assert [RECORD] == survivors.read()
    path = survivors.path(RECORD.instance, "json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))

    assert [] == survivors.read()
    assert path.with_suffix(".damaged").exists()
    assert f"{path}: not the record of a worker: " in caplog.text


def written_without(survivors: Survivors, *missing: str, **more: object) -> Path:
    survivors.write(RECORD)
    path = survivors.path(RECORD.instance, "json")
    fields = json.loads(path.read_text()) | more
    path.write_text(json.dumps({name: fields[name] for name in fields if name not in missing}))
    return path


def test_a_record_of_an_earlier_version_has_the_default_of_a_field_that_came_later(
    tmp_path: Path,
) -> None:
    survivors = Survivors(tmp_path)
    written_without(survivors, "ending")
    assert [RECORD] == survivors.read()


@pytest.mark.parametrize("missing", ["pid", "start", "mark", "token", "version"])
def test_t25_a_record_that_lacks_what_each_one_has_is_damaged(
    tmp_path: Path, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    survivors = Survivors(tmp_path)
    path = written_without(survivors, missing)
    assert [] == survivors.read()
    assert f"{path}: not the record of a worker: it has other fields; " in caplog.text


def test_t25_a_record_with_a_field_that_nobody_knows_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    survivors = Survivors(tmp_path)
    path = written_without(survivors, more=1)
    assert [] == survivors.read()
    assert f"{path}: not the record of a worker: it has other fields; " in caplog.text
