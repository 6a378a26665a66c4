"""Rules on links and pictures.

A notebook lies in the learner's folder and the terminal reads the installed file, so a relative
path cannot be right in both. What is relative may be a picture, which comes along, or an anchor.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from workbench.lessons.markup import github_anchor, jupyter_anchor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.lessons.linting import Subject
    from workbench.lessons.markup import Link
    from workbench.lessons.problems import Problem

FOLDER: Final = "images"
_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".svg", ".webp")
_HOST: Final = re.compile(r"[\w-]+(\.[\w-]+)*\.[a-zA-Z]{2,}")


def problems(subject: Subject) -> Iterator[Problem]:
    """Problems of these rules."""
    headings = [each.words for found in subject.markups for each in found.headings]
    for found in subject.markups:
        for link in found.links:
            yield from _link(subject, link, headings)
        for picture in found.pictures:
            yield from _picture(subject, picture)


def _link(subject: Subject, link: Link, headings: list[str]) -> Iterator[Problem]:
    def wrong(message: str, fix: str) -> Problem:
        return subject.problem(link.line, "link", message, fix)

    target = unquote(link.target)
    if not link.words:
        yield wrong(f"the link to {target} has no words to click on", f"[words]({link.target})")
    if not target:
        yield wrong(f"the link {link.words!r} leads nowhere", "name its target, or leave it out")
    elif target.startswith("#"):
        yield from _anchor(subject, link, target[1:], headings)
    elif re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", target):
        if (reason := _why_no_address(target)) is not None:
            yield wrong(f"{target} is no address: {reason}", "copy it from the browser")
    elif target.partition("#")[0].endswith(".md"):
        fix = "name the lesson by its title; a command opens it: ava lessons open ID"
        yield wrong(f"{target} is another file in every face: here .md, there .ipynb", fix)
    else:
        there = (subject.lesson.path.parent / target.partition("#")[0]).exists()
        reason = "is not where a learner's notebook lies" if there else "does not exist"
        fix = "name the file in words, or show it with learn.shell"
        yield wrong(f"{target} {reason}", fix)


def _anchor(subject: Subject, link: Link, anchor: str, headings: list[str]) -> Iterator[Problem]:
    known = [each for each in headings if anchor in (github_anchor(each), jupyter_anchor(each))]
    if not known:
        message = f"no heading of the lesson has the anchor #{anchor}"
        yield subject.problem(link.line, "link", message, "name the section in words")
    elif github_anchor(known[0]) != jupyter_anchor(known[0]):
        names = (
            f"#{github_anchor(known[0])} in the terminal, #{jupyter_anchor(known[0])} in JupyterLab"
        )
        message = f"the section {known[0]!r} has two anchors: {names}"
        yield subject.problem(link.line, "link", message, "name the section in words")


def _why_no_address(target: str) -> str | None:
    """Why this is no address on the web; it is only looked at, never opened."""
    try:
        parts = urlsplit(target)
        host = parts.hostname or ""
    except ValueError as error:
        return str(error)
    if parts.scheme not in ("http", "https"):
        return f"{parts.scheme}: is not opened everywhere"
    if re.search(r"\s", target):
        return "it holds a space"
    return None if _HOST.fullmatch(host) else f"{host!r} is no name of a host"


def _picture(subject: Subject, picture: Link) -> Iterator[Problem]:
    def wrong(message: str, fix: str) -> Problem:
        return subject.problem(picture.line, "picture", message, fix)

    target = unquote(picture.target)
    if not picture.words.strip():
        fix = f"![what one sees in it]({picture.target})"
        yield wrong(f"the picture {target} has no alt text: the terminal shows only that", fix)
    path = PurePosixPath(target)
    if ":" in target or path.parts[:1] != (FOLDER,) or ".." in path.parts:
        fix = f"put it into lessons/{FOLDER} and write {FOLDER}/NAME.png"
        yield wrong(f"{target} is no picture in {FOLDER}/, so it does not come along", fix)
    elif not (subject.lesson.path.parent / path).is_file():
        yield wrong(f"there is no picture {target}", f"ls lessons/{FOLDER}")
    elif path.suffix.lower() not in _SUFFIXES:
        yield wrong(f"{target} is no picture that browsers show", f"one of {', '.join(_SUFFIXES)}")
