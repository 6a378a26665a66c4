"""What stands in the words of a lesson: headings, links, pictures, fences, and how many words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

    from workbench.lessons.lesson_file import Text

_WORD = re.compile(r"\w[\w'.,-]*")
_SPAN = re.compile(r"(`+).*?(?<!`)\1(?!`)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: its level, its words, its line."""

    level: int
    words: str
    line: int


@dataclass(frozen=True, slots=True)
class Link:
    """A link, or a picture: where it leads, what it says (of a picture, its alt text), its line."""

    target: str
    words: str
    line: int


@dataclass(frozen=True, slots=True)
class Fence:
    """A block of code: what stands behind its fence, its content, the line of its fence."""

    info: str
    content: str
    line: int
    nested: bool = False


@dataclass(slots=True)
class Markup:
    """What was found in some words, each with its line in the file.

    Attributes:
        headings: Headings in order.
        links: Links.
        pictures: Pictures.
        fences: Fenced blocks.
        html: Raw HTML.
        prose: Paragraphs, table cells and headings as they are written, without code spans.
        spans: Code spans.
        words: How many words there are to read, those in code spans included.
    """

    headings: list[Heading] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    pictures: list[Link] = field(default_factory=list)
    fences: list[Fence] = field(default_factory=list)
    html: list[tuple[str, int]] = field(default_factory=list)
    prose: list[tuple[str, int]] = field(default_factory=list)
    spans: list[tuple[str, int]] = field(default_factory=list)
    words: int = 0


@cache
def parser() -> MarkdownIt:
    """CommonMark with tables, which is what all faces show."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table")


def markup(text: Text) -> Markup:
    """Look through the words between two cells."""
    found = Markup()
    tokens = parser().parse(text.markdown)
    for index, token in enumerate(tokens):
        line = text.line + (token.map[0] if token.map else 0)
        if token.type == "fence":
            found.fences.append(Fence(token.info.strip(), token.content, line, token.level > 0))
        elif token.type == "html_block":
            found.html.append((token.content.strip(), line))
        elif token.type == "inline":
            _inline(token, line, found)
            if index and tokens[index - 1].type == "heading_open":
                level = int(tokens[index - 1].tag[1])
                found.headings.append(Heading(level, _plain(token.children or []), line))
    return found


def _inline(token: Token, line: int, found: Markup) -> None:
    found.prose.append((_SPAN.sub(lambda span: re.sub("[^\n]", " ", span[0]), token.content), line))
    found.words += len(_WORD.findall(token.content))
    opened: list[tuple[str, int, int]] = []
    at = 0  # in the text as it is written: a line break in a code span becomes a space
    children = token.children or []
    for index, child in enumerate(children):
        if child.type in ("softbreak", "hardbreak"):
            line += 1
        elif child.type == "code_inline":
            found.spans.append((child.content, line))
            written = re.escape(child.content).replace("\\ ", r"\s+")
            if (span := re.compile(written).search(token.content, at)) is not None:
                line, at = line + span[0].count("\n"), span.end()
        elif child.type == "html_inline":
            found.html.append((child.content, line))
        elif child.type == "image":
            alt = _plain(child.children or [])
            found.pictures.append(Link(str(child.attrGet("src") or ""), alt, line))
        elif child.type == "link_open":
            opened.append((str(child.attrGet("href") or ""), index, line))
        elif child.type == "link_close" and opened:
            target, start, began = opened.pop()
            found.links.append(Link(target, _plain(children[start:index]), began))


def _plain(tokens: list[Token]) -> str:
    """The words of some inline tokens."""
    parts = []
    for token in tokens:
        if token.type in ("text", "code_inline"):
            parts.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        elif token.type == "image":
            parts.append(_plain(token.children or []))
    return "".join(parts).strip()


def github_anchor(heading: str) -> str:
    """The anchor of a heading on GitHub and in the terminal: small letters, no punctuation."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def jupyter_anchor(heading: str) -> str:
    """The anchor of a heading in JupyterLab: as it is written, with '-' for spaces."""
    return heading.strip().replace(" ", "-")
