"""Files that hold secrets: they belong to this user, and nobody else can open them."""

import os
import re
import stat
from pathlib import Path

from hsu_worker.errors import ConfigError
from hsu_worker.wire.metadata import is_token

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_secret(path: Path) -> str:
    """The text of a file that only its owner can open.

    Raises:
        ConfigError: There is none, or others can open it. The message holds nothing of its text.
    """
    try:
        # Without O_NONBLOCK, opening a pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    try:
        _check(path, os.fstat(descriptor))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read().decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8") from None
    finally:
        os.close(descriptor)


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of a file with one `NAME=VALUE` per line.

    Empty lines and lines that begin with `#` don't count. Spaces around a value, and then one
    pair of quotes around it, are no part of it; nothing in it is expanded.

    Raises:
        ConfigError: It can't be read, others can open it, or a line is no `NAME=VALUE`.
    """
    variables: dict[str, str] = {}
    for number, line in enumerate(read_secret(path).split("\n"), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        name = name.rstrip()
        if not equals or not is_variable_name(name) or "\0" in value:
            raise ConfigError(f"{path}: line {number}: expected NAME=VALUE")
        variables[name] = _unquoted(value.strip())
    return variables


def is_variable_name(text: str) -> bool:
    """A shell could name a variable like this."""
    return _NAME.fullmatch(text) is not None


def read_token(path: Path) -> str:
    """The token in a file that only its owner can open.

    Raises:
        ConfigError: It can't be read, others can open it, it is empty, or it holds no token.
    """
    token = read_secret(path).strip()
    if not token:
        raise ConfigError(f"{path}: empty; write the token into it")
    check_token(token, str(path))
    return token


def check_token(token: str, source: str) -> None:
    """Refuse what can't be presented: what grpc would say of it shows it.

    Raises:
        ConfigError: It is no token. The message names `source`, and holds nothing of it.
    """
    if not is_token(token):
        raise ConfigError(f"{source} holds no token: printable ASCII without spaces is needed")


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{path}: not a regular file")
    if status.st_uid != os.geteuid():
        raise ConfigError(f"{path}: belongs to another user; make a copy of your own")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path}: other users can open it; run: chmod 600 {path}")


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value
