"""Train or held out? Decided by content alone, so that nothing of the held-out part is trained on.

With many documents whole ones are held out, chosen by the hash of their text: renaming or adding
files does not reshuffle the rest, and a text is never on both sides. With few, the end of each is
held out, cut at a line; but an instruction and its answer stay together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.data.reading import Document, content_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

# Below this, a few unlucky documents would be the whole held-out part.
_MANY_DOCUMENTS = 20


def split_documents(
    documents: Sequence[Document], fraction: float, smallest: int
) -> tuple[list[Document], list[Document]]:
    """The documents to train on and those held out.

    Args:
        documents: All documents, each text once.
        fraction: Share of the text to hold out.
        smallest: Bytes to hold out at least.

    Returns:
        Both in the order of the documents; either list may hold fewer than ``smallest`` bytes when
        there is not enough text.
    """
    texts = [document.text.encode() for document in documents]
    total = sum(map(len, texts))
    target = max(fraction * total, smallest)
    if len(texts) >= _MANY_DOCUMENTS:
        held = _by_hash(documents, [len(text) for text in texts], target)
        if sum(len(texts[index]) for index in held) >= smallest:
            train = [each for index, each in enumerate(documents) if index not in held]
            return train, [documents[index] for index in sorted(held)]
    if any(document.parts for document in documents):
        return _whole(documents, [len(text) for text in texts], target)
    share = min(0.5, target / max(1, total))
    parts = [_cut(text, share, at_lines=True) for text in texts]
    if sum(len(head) for head, _ in parts) < smallest:
        parts = [_cut(text, share, at_lines=False) for text in texts]
    pairs = list(zip(documents, parts, strict=True))
    return (
        [Document(each.name, head.decode()) for each, (head, _) in pairs if head],
        [Document(f"{each.name} (its end)", tail.decode()) for each, (_, tail) in pairs if tail],
    )


def _whole(
    documents: Sequence[Document], sizes: list[int], target: float
) -> tuple[list[Document], list[Document]]:
    """Documents in the order of their hashes until the target is met; at most half of them."""
    held: set[int] = set()
    for index in sorted(range(len(documents)), key=lambda i: content_hash(documents[i].text)):
        if sum(sizes[each] for each in held) >= target or 2 * (len(held) + 1) > len(documents):
            break
        held.add(index)
    return (
        [each for index, each in enumerate(documents) if index not in held],
        [documents[index] for index in sorted(held)],
    )


def _by_hash(documents: Sequence[Document], sizes: list[int], target: float) -> set[int]:
    """Documents in the order of their hashes until the target is met, without overshooting much."""
    held: set[int] = set()
    size = 0
    for index in sorted(range(len(documents)), key=lambda i: content_hash(documents[i].text)):
        if size >= target:
            break
        if size + sizes[index] <= 1.5 * target:
            held.add(index)
            size += sizes[index]
    return held


def _cut(text: bytes, share: float, *, at_lines: bool) -> tuple[bytes, bytes]:
    """Split off the end: at the start of a line when one is near, else between two characters."""
    place = int(len(text) * (1 - share))
    line_start = text.rfind(b"\n", 0, place) + 1
    if at_lines and line_start >= 0.8 * place:
        place = line_start
    while place and text[place] & 0xC0 == 0x80:  # inside a character of several bytes
        place -= 1
    return text[:place], text[place:]
