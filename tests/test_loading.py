"""Import strings: what they may lead to, and one sentence per cause when they lead nowhere."""

import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hsu_worker.errors import AppError, LoadError
from hsu_worker.loading import load_app

HEAD = """
from collections.abc import AsyncIterator, Iterator
from hsu_worker import App, implements
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest, SummarizeResponse, SummaryChunk
from hsu_worker.gen.hsu_b import *

class Handlers:
    async def summarize(self, request: SummarizeRequest) -> SummarizeResponse: ...
    def stream_summary(self, request: SummarizeRequest) -> Iterator[SummaryChunk]: ...

class BHandlers:
    def ingest(self, requests) -> IngestResponse: ...
    def search(self, request) -> Iterator[SearchResponse]: ...
    def get_stats(self, request) -> GetStatsResponse: ...
"""

SERVICE = """
@implements(InterfaceA)
class Summarizer(Handlers):
    def __init__(self, path="stopwords.txt"):
        self.path = path
"""

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules into a folder that is searched; forgets them afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(text: str, name: str = "mysvc.py", *, head: str = HEAD + SERVICE) -> None:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(head + textwrap.dedent(text))

    yield write
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("mysvc", "mypkg", "other"):
            del sys.modules[name]


def refused(target: str) -> str:
    with pytest.raises(LoadError) as caught:
        load_app(target)
    assert caught.value.__cause__ is None
    return str(caught.value)


# -- the string


@pytest.mark.parametrize(
    "target",
    [
        "",
        ":",
        ":app",
        "mysvc:",
        "mysvc:app:x",
        "my svc",
        ".mysvc",
        "mysvc.",
        "mysvc:.app",
        "a-b",
        "mysvc:make()",
    ],
)
def test_a_malformed_string_is_refused(target: str) -> None:
    assert (
        f"{target!r} is no import string; write <module>:<attribute>, such as 'mysvc:app'"
    ) == refused(target)


@pytest.mark.parametrize(
    ("target", "cure"),
    [
        ("mysvc.py", "mysvc"),
        ("mysvc.py:app", "mysvc:app"),
        ("./mypkg/mysvc.py:app", "mypkg.mysvc:app"),
        ("../mysvc.py", "mysvc"),
        ("mypkg/mysvc", "mypkg.mysvc"),
        ("/srv/mysvc.py:app", "mysvc:app"),
    ],
)
def test_a_file_is_refused_with_the_module_to_write(target: str, cure: str) -> None:
    assert f"{target!r} names a file; write the module: '{cure}'" == refused(target)


# -- the module


@pytest.mark.parametrize(
    ("target", "missing"),
    [
        ("nowhere_at_all", "nowhere_at_all"),
        ("nowhere_at_all:app", "nowhere_at_all"),
        ("nowhere_at_all.deeper:app", "nowhere_at_all"),
        ("mypkg.missing:app", "mypkg.missing"),
        ("mypkg.missing.deeper", "mypkg.missing"),
        ("mypkg.plain.deeper", "mypkg.plain.deeper"),
    ],
)
def test_a_module_that_is_not_there_is_named(write: Write, target: str, missing: str) -> None:
    write("", "mypkg/__init__.py", head="")
    write("", "mypkg/plain.py", head="")
    assert (
        f"{target!r}: there is no module {missing!r}; "
        "start from the folder that holds it, or install it"
    ) == refused(target)


@pytest.mark.parametrize(
    ("target", "missing", "near"),
    [
        ("mypgk.plain:app", "mypgk", "mypkg"),
        ("mypkg.plian:app", "mypkg.plian", "mypkg.plain"),
    ],
)
def test_a_module_that_is_misspelt_is_told_with_the_nearest(
    write: Write, target: str, missing: str, near: str
) -> None:
    write("", "mypkg/__init__.py", head="")
    write("", "mypkg/plain.py", head="")
    assert f"{target!r}: there is no module {missing!r}; did you mean {near!r}?" == refused(target)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("import nowhere_at_all", ModuleNotFoundError, "No module named 'nowhere_at_all'"),
        ("import mysvc.deeper", ModuleNotFoundError, "No module named 'mysvc.deeper'"),
        ("from os import nothing_like_it", ImportError, "cannot import name 'nothing_like_it'"),
        ("1 / 0", ZeroDivisionError, "division by zero"),
        ("raise ModuleNotFoundError('by hand')", ModuleNotFoundError, "by hand"),
        ("raise SystemExit(3)", SystemExit, "3"),
    ],
)
def test_an_error_inside_the_module_keeps_its_own_traceback(
    write: Write, text: str, kind: type[BaseException], message: str
) -> None:
    write(text)
    with pytest.raises(kind, match=message) as caught:
        load_app("mysvc:app")
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert text in [frame.line for frame in frames if frame.filename.endswith("mysvc.py")]


# -- the attribute


def test_an_attribute_that_is_not_there_is_told_with_its_neighbours(write: Write) -> None:
    write("app = App(Summarizer())")
    assert "'mysvc' has no attribute 'Sumarizer'; did you mean Summarizer?" == refused(
        "mysvc:Sumarizer"
    )
    assert "'mysvc' has no attribute 'ap'; did you mean app?" == refused("mysvc:ap")
    assert "'mysvc' has no attribute 'APP'; did you mean app?" == refused("mysvc:APP")
    assert "'mysvc' has no attribute 'zzz'; it has Summarizer, app" == refused("mysvc:zzz")


def test_a_dotted_attribute_is_followed_and_its_missing_part_named(write: Write) -> None:
    write("class Apps:\n    main = App(Summarizer(), name='nested')\n")
    assert "nested" == load_app("mysvc:Apps.main").name
    assert "'mysvc:Apps' has no attribute 'mian'; did you mean main?" == refused("mysvc:Apps.mian")
    assert (
        "'mysvc:Apps.main' has no attribute 'zzz'; it has nothing that could be served"
        == refused("mysvc:Apps.main.zzz")
    )


def test_an_app_is_taken_as_it_is(write: Write) -> None:
    write("app = App(Summarizer(), name='own')")
    app = load_app("mysvc:app")
    assert app is sys.modules["mysvc"].app
    assert app is load_app("mysvc:app")


def test_a_module_in_a_package_is_found(write: Write) -> None:
    write("", "mypkg/__init__.py", head="")
    write("app = App(Summarizer())", "mypkg/mysvc.py")
    assert "Summarizer" == load_app("mypkg.mysvc:app").name


def test_a_factory_may_return_an_app_or_a_service(write: Write) -> None:
    write("""
        def make_app(path="x"):
            return App(Summarizer(path), name="made")

        make_service = lambda: Summarizer("y")
    """)
    assert "made" == load_app("mysvc:make_app").name
    assert ["y"] == [service.path for service in load_app("mysvc:make_service").services.values()]  # type: ignore[attr-defined]


def test_a_factory_that_is_asked_for_is_called(write: Write) -> None:
    write("""
        def make_app():
            return App(Summarizer("x"), name="made")

        app = make_app()
    """)
    assert "made" == load_app("mysvc:make_app", factory=True).name
    # A class makes what it is a class of.
    made = load_app("mysvc:Summarizer", factory=True)
    assert ["stopwords.txt"] == [service.path for service in made.services.values()]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "mysvc:app",
            (
                "'mysvc:app' is of type App, and nothing that can be called; "
                "leave --factory out, or name a function that makes an App"
            ),
        ),
        ("mysvc", "'mysvc' names no factory; write 'mysvc:make_app'"),
        ("mysvc:print", "'mysvc:print' returned an object of type NoneType; "),
    ],
)
def test_what_makes_nothing_is_no_factory(write: Write, target: str, message: str) -> None:
    write("app = App(Summarizer())\nprint = lambda: None")
    with pytest.raises(LoadError) as caught:
        load_app(target, factory=True)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("factory", [False, True])
def test_of_a_method_the_class_is_asked_for(write: Write, factory: bool) -> None:
    write("")
    with pytest.raises(LoadError) as caught:
        load_app("mysvc:Summarizer.summarize", factory=factory)
    told = "'mysvc:Summarizer.summarize' is a method; name its class: 'mysvc:Summarizer'"
    assert told == str(caught.value)


def test_a_factory_may_be_a_method_of_the_class_itself(write: Write) -> None:
    write("""
        class Made(Summarizer):
            @classmethod
            def make(cls):
                return cls("made")

            @staticmethod
            def alone():
                return Made("alone")
    """)
    made = [load_app(f"mysvc:Made.{name}") for name in ("make", "alone")]
    assert ["made", "alone"] == [
        service.path  # type: ignore[attr-defined]
        for app in made
        for service in app.services.values()
    ]


def test_a_marked_class_is_made_and_an_instance_is_taken(write: Write) -> None:
    write("service = Summarizer('given')")
    made = load_app("mysvc:Summarizer")
    given = load_app("mysvc:service")
    assert ["stopwords.txt"] == [service.path for service in made.services.values()]  # type: ignore[attr-defined]
    assert [sys.modules["mysvc"].service] == list(given.services.values())


def test_an_instance_that_can_be_called_is_a_service_all_the_same(write: Write) -> None:
    write("""
        class Callable(Summarizer):
            def __call__(self):
                raise AssertionError("never called")

        service = Callable()
    """)
    app = load_app("mysvc:service")
    assert [sys.modules["mysvc"].service] == list(app.services.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "thing = 'text'",
            "'mysvc:thing' is of type str; name an App, a factory, or a class with @implements",
        ),
        (
            "thing = App",
            (
                "'mysvc:thing' is the class App itself; "
                "write app = App(MyService()) in the module, and name app"
            ),
        ),
        ("import json as thing", "'mysvc:thing' is a module; write 'json'"),
        (
            "class thing: ...",
            "thing implements no interface; write @implements(...) above the class",
        ),
        (
            "def thing(path, *, depth, k=1): ...",
            "'mysvc:thing' can't be called without path, depth; a factory takes nothing",
        ),
        (
            "async def thing(): ...",
            (
                "'mysvc:thing' is a coroutine function; a factory is a plain `def`, "
                "and what has to be awaited belongs into a @lifespan"
            ),
        ),
        (
            "def thing(): ...",
            (
                "'mysvc:thing' returned an object of type NoneType; "
                "a factory returns an App or a service"
            ),
        ),
        (
            "def thing(): return Summarizer",
            "'mysvc:thing' returned the class Summarizer; return an instance",
        ),
        (
            "class thing(Summarizer):\n    def __init__(self, path, *rest, depth, **k): ...",
            (
                "thing can't be made without path, depth; write a factory and name it: "
                "def make_app() -> App: return App(thing(...))"
            ),
        ),
    ],
)
def test_what_can_not_be_served_is_refused(write: Write, text: str, message: str) -> None:
    write(text)
    assert message == refused("mysvc:thing")


@pytest.mark.parametrize("target", ["mysvc:make_app", "mysvc:Failing"])
def test_an_error_in_a_factory_or_constructor_keeps_its_own_traceback(
    write: Write, target: str
) -> None:
    write("""
        def load():
            raise TypeError("missing 1 required positional argument")

        def make_app():
            load()

        class Failing(Summarizer):
            def __init__(self):
                load()
    """)
    with pytest.raises(TypeError, match="missing 1 required positional argument") as caught:
        load_app(target)
    assert "load" == traceback.extract_tb(caught.value.__traceback__)[-1].name


def test_services_that_do_not_fit_together_are_an_app_error(write: Write) -> None:
    write("def make_app(): return App(Summarizer(), Summarizer())")
    with pytest.raises(AppError, match="is implemented by both Summarizer and Summarizer"):
        load_app("mysvc:make_app")


# -- no attribute


def test_every_marked_class_that_the_module_defines_is_served_in_order(write: Write) -> None:
    write("", "other.py")
    write(
        """
        from other import Summarizer as Imported

        @implements(InterfaceB)
        class Zed(BHandlers): ...

        @implements(InterfaceA)
        class Alpha(Handlers): ...

        Alias = Alpha
        """,
        head=HEAD,
    )
    app = load_app("mysvc")
    assert ["Zed", "Alpha"] == [type(service).__name__ for service in app.services.values()]
    assert "Zed" == app.name


def test_a_subclass_of_an_imported_service_counts(write: Write) -> None:
    write("", "other.py")
    write("from other import Summarizer\nclass Mine(Summarizer): ...", head="")
    assert "Mine" == load_app("mysvc").name


def test_an_abstract_class_does_not_count(write: Write) -> None:
    write(
        """
        from abc import ABC, abstractmethod

        @implements(InterfaceA)
        class Base(Handlers, ABC):
            @abstractmethod
            def load(self): ...

        class Mine(Base):
            def load(self): ...
        """,
        head=HEAD,
    )
    assert "Mine" == load_app("mysvc").name


def test_a_module_without_a_marked_class_is_refused_with_the_line_to_write(write: Write) -> None:
    write("", "other.py")
    write("from other import Summarizer, App\napp = App(Summarizer())", head="")
    assert (
        "module 'mysvc' defines no class with @implements; "
        "write @implements(InterfaceA) above one, or name what to serve: 'mysvc:app'"
    ) == refused("mysvc")


def test_a_class_that_needs_arguments_is_refused_with_a_factory(write: Write) -> None:
    write("class Mine(Summarizer):\n    def __init__(self, path): ...")
    assert (
        "Mine can't be made without path; write a factory and name it: "
        "def make_app() -> App: return App(Mine(...))"
    ) == refused("mysvc")


def test_two_classes_for_one_interface_are_refused(write: Write) -> None:
    write("class Mine(Summarizer): ...")
    with pytest.raises(AppError) as caught:
        load_app("mysvc")
    assert (
        "hsu.a.v1.InterfaceA is implemented by both Summarizer and Mine; give App one of the two"
    ) == str(caught.value)
