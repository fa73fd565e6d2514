"""From a text with the markup of Markdown or reStructuredText to its paragraphs of prose.

No parser: it keeps what reads as prose and drops the rest (code, headings, tables, directives).

A regular expression holds the interpreter's lock while it matches, so none here may need more than
one pass over a text of megabytes: what stands between two marks never holds the first of them.
"""

# ruff: noqa: RUF001  the quotes of other scripts belong to prose
import html
import re
import textwrap
from collections.abc import Iterator
from itertools import groupby

_FENCE = re.compile(r"(`{3,}|~{3,})(.*)")
_EXPLICIT = re.compile(r"\.\.(?: (?P<name>[\w-]+)::)?(?: +(?P<rest>.*)|$)")
_ITEM = re.compile(r"(?:[-*+•]|\(?[0-9]{1,3}[.)]|\(?[a-z]\)|:[^:`]+:|\[\^[^\]]*\]:)\s+(?=\S)")
_LINK_TARGET = re.compile(r"\[[^\[\]^][^\[\]]*\]:\s*\S")

#: Directives of reStructuredText that hold prose; what stands under any other is dropped.
_PROSE = frozenset(
    (
        "attention",
        "caution",
        "danger",
        "deprecated",
        "hint",
        "important",
        "note",
        "seealso",
        "tip",
        "versionadded",
        "versionchanged",
        "warning",
    )
)

_ADORNMENT = frozenset("=-~^\"'*+#:._`")

_TAGS = (
    "a|b|blockquote|br|center|code|dd|del|details|div|dl|dt|em|h[1-6]|hr|i|img|kbd|li|ol|p|picture|"
    "pre|small|source|span|strong|sub|summary|sup|table|tbody|td|th|thead|tr|ul"
)

_INLINE = [
    (re.compile(r"!\[[^\[\]]*\]\([^()]*\)"), ""),  # ![image](address)
    (re.compile(r"\[([^\[\]]*)\]\([^()]*\)"), r"\1"),  # [text](address)
    (re.compile(r"\[([^\[\]]+)\]\[[^\[\]]*\]"), r"\1"),  # [text][target]
    (re.compile(r" ?\[[\w#^*-]{1,20}\]_"), ""),  # [1]_
    (re.compile(r":[a-z:]{2,20}:`[~!]?([^`<]+?) ?(?:<[^`<>]*>)?`"), r"\1"),  # :role:`text`
    (re.compile(r"`([^`<]+?) ?<[^`<>]*>`__?"), r"\1"),  # `text <address>`_
    (re.compile(r"`+([^`]+)`+_{0,2}"), r"\1"),  # `text`
    (re.compile(r"<([a-z]+://[^\s<>]*)>"), r"\1"),  # <address>
    (re.compile(rf"</?(?:{_TAGS})(?:\s[^<>]*)?/?>", re.IGNORECASE), ""),
    (re.compile(r"(?<![\w*])\*{1,3}(?=[^\s*])([^*]*[^\s*])\*{1,3}(?!\w)"), r"\1"),  # *text*
]


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs and the entries of lists, each on one line and without markup."""
    lines = _without_comments(textwrap.dedent(text.expandtabs())).splitlines()
    after_list = False
    for blank, group in groupby(_without_code(lines), key=lambda line: not line.strip()):
        if blank:
            continue
        block = list(group)
        is_list = bool(_ITEM.match(block[0].lstrip()))
        if _is_code(block) and not (after_list or is_list):
            continue
        if not block[0].startswith(" "):
            after_list = is_list
        for piece in _pieces(block):
            if clean := _without_inline_markup(piece):
                yield clean


def _without_comments(text: str) -> str:
    first, *others = text.split("<!--")
    return first + "".join(other.partition("-->")[2] or other for other in others)


def _without_code(lines: list[str]) -> Iterator[str]:
    """Drop fenced blocks, literal blocks, directives and examples of the Python prompt."""
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        stripped = line.strip()
        fence = _FENCE.match(stripped)
        if fence and not _is_underline(stripped, lines[at - 2] if at > 1 else ""):
            at = _end_of_fence(lines, at, fence[1])
        elif explicit := _EXPLICIT.fullmatch(stripped):
            if explicit["name"] in _PROSE:
                yield ""
                yield explicit["rest"] or ""
            else:
                at = _end_of_indented(lines, at, line)
        elif stripped.startswith(">>> "):
            while at < len(lines) and lines[at].strip():
                at += 1
        elif stripped.endswith("::"):
            yield line.rstrip().removesuffix("::") + ":"
            yield ""
            at = _end_of_indented(lines, at, line)
        else:
            yield line


def _end_of_fence(lines: list[str], at: int, mark: str) -> int:
    for end in range(at, len(lines)):
        line = lines[end].strip()
        if line.startswith(mark) and not line.strip(mark[0]):
            return end + 1
    return len(lines)


def _end_of_indented(lines: list[str], at: int, above: str) -> int:
    indent = _indent(above)
    while at < len(lines) and (not lines[at].strip() or _indent(lines[at]) > indent):
        at += 1
    return at


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_adornment(line: str) -> bool:
    return len(line) >= 3 and line[0] in _ADORNMENT and not line.strip(line[0])


def _is_underline(line: str, above: str) -> bool:
    return _is_adornment(line) and bool(above.strip()) and not _is_adornment(above.strip())


def _is_code(block: list[str]) -> bool:
    """Indented by four, and more signs in it than prose has: licences indent their prose too."""
    if min(map(_indent, block)) < 4:
        return False
    text = " ".join(block)
    prose = sum(char.isalnum() or char in " ,.;:'\"“”’-()" for char in text)
    return prose < 0.97 * len(text) or len(text.split()) < 5


def _pieces(block: list[str]) -> Iterator[str]:
    """Join the lines of a block, cut it at the entries of a list, and drop headings and tables."""
    if any(set(line.strip()) <= set("=-:|+ ") and len(line.split()) > 1 for line in block):
        return
    piece: list[str] = []
    for raw in block:
        line = raw.strip().lstrip("> ") if raw.lstrip().startswith(">") else raw.strip()
        if _is_adornment(line):
            if len(piece) == 1:
                piece = []
        elif re.match(r"#{1,6}(?:\s|$)", line) or line.startswith(("|", "+-", "+=")):
            yield " ".join(piece)
            piece = []
        elif _LINK_TARGET.match(line) or line == ":":
            continue
        elif item := _ITEM.match(line):
            yield " ".join(piece)
            piece = [line[item.end() :]]
        else:
            piece.append(line)
    yield " ".join(piece)


def _without_inline_markup(text: str) -> str:
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return " ".join(html.unescape(text).split())
