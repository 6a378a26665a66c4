"""Text that is read while training, for corpora larger than memory.

Records are shuffled among ``buffer_size`` neighbours: the stream is read in blocks of so many, and
each block has an order of its own. A record therefore moves by less than a buffer, a resumed run
reads at most one block again, and the n-th sequence of a run stays a pure function of the seed
(a buffer that is refilled slot by slot shuffles as far, but has to be saved with all its text).

Shapes: T tokens of a sequence.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from workbench.data.order import Shuffle, raw_draws
from workbench.data.reading import content_hash
from workbench.data.single import too_long_error
from workbench.data.tokenise import tokenise_each
from workbench.data.windows import window_example
from workbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from workbench.data.examples import Example
    from workbench.data.filters import Filters
    from workbench.data.flow import Flow
    from workbench.data.reading import Document
    from workbench.data.tokens import Tokenizer

Packing = Literal["stream", "documents", "none"]

# Keeps the draws of blocks apart from those of orders, groups, mixtures and holes.
_BLOCKS = 1 << 43
_BLOCKS_PER_EPOCH = 1 << 20

# Places that are remembered, so that whoever asks again for a sequence of the last steps is served.
_REMEMBERED = 8192

_TOKENISED_AT_ONCE = 64


class Place(NamedTuple):
    """Where a sequence begins."""

    epoch: int
    block: int
    cursor: dict[str, Any]
    """Where the block begins in the files."""
    record: int
    """In the block's own order."""
    offset: int
    """Token of the record."""


class _Block:
    """The records of a block in their order, tokenised as they are needed."""

    def __init__(
        self, documents: list[Document], following: dict[str, Any] | None, tokenizer: Tokenizer
    ) -> None:
        self.documents = documents
        self.following = following
        self._tokenizer = tokenizer
        self._rows: dict[int, tuple[NDArray[Any], NDArray[np.bool_] | None]] = {}

    def tokens(self, record: int) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """The tokens of a record with its separator, and which of them count."""
        if record not in self._rows:
            first = record - record % _TOKENISED_AT_ONCE
            self._rows = {number: row for number, row in self._rows.items() if number >= first - 64}
            some = self.documents[first : first + _TOKENISED_AT_ONCE]
            for number, row in enumerate(tokenise_each(some, self._tokenizer), start=first):
                self._rows[number] = row
        return self._rows[record]


class Stream:
    """The sequences of a run, read while training.

    Args:
        flow: The records.
        tokenizer: Turns them into numbers.
        length: Tokens of a sequence.
        how: How blocks are shuffled.
        packing: How records become sequences.
        buffer: Records of a block.
        trains: Whether a record is trained on: not held out.
        filters: What is left out.
        truncation: With packing none: cut longer records.
        limit: Sequences after which the stream begins again; None: at its end.
    """

    sequential = True
    items: int | None = None

    def __init__(
        self,
        flow: Flow,
        tokenizer: Tokenizer,
        *,
        length: int,
        how: Shuffle,
        packing: Packing,
        buffer: int,
        trains: Callable[[Document], bool],
        filters: Filters,
        truncation: bool = True,
        limit: int | None = None,
    ) -> None:
        self.flow = flow
        self.tokenizer = tokenizer
        self.length = length
        self.how = how
        self.packing = packing
        self.buffer = buffer
        self.trains = trains
        self.filters = filters
        self.truncation = truncation
        self.limit = limit
        self._blocks: dict[tuple[int, int], _Block] = {}
        self._counted = (-1, -1)
        self._numbers = [0]
        self._places = [Place(0, 0, flow.start, 0, 0)]

    def at(self, n: int) -> Example:
        """The n-th sequence of the run."""
        n = n if self.limit is None else n % self.limit
        number, place = self._nearest(n)
        while number < n:
            _, place = self._take(place, build=False)
            number += 1
            self._remember(number, place)
        example, following = self._take(place, build=True)
        assert example is not None
        self._remember(n + 1, following)
        return example

    def state(self, n: int) -> dict[str, Any]:
        """The place of sequence ``n``, or of one before it."""
        number, place = self._nearest(n if self.limit is None else n % self.limit)
        return {"n": number, **place._asdict()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Begin from what ``state`` returned."""
        told = dict(state)
        if not told:
            return
        number = int(told.pop("n"))
        del self._numbers[1:], self._places[1:]
        if number:
            self._numbers.append(number)
            self._places.append(Place(**told))

    def _nearest(self, n: int) -> tuple[int, Place]:
        index = bisect_right(self._numbers, n) - 1
        return self._numbers[index], self._places[index]

    def _remember(self, n: int, place: Place) -> None:
        if n <= self._numbers[-1]:
            return
        self._numbers.append(n)
        self._places.append(place)
        if len(self._numbers) > 2 * _REMEMBERED:  # the first one stays: everything can be redone
            del self._numbers[1:-_REMEMBERED], self._places[1:-_REMEMBERED]

    def _take(self, place: Place, *, build: bool) -> tuple[Example | None, Place]:
        """The sequence that begins at a place, and the place of the next one."""
        place, block = self._settle(place)
        if self.packing == "none":
            return self._one_record(place, block, build=build)
        return self._window(place, block, build=build)

    def _one_record(
        self, place: Place, block: _Block, *, build: bool
    ) -> tuple[Example | None, Place]:
        following = place._replace(record=place.record + 1)
        if not build:
            return None, following
        ids, learn = block.tokens(place.record)
        name = block.documents[place.record].name
        if not self.truncation and len(ids) > self.length + 1:
            raise too_long_error(name, len(ids) - 1, self.length, longest=len(ids) - 1)
        end = self.length + 1
        learned = None if learn is None else learn[:end]
        remark = f", pass {place.epoch + 1}"
        return window_example(ids[:end], learned, None, name + remark), following

    def _window(self, place: Place, block: _Block, *, build: bool) -> tuple[Example | None, Place]:
        import numpy as np

        first, name, missing = place, block.documents[place.record].name, self.length + 1
        pieces: list[NDArray[Any]] = []
        flags: list[NDArray[np.bool_]] = []
        sizes: list[int] = []
        anything_masked = False
        following = place
        while missing:
            ids, learn = block.tokens(place.record)
            taken = min(missing, len(ids) - place.offset)
            if missing > 1:  # the last token of a window is the first of the next
                following = place._replace(offset=place.offset + min(taken, missing - 1))
            if build:
                cut = slice(place.offset, place.offset + taken)
                pieces.append(ids[cut])
                sizes.append(taken)
                anything_masked |= learn is not None
                flags.append(np.ones(taken, dtype=np.bool_) if learn is None else learn[cut])
            missing -= taken
            place = place._replace(offset=place.offset + taken)
            if missing:
                place, block = self._settle(place)
        if not build:
            return None, following
        documents = None
        if self.packing == "documents":
            documents = np.repeat(np.arange(len(sizes)), sizes)
        example = window_example(
            np.concatenate(pieces),
            np.concatenate(flags) if anything_masked else None,
            documents,
            f"{name}, from token {first.offset:,}, pass {first.epoch + 1}",
        )
        return example, following

    def _settle(self, place: Place) -> tuple[Place, _Block]:
        """The same place, as a token of a record that stays: over the ends of records and blocks.

        Raises:
            DataError: A whole pass holds nothing to train on.
        """
        began = place.epoch
        while True:
            block = self._block(place)
            if place.record >= len(block.documents):
                if block.following is None:
                    if place.epoch > began:
                        raise DataError(
                            "the stream holds no text to train on",
                            where="data",
                            why="every record was bad, held out or filtered",
                            fix="see what the filters leave out, or name another text",
                        )
                    place = Place(place.epoch + 1, 0, self.flow.start, 0, 0)
                else:
                    place = Place(place.epoch, place.block + 1, block.following, 0, 0)
                continue
            ids, _ = block.tokens(place.record)
            # A record is asked about once, where it begins: what follows a beginning stays.
            if place.offset == 0 and self._left_out(place, ids, block):
                place = place._replace(record=place.record + 1)
            elif place.offset >= len(ids):
                place = place._replace(record=place.record + 1, offset=0)
            else:
                return place, block

    def _left_out(self, place: Place, ids: NDArray[Any], block: _Block) -> bool:
        if not self.filters.active:
            return False
        key = place.block, place.record
        if place.epoch == 0 and key > self._counted:  # counted once, however often asked
            self._counted = key
            return not self.filters.keeps(ids[:-1], block.documents[place.record].name)
        return self.filters.why_not(ids[:-1]) is not None

    def _block(self, place: Place) -> _Block:
        key = place.epoch, place.block
        if key not in self._blocks:
            documents, following = self.flow.read(place.cursor, self.buffer)
            epoch = place.epoch if self.how.reshuffle else 0
            if self.how.shuffle:
                stream = _BLOCKS + epoch * _BLOCKS_PER_EPOCH + place.block
                draws = raw_draws(self.how.seed, stream, len(documents))
                documents = [documents[i] for i in draws.argsort(kind="stable")]
            documents = [each for each in documents if self.trains(each)]
            while len(self._blocks) >= 2:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[key] = _Block(documents, following, self.tokenizer)
        return self._blocks[key]


def held_by_hash(text: str, fraction: float) -> bool:
    """Whether a record is held out: by its content alone, so that no copy of it is trained on."""
    return int.from_bytes(content_hash(text)[:8], "big") < fraction * 2.0**64
