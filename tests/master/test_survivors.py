"""Records of workers that outlive their master, by themselves."""

import json
from pathlib import Path

import pytest

from hsu_worker.master.survivors import Record, Survivors


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
    record = Record(
        unit="u",
        instance="0" * 32,
        launch="",
        boot="",
        mark="ab/1",
        address="unix:/a",
        token="",
        master_token="",
    )
    survivors.write(record)
    assert [record] == survivors.read()
    path = survivors.path(record.instance, "json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))

    assert [] == survivors.read()
    assert path.with_suffix(".damaged").exists()
    assert f"{path}: not the record of a worker: " in caplog.text
