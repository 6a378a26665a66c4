"""Text that was UTF-8 and was read as Mac Roman, Windows-1252 or Latin-1: ``â€”`` for a dash.

Such text is valid and means nothing, so no parser complains. UTF-8 has a strict shape, which other
text hardly ever has by chance: a lead byte and the right number of continuation bytes. Where the
characters of a codec spell this shape, and what it says is a character that people write, it is
garbled. Honest look-alikes (``√π``) count only beside others, or where all of the text is garbled.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from workbench.config.document import LINE_BREAK

_CODECS = ("mac_roman", "cp1252")
_ROUNDS = 3  # text can be garbled twice; three times has been seen
_LOST = re.compile("\ufffd|\u00ef\u00bf\u00bd|\u00d4\u00f8\u03a9")


class Garbled(NamedTuple):
    """One garbled character: where, what stands there, and what was meant."""

    start: int
    seen: str
    meant: str


def find(text: str) -> list[Garbled]:
    """The garbled characters of a text, in the codec that explains most of them."""
    if text.isascii():
        return []
    return max((_find(text, codec) for codec in _CODECS), key=len)


def repair(text: str) -> str | None:
    """The text as it was meant, or None when nothing in it is garbled."""
    repaired = text
    for _ in range(_ROUNDS):
        found = find(repaired)
        if not found:
            break
        pieces, at = [], 0
        for item in found:
            pieces += [repaired[at : item.start], item.meant]
            at = item.start + len(item.seen)
        repaired = "".join(pieces) + repaired[at:]
    return repaired if repaired != text else None


def lost_lines(text: str) -> list[int]:
    """The lines that hold a replacement character: what stood there cannot be restored."""
    if text.isascii():
        return []
    return [n for n, line in enumerate(LINE_BREAK.split(text), 1) if _LOST.search(line)]


def _find(text: str, codec: str) -> list[Garbled]:
    table, shape = _shape(codec)
    sure: list[Garbled] = []
    doubtful: list[Garbled] = []
    for found in shape.finditer(text):
        seen = found[0]
        try:
            meant = bytes(table[char] for char in seen).decode()
        except UnicodeDecodeError:  # an overlong form
            continue
        if _plausible(ord(meant)):
            item = Garbled(found.start(), seen, meant)
            (doubtful if _chance(seen, table[seen[0]], meant) else sure).append(item)
    everything = sorted(sure + doubtful)
    covered = sum(len(item.seen) for item in everything)
    if covered == sum(not char.isascii() for char in text) and (
        sure or len([item for item in everything if item.seen not in _HONEST]) > 1
    ):
        return everything  # nothing honest is left over: the whole text is garbled
    ends = {item.start + len(item.seen) for item in everything}
    starts = {item.start for item in everything}
    words = [d for d in doubtful if d.start in ends or d.start + len(d.seen) in starts]
    return sorted(sure + words)


def _chance(seen: str, lead: int, meant: str) -> bool:
    """Whether honest text may hold this: a formula, a quoted capital, one Chinese character."""
    rare_lead = len(seen) == 2 and lead not in _COMMON_LEADS
    return seen in _HONEST or rare_lead or 0x3000 <= ord(meant) < 0xD7A4


_COMMON_LEADS = (0xC2, 0xC3, 0xCE, 0xCF)  # Latin-1 signs and letters, Greek
_HONEST = {"√π", "√∞", "√Ω", "√∑", "√µ", "√∏", "¬∞", "¬π", "Ã»", "Â»"}


def _plausible(code: int) -> bool:
    """Letters, punctuation, symbols and emoji that people write; no controls, no private use."""
    return (
        0xA0 <= code < 0x180  # Latin
        or code in (0x1A0, 0x1A1, 0x1AF, 0x1B0)  # Vietnamese
        or 0x370 <= code < 0x460  # Greek, Cyrillic
        or 0x1E00 <= code < 0x2000  # more Latin, old Greek
        or 0x2010 <= code < 0x2C00  # punctuation, arrows, mathematics, boxes, symbols
        or 0x3000 <= code < 0xD7A4  # Chinese, Japanese, Korean
        or code in (0xFE0F, 0xFEFF)
        or 0xFF01 <= code < 0xFFE7  # fullwidth forms
        or 0x1F000 <= code < 0x1FB00
    )


@cache
def _shape(codec: str) -> tuple[dict[str, int], re.Pattern[str]]:
    """The byte behind each character of the codec, and the shape of UTF-8 in its characters."""
    # The holes of Windows-1252 read as Latin-1, and so does all of a file that never left Latin-1.
    table = {chr(byte): byte for byte in range(0x80, 0x100)} if codec == "cp1252" else {}
    for byte in range(0x80, 0x100):
        table[bytes([byte]).decode(codec, "ignore") or chr(byte)] = byte

    def chars(first: int, last: int) -> str:
        return (
            "[" + "".join(re.escape(c) for c, byte in table.items() if first <= byte <= last) + "]"
        )

    tail = chars(0x80, 0xBF)
    shapes = (
        chars(0xF0, 0xF4) + tail + "{3}",
        chars(0xE0, 0xEF) + tail + "{2}",
        chars(0xC2, 0xDF) + tail,
    )
    return table, re.compile("|".join(shapes))
