"""Contracts with rules of buf.validate become Python, wherever the rules' own schema is."""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from protovalidate import ViolationPb

from hsu_worker.codegen.generate import generate
from hsu_worker.errors import CodegenError

RULED = """\
syntax = "proto3";
package ruled.v1;
import "buf/validate/validate.proto";

message Text {
  string text = 1 [(buf.validate.field).string.min_len = 1];
}
"""

USER = """\
syntax = "proto3";
package ruled.v1;
import "deep/ruled.proto";

service Words {
  rpc Count(Text) returns (Text);
}
"""

#: The part of the schema that `RULED` needs, as somebody might have exported it.
SCHEMA = """\
syntax = "proto2";
package buf.validate;
import "google/protobuf/descriptor.proto";

extend google.protobuf.FieldOptions {
  optional FieldRules field = 1159;
}
message FieldRules {
  oneof type {
    StringRules string = 14;
  }
}
message StringRules {
  optional uint64 min_len = 2;
}
"""


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A project whose listed file gets its rules by an import."""
    (tmp_path / "proto" / "deep").mkdir(parents=True)
    (tmp_path / "proto" / "deep" / "ruled.proto").write_text(RULED)
    file = tmp_path / "proto" / "words.proto"
    file.write_text(USER)
    return file


def test_the_schema_comes_with_the_extra(user: Path, tmp_path: Path) -> None:
    gen = tmp_path / "gen"
    files = generate([user], out=gen).files
    ours = "from hsu_worker.wire import buf_validate as "

    assert {gen / name for name in ("words.py", "deep/ruled.py")} <= set(files)
    assert not any("buf" in str(path.relative_to(gen)) for path in files)
    assert ours in files[gen / "deep" / "ruled_pb2.py"]
    assert ours in files[gen / "deep" / "ruled_pb2.pyi"]


def test_a_copy_in_the_proto_path_is_taken_and_becomes_no_python(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_the_library(monkeypatch)
    copy = tmp_path / "vendor" / "buf" / "validate" / "validate.proto"
    copy.parent.mkdir(parents=True)
    copy.write_text(SCHEMA)
    output = generate([user], out=tmp_path / "gen", proto_path=[user.parent, tmp_path / "vendor"])
    assert not any("buf" in str(path.relative_to(tmp_path)) for path in output.files)

    with pytest.raises(CodegenError) as refused:
        generate([user, copy], out=tmp_path / "gen", proto_path=[user.parent, tmp_path / "vendor"])
    assert (
        f"{copy}: needs no Python; leave the file out (importing it works all the same)"
    ) == str(refused.value)


def test_without_the_extra_and_a_copy_the_cure_is_told(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_the_library(monkeypatch)
    with pytest.raises(CodegenError) as refused:
        generate([user], out=tmp_path / "gen")

    assert str(refused.value).startswith("buf/validate/validate.proto: File not found.\n")
    assert str(refused.value).endswith(
        "\nbuf/validate/validate.proto comes with the extra `validate`: "
        "pip install 'hsu-worker[validate]'"
    )


def test_another_version_of_the_extra_is_told(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = ModuleType("protovalidate")
    old.__spec__ = ModuleSpec("protovalidate", None)
    monkeypatch.setitem(sys.modules, "protovalidate", old)
    with pytest.raises(CodegenError) as refused:
        generate([user], out=tmp_path / "gen")

    assert str(refused.value).startswith("buf/validate/validate.proto can't be had: cannot import ")
    assert str(refused.value).endswith(
        "; update it with: pip install --upgrade 'hsu-worker[validate]'"
    )


def test_what_the_extra_ships_is_the_whole_schema() -> None:
    # Public names of the library's own; `gen` needs them to stay.
    schema = FileDescriptorProto.FromString(ViolationPb.desc().file.proto.to_binary())
    assert "buf/validate/validate.proto" == schema.name
    assert {1159} == {extension.number for extension in schema.extension} - {1160}


def test_a_message_of_the_schema_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "wrong.proto"
    file.write_text(
        'syntax = "proto3";\n'
        'import "buf/validate/validate.proto";\n'
        "message Outer {\n"
        "  message Inner {\n"
        "    repeated buf.validate.Violation violations = 1;\n"
        "  }\n"
        "}\n"
        "service Wrong {\n"
        "  rpc Look(Outer) returns (buf.validate.Violations);\n"
        "}\n"
    )
    with pytest.raises(CodegenError) as refused:
        generate([file], out=tmp_path / "gen")

    why = (
        "buf/validate/validate.proto is there for rules, and its messages have no Python; "
        "write a message of your own"
    )
    assert [
        f"{file}:5: field Outer.Inner.violations: {why}",
        f"{file}:9: method Wrong.Look: {why}",
    ] == str(refused.value).splitlines()


def without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: None if name == "protovalidate" else found(name, package),
    )
    monkeypatch.setitem(sys.modules, "protovalidate", None)
