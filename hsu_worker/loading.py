"""From `module:attribute` to the App that it means."""

import importlib
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from hsu_worker.app import App
from hsu_worker.authoring.implements import interfaces_of
from hsu_worker.authoring.signature import signature_of
from hsu_worker.errors import LoadError


def load_app(target: str, *, factory: bool = False, launched: bool = False) -> App:
    """Import what `hsu-worker serve` is given, and make an App of it.

        load_app("hsu_a_service1:app")            # an App
        load_app("hsu_a_service1:make_app")       # called without arguments, returns an App or a service
        load_app("hsu_a_service1:Summarizer")     # a class marked with @implements, or an instance of one
        load_app("hsu_a_service1")                # every marked class that the module defines

    What the user's module, factory or constructor raises is raised as it is, traceback included.

    Args:
        target: The import string.

        factory: It has to be something that is called and returns an App or a service.

        launched: A master has chosen the folder that this process runs in.

    Raises:
        LoadError: The string is malformed or leads to nothing that can be served.

        AppError: The services can't be served together.
    """
    module_name, path = _split(target)
    module = _import(target, module_name, launched)
    if not path:
        if factory:
            raise LoadError(f"{target!r} names no factory; write '{module_name}:make_app'")
        return _defined_in(module)
    value = _attribute(module, path)
    return _made_by(target, value) if factory else _app(target, value)


def _split(target: str) -> tuple[str, str]:
    module, colon, path = target.partition(":")
    if module.endswith(".py") or "/" in module:
        from pathlib import PurePosixPath

        file = PurePosixPath(module)
        parts = [file.stem] if file.is_absolute() else [*file.parts[:-1], file.stem]
        name = ".".join(part for part in parts if part != "..")
        raise LoadError(f"{target!r} names a file; write the module: '{name}{colon}{path}'")
    names = [*module.split("."), *(path.split(".") if colon else [])]
    if not all(name.isidentifier() for name in names):
        raise LoadError(
            f"{target!r} is no import string; write <module>:<attribute>, such as 'mysvc:app'"
        )
    return module, path


def _import(target: str, name: str, launched: bool) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # One that the user's own module asks for is the user's to see, with its traceback.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        missing = error.name
    if near := _module_near(missing):
        raise LoadError(f"{target!r}: there is no module {missing!r}; did you mean {near!r}?")
    cure = "set `cwd` in hsu.toml to" if launched else "start from"
    raise LoadError(
        f"{target!r}: there is no module {missing!r}; "
        f"{cure} the folder that holds it, or install it"
    )


def _module_near(name: str) -> str:
    """The module beside it that is called nearly so; empty: there is none."""
    from difflib import get_close_matches
    from pkgutil import iter_modules

    package, _, last = name.rpartition(".")
    # The first folder of the path is the app's.
    folders = getattr(sys.modules[package], "__path__", ()) if package else sys.path[:1]
    names = [each.name for each in iter_modules(folders)]
    near = get_close_matches(last, names, n=1)
    return f"{package}.{near[0]}" if near and package else "".join(near)


def _attribute(module: ModuleType, path: str) -> Any:
    value: Any = module
    where = module.__name__
    for i, name in enumerate(path.split(".")):
        found = inspect.getattr_static(value, name, None)
        if isinstance(value, type) and inspect.isfunction(found):
            raise LoadError(f"'{where}.{name}' is a method; name its class: {where!r}")
        try:
            value = getattr(value, name)
        except AttributeError:
            from difflib import get_close_matches

            names = [other for other in dir(value) if not other.startswith("_")]
            plain = {other.lower(): other for other in names}
            near = get_close_matches(name.lower(), plain, n=1)
            served = ", ".join(
                other for other in names if _can_be_served(inspect.getattr_static(value, other))
            )
            if near:
                hint = f"did you mean {plain[near[0]]}?"
            else:
                hint = f"it has {served}" if served else "it has nothing that could be served"
            raise LoadError(f"{where!r} has no attribute {name!r}; {hint}") from None
        where += f"{'.' if i else ':'}{name}"
    return value


def _can_be_served(value: Any) -> bool:
    cls = value if isinstance(value, type) else type(value)
    return isinstance(value, App) or bool(interfaces_of(cls))


def _app(target: str, value: Any) -> App:
    if isinstance(value, App):
        return value
    if value is App:
        raise LoadError(
            f"{target!r} is the class App itself; "
            "write app = App(MyService()) in the module, and name app"
        )
    if isinstance(value, type):
        return App(_instance(value))
    if interfaces_of(type(value)):
        return App(value)
    if isinstance(value, ModuleType):
        raise LoadError(f"{target!r} is a module; write {value.__name__!r}")
    if not callable(value):
        raise LoadError(
            f"{target!r} is of type {type(value).__qualname__}; "
            "name an App, a factory, or a class with @implements"
        )
    return _made_by(target, value)


def _instance(cls: type[Any]) -> object:
    if not interfaces_of(cls):
        raise LoadError(
            f"{cls.__qualname__} implements no interface; write @implements(...) above the class"
        )
    # Of a class without a constructor inspect parses the text of `object`'s, which takes 9 ms.
    needed = _needed(cls) if cls.__init__ is not object.__init__ else ""
    if needed:
        raise LoadError(
            f"{cls.__qualname__} can't be made without {needed}; write a factory and name it: "
            f"def make_app() -> App: return App({cls.__qualname__}(...))"
        )
    return cls()


def _made_by(target: str, factory: Any) -> App:
    if not callable(factory):
        raise LoadError(
            f"{target!r} is of type {type(factory).__qualname__}, and nothing that can be called; "
            "leave --factory out, or name a function that makes an App"
        )
    if inspect.iscoroutinefunction(factory):
        raise LoadError(
            f"{target!r} is a coroutine function; a factory is a plain `def`, "
            "and what has to be awaited belongs into a @lifespan"
        )
    needed = _needed(factory)
    if needed:
        raise LoadError(f"{target!r} can't be called without {needed}; a factory takes nothing")
    made = factory()
    if isinstance(made, App):
        return made
    if isinstance(made, type):
        raise LoadError(f"{target!r} returned the class {made.__qualname__}; return an instance")
    if not interfaces_of(type(made)):
        raise LoadError(
            f"{target!r} returned an object of type {type(made).__qualname__}; "
            "a factory returns an App or a service"
        )
    return App(made)


def _defined_in(module: ModuleType) -> App:
    found = {
        value: None
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and interfaces_of(value)
        and not inspect.isabstract(value)
    }
    if not found:
        raise LoadError(
            f"module {module.__name__!r} defines no class with @implements; "
            "write @implements(InterfaceA) above one, or name what to serve: "
            f"'{module.__name__}:app'"
        )
    return App(*[_instance(cls) for cls in found])


def _needed(function: Callable[..., Any]) -> str:
    """The parameters without which a function can't be called."""
    try:
        parameters = signature_of(function).parameters.values()
    except (TypeError, ValueError):
        return ""
    return ", ".join(
        p.name
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    )
