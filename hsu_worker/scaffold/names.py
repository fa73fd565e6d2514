"""What the parts of a project are called, all made of two names."""

import re
from dataclasses import dataclass

from hsu_worker.interface import snake_case

#: A distribution, a unit and, with `_` for `-`, a package can all be called this.
_PROJECT = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_INTERFACE = re.compile(r"[A-Z][A-Za-z0-9]*")


@dataclass(frozen=True, slots=True)
class ProjectName:
    """A project, such as `my-svc`; `my_svc` means the same."""

    typed: str

    @property
    def is_valid(self) -> bool:
        """It is written as the name of a project."""
        return _PROJECT.fullmatch(self.typed) is not None

    @property
    def valid(self) -> str:
        """The nearest name that is written as one, or ""."""
        words = re.sub(r"[^a-z0-9]+", "-", snake_case(self.typed.rpartition("/")[2])).strip("-")
        return words if self.typed.isascii() and _PROJECT.fullmatch(words) else ""

    @property
    def name(self) -> str:
        """`my-svc`: the distribution, and the unit."""
        return self.typed.replace("_", "-")

    @property
    def package(self) -> str:
        """`my_svc`."""
        return self.name.replace("-", "_")

    @property
    def main_interface(self) -> str:
        """`MySvc`: the interface that it has when none is named."""
        return _camel_case(self.package)


@dataclass(frozen=True, slots=True)
class InterfaceName:
    """An interface of a project, such as `WordList` of the package `my_svc`.

    The one that is called as the project is, `MySvc`, needs no name of its own beside that.
    """

    name: str
    package: str

    @property
    def is_valid(self) -> bool:
        """It is written as the name of an interface."""
        return _INTERFACE.fullmatch(self.name) is not None

    @property
    def valid(self) -> str:
        """The nearest name that is written as one, or ""."""
        words = _camel_case(self.name)
        return words if _INTERFACE.fullmatch(words) else ""

    @property
    def _own(self) -> str:
        own = snake_case(self.name)
        return "" if own.replace("_", "") == self.package.replace("_", "") else own

    @property
    def module(self) -> str:
        """The module of its service and, after `test_`, that of its tests: `word_list`."""
        return self._own or "service"

    @property
    def stem(self) -> str:
        """The `.proto` and the modules made of it: `my_svc_word_list`.

        One process can't load two files of one name, and it may well call several projects.
        """
        return "_".join(filter(None, (self.package, self._own)))

    @property
    def proto_package(self) -> str:
        """`my_svc.word_list.v1`."""
        return ".".join(filter(None, (self.package, self._own, "v1")))

    @property
    def full_name(self) -> str:
        """`my_svc.word_list.v1.WordList`."""
        return f"{self.proto_package}.{self.name}"

    @property
    def service(self) -> str:
        """The class that implements it: `WordListService`."""
        return f"{self.name}Impl" if self.name.endswith("Service") else f"{self.name}Service"


def _camel_case(words: str) -> str:
    return "".join(
        word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", words) if word
    )
