"""All commands as Markdown, made of what they are made of: docs/commands.md ends with it."""

import inspect
from collections.abc import Iterator, Sequence

import click

from hsu_worker.cli import main


def commands_reference() -> str:
    """A section for each command, in the order of `hsu-worker --help`."""
    sections = _commands(main, click.Context(main, info_name="hsu-worker"))
    return "\n\n".join("\n".join(_section(*each)) for each in sections) + "\n"


def _commands(
    group: click.Group, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)
        else:
            yield command, inner


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path.removeprefix('hsu-worker ')}"
    usage = " ".join(command.collect_usage_pieces(context))
    yield from ("", "```text", f"{context.command_path} {usage}", "```")
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        example = paragraph.startswith("\b\n")
        lines = paragraph.removeprefix("\b\n").splitlines()
        text = ["```text", *map(str.strip, lines), "```"] if example else map(_escaped, lines)
        yield from ("", *text)
    rows = [_row(each, context) for each in command.params if isinstance(each, click.Option)]
    if rows:
        yield from ("", "| option | variable | what it does |", "| --- | --- | --- |", *rows)


def _row(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    assert record is not None
    names = f"{', '.join(option.opts)} {_value(option)}".strip()
    cells = (
        f"`{names}`",
        ", ".join(f"`{name}`" for name in _variables(option)),
        record[1].replace("  [", " ["),
    )
    return f"| {' | '.join(_escaped(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def _value(option: click.Option) -> str:
    """What stands for its value; click's own word for a choice changes from version to version."""
    if option.is_flag or option.count:
        return ""
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    return option.metavar or option.type.name.upper()


def _escaped(text: str) -> str:
    """Without what Markdown would take for a tag."""
    return text.replace("<", "&lt;")


def variables() -> dict[str, str]:
    """The variables that stand for options, and for which ones: `list --json`."""
    return {
        name: f"{context.command_path.removeprefix('hsu-worker ')} {_longest(option)}"
        for command, context in _commands(main, click.Context(main, info_name="hsu-worker"))
        for option in command.params
        for name in _variables(option)
    }


def environment_reference() -> str:
    """A table of the variables that stand for options: docs/environment.md ends with it."""
    rows = [f"| `{name}` | `{it}` |" for name, it in variables().items() if name != "HSU_MASTER"]
    return "\n".join(["| variable | stands for |", "| --- | --- |", *sorted(rows)]) + "\n"


def _variables(option: click.Parameter) -> Sequence[str]:
    return [option.envvar] if isinstance(option.envvar, str) else option.envvar or ()


def _longest(option: click.Parameter) -> str:
    """As people know it: `--proto-path`; an argument by what stands for it."""
    if isinstance(option, click.Argument):
        return option.human_readable_name
    return max(option.opts, key=len)
