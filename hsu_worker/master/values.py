"""Reads the values of `hsu.toml`: one function per sort of value.

Each makes the value that the program works with of the one in the file. A wrong one is a
`ConfigError` that says what was expected; the reader puts the key's name before it.
"""

import json
import os
import re
import resource
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hsu_worker.errors import AddressError, ConfigError
from hsu_worker.master.duration import NEVER, parse_duration
from hsu_worker.master.keeper.processes import LINUX
from hsu_worker.wire.address import Address
from hsu_worker.wire.launch import LaunchVariables
from hsu_worker.wire.limits import MOST
from hsu_worker.wire.secret_file import is_variable_name, read_env_file, read_token

#: Takes a TOML value and the file's folder.
Parse = Callable[[object, Path], Any]

_INTERFACE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_IMPORT_STRING = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?")
_BYTES = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}
_SIZE = re.compile(f"([1-9][0-9]*)({'|'.join(_BYTES)})")
_EVERY_WORKER = ("hsu.core.v1.", "grpc.health.v1.", "grpc.reflection.")
_LAUNCH_VARIABLES = {f"HSU_{each.name.upper()}" for each in fields(LaunchVariables)}


def toml(value: object) -> str:
    """A value as a TOML file has it, near enough for a message."""
    if isinstance(value, str | bool | int | float):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "a table"
    return str(value)


def wrong(expected: str, value: object) -> ConfigError:
    return ConfigError(f"expected {expected}, got {toml(value)}")


def text(value: object, folder: Path) -> str:
    if not isinstance(value, str) or not value:
        raise wrong("a string", value)
    return value


def flag(value: object, folder: Path) -> bool:
    if not isinstance(value, bool):
        raise wrong("true or false", value)
    return value


def only_true(value: object, folder: Path) -> bool:
    if value is not True:
        raise wrong("true (or no such line)", value)
    return True


def count(value: object, folder: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise wrong("a whole number of at least 1", value)
    return value


def niceness(value: object, folder: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 19:
        raise wrong("a whole number from 1 to 19", value)
    return value


def open_files(value: object, folder: Path) -> int:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # Below that no worker comes up.
    if isinstance(value, bool) or not isinstance(value, int) or value < 64:
        raise wrong("a whole number of at least 64", value)
    if most != resource.RLIM_INFINITY and value > most:
        raise wrong(f"at most {most}, which is the hard limit of this process (ulimit -Hn)", value)
    return value


def address_space(value: object, folder: Path) -> int:
    found = size(value, folder)
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    if most != resource.RLIM_INFINITY and found > most:
        raise wrong(f"at most {most}B, which is the hard limit of this process (ulimit -Hv)", value)
    return found


def processors(value: object, folder: Path) -> tuple[int, ...]:
    """Numbers of processors that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        raise ConfigError("this system binds no process to processors; remove the line")
    known = sorted(os.sched_getaffinity(0))
    numbers = value if isinstance(value, list) else []
    if not numbers or not all(type(each) is int and each in known for each in numbers):
        raise wrong(f"a list of processors, of {', '.join(map(str, known))}", value)
    return tuple(sorted(set(numbers)))


def one_of(*words: str, make: Callable[[str], str] = str) -> Parse:
    def parse(value: object, folder: Path) -> str:
        if not isinstance(value, str) or value not in words:
            near = get_close_matches(value, words, n=1) if isinstance(value, str) else []
            hint = f"; did you mean {toml(near[0])}?" if near else ""
            raise ConfigError(f"{wrong(' or '.join(map(toml, words)), value)}{hint}")
        return make(value)

    return parse


def lifetime(value: object, folder: Path) -> str:
    """How long a process lives. Elsewhere nothing tells whose process a pid is."""
    word: str = one_of("bound", "survive")(value, folder)
    if word == "survive" and not LINUX:
        raise ConfigError('this system can\'t tell one process from another; write "bound"')
    return word


def duration(*, never: bool = False, zero: bool = True) -> Parse:
    """Seconds, as a float.

    Args:
        never: `"never"` makes sense.

        zero: `"0s"` makes sense.
    """
    expected = 'a duration such as "60s"' + (' or "never"' if never else "")

    def parse(value: object, folder: Path) -> float:
        seconds = parse_duration(value) if isinstance(value, str) else None
        if seconds is None or (seconds == NEVER and not never):
            raise wrong(expected, value)
        if seconds == 0 and not zero:
            raise wrong(f"{expected}, longer than 0s", value)
        return seconds

    return parse


def size(value: object, folder: Path) -> int:
    """A number of bytes: `"10MB"` are ten million, `"10MiB"` a few more."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise wrong('a size such as "10MB" or "10MiB"', value)
    return int(match[1]) * _BYTES[match[2]]


def own_size(value: object, folder: Path) -> int:
    """A number of bytes to compare with what a process has of its own. Elsewhere nothing tells that."""
    if not LINUX:
        raise ConfigError("this system doesn't tell what a process has of its own; remove the line")
    return size(value, folder)


def message_size(value: object, folder: Path) -> int:
    """A number of bytes that grpc can take."""
    found = size(value, folder)
    if found > MOST:
        raise wrong("a size of less than 2GiB", value)
    return found


def import_string(value: object, folder: Path) -> str:
    if not isinstance(value, str) or not _IMPORT_STRING.fullmatch(value):
        raise wrong('an import string such as "my_package.app:App"', value)
    return value


def command(value: object, folder: Path) -> tuple[str, ...]:
    """A program with its arguments; a program with a slash is relative to the file's folder."""
    expected = 'a list of strings such as ["./bin/worker", "--fast"]'
    if not isinstance(value, list) or not value or not value[0]:
        raise wrong(expected, value)
    if not all(isinstance(word, str) and "\0" not in word for word in value):
        raise wrong(expected, value)
    program, *arguments = value
    return (str(folder / program) if "/" in program else program, *arguments)


def address(value: object, folder: Path) -> str:
    """The text of an address that can be dialled."""
    if not isinstance(value, str):
        raise wrong('an address such as "tcp:127.0.0.1:5000"', value)
    try:
        Address.parse(value).check_dialled()
    except AddressError as error:
        raise ConfigError(str(error)) from None
    return value


def interfaces(value: object, folder: Path) -> tuple[str, ...]:
    expected = 'a list of interface names such as ["hsu.a.v1.InterfaceA"]'
    if not isinstance(value, list) or not value:
        raise wrong(expected, value)
    for name in value:
        if not isinstance(name, str) or not _INTERFACE.fullmatch(name):
            raise wrong(expected, value)
        if name.startswith(_EVERY_WORKER):
            raise ConfigError(f"every worker serves {name}; remove it from the list")
        if value.count(name) > 1:
            raise ConfigError(f"{name} is there twice; remove one")
    return tuple(value)


def unit_names(value: object, folder: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise wrong('a list of unit names such as ["database"]', value)
    return tuple(dict.fromkeys(value))


def groups(value: object, folder: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise wrong('a list of names of groups such as ["gpu"]', value)
    return tuple(dict.fromkeys(value))


def path(value: object, folder: Path) -> Path:
    """A path, relative to the file's folder."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise wrong("a path", value)
    return folder / value


def existing_folder(value: object, folder: Path) -> Path:
    found = path(value, folder)
    if not found.is_dir():
        raise ConfigError(f"no such folder: {found}")
    return found


def interpreter(value: object, folder: Path) -> Path:
    """A Python interpreter: a path with a slash, or a name to be found on PATH."""
    named = path(value, folder)
    if "/" not in str(value):
        found = shutil.which(str(value))
        if found is None:
            raise ConfigError(f"no program {toml(value)} on PATH; write the interpreter's path")
        return Path(found)
    if not named.is_file() or not os.access(named, os.X_OK):
        raise ConfigError(f"no such program: {named}")
    return named


def variable_names(value: object, folder: Path) -> tuple[str, ...]:
    expected = 'a list of variable names such as ["API_KEY"]'
    if not isinstance(value, list):
        raise wrong(expected, value)
    for name in value:
        if isinstance(name, str) and "=" in name:
            raise ConfigError("expected names without values; values belong into 'env_file'")
        if not isinstance(name, str) or not is_variable_name(name):
            raise wrong(expected, value)
    _without_launch_variables(value)
    return tuple(value)


def variables(value: object, folder: Path) -> Mapping[str, str]:
    """A table of strings. Its values may be secrets: no message shows one."""
    if not isinstance(value, dict):
        raise ConfigError('expected a table such as {MODE = "fast"}')
    for name, content in value.items():
        if not is_variable_name(name):
            raise ConfigError(f"{toml(name)} can't name a variable; use letters, digits and _")
        if not isinstance(content, str) or "\0" in content:
            raise ConfigError(f"the value of {name} is no string; put it in quotes")
    _without_launch_variables(value)
    return MappingProxyType(dict(value))


def env_file(value: object, folder: Path) -> Path:
    found = path(value, folder)
    _without_launch_variables(read_env_file(found))
    return found


def token_file(value: object, folder: Path) -> Path:
    found = path(value, folder)
    read_token(found)
    return found


def _without_launch_variables(names: Iterable[str]) -> None:
    taken = [name for name in names if name in _LAUNCH_VARIABLES]
    if taken:
        raise ConfigError(f"the master sets {', '.join(taken)} itself; remove it")
