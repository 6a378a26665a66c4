"""From the config to the first batch: what the trainer calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workbench import units
from workbench.data.corpus import find_text, text_files
from workbench.data.dataset import Dataset, load_dataset, prepared_path
from workbench.data.held_out import HeldOut
from workbench.data.library_tokenizer import open_tokenizer
from workbench.data.mixing import Mixture, shares
from workbench.data.objective import Task, task_of
from workbench.data.order import Shuffle, spread
from workbench.data.reading import Skipped
from workbench.data.source import BatchSource
from workbench.data.streaming import open_stream
from workbench.data.windows import Windows
from workbench.errors import DataError

if TYPE_CHECKING:
    from workbench.config.schema import Config, DataConfig
    from workbench.data.examples import Sequences
    from workbench.data.objective import Cut
    from workbench.data.tokens import Tokenizer


@dataclass(frozen=True)
class Opened:
    """The data of a run, ready to train on.

    Attributes:
        source: The micro-batches to learn from.
        held_out: The micro-batches to evaluate.
        tokenizer: Turns text into tokens and back.
        description: Where the text comes from, for people.
        skipped: What was passed over, and why.
        fingerprint: Hash of the text; a resumed run must find the same.
        train_tokens: Tokens to learn from in one pass; None for a stream, whose end nobody knows.
        held_out_tokens: Tokens held out.
        sequences_per_pass: Sequences of one pass; None for a stream.
        notes: What else is worth a line at the start: the parts of a mixture.
    """

    source: BatchSource
    held_out: HeldOut
    tokenizer: Tokenizer
    description: str
    skipped: list[Skipped]
    fingerprint: str
    train_tokens: int | None
    held_out_tokens: int
    sequences_per_pass: int | None
    notes: list[str] = field(default_factory=list)

    def check_unchanged(self, recorded: str, path: str | None) -> None:
        """Refuse to go on with another text than the run began with.

        Args:
            recorded: The fingerprint at the first attempt.
            path: ``data.path`` of the run.

        Raises:
            DataError: The fingerprints differ.
        """
        if self.fingerprint != recorded:
            now = (
                ""
                if self.train_tokens is None
                else (f"; now {units.count(self.train_tokens)} training tokens")
            )
            back = "bring the text back as it was" if path else "use the Python that it began with"
            raise DataError(
                "the text has changed since this run began",
                where=self.description,
                why=f"its fingerprint was {recorded} and is now {self.fingerprint}{now}",
                fix=f"{back}, or start a new run on the text of today",
            )


@dataclass(frozen=True)
class _Part:
    """One text of a run."""

    name: str
    sequences: Sequences
    size: float
    """What it weighs when nobody says it: tokens, or bytes of a stream."""
    per_pass: int | None
    """Sequences of one pass; None for a stream."""
    held: Cut
    held_count: int
    dataset: Dataset


def open_source(config: Config, *, data_parallel: int = 1) -> Opened:
    """Open the text that the config names.

    Args:
        config: The whole plan; the text follows from ``data``, what is predicted from ``model``.
        data_parallel: Over how many devices the sequences of a step are shared.

    Raises:
        DataError: There is no usable text, or too little of it.
        ConfigError: The text and the model do not fit together.
    """
    data, training = config.data, config.training
    micro_batches = training.gradient_accumulation_steps * data_parallel
    how = Shuffle(data.shuffle_seed, data.shuffle, data.reshuffle_each_epoch)
    names = _paths(data)
    tokenizer = _tokenizer(data, names)
    task = task_of(config, tokenizer, how, group=training.batch_size * micro_batches)
    parts, too_small = _open_all(data, names, task, tokenizer, how)
    sequences, probabilities = _mixed(data, parts)
    left = data.padding_side == "left"
    source = BatchSource(
        task.corrupted(sequences),
        batch_size=training.batch_size,
        micro_batches=micro_batches,
        padding=tokenizer.padding,
        left=left,
        workers=data.dataloader_num_workers,
        ahead=data.dataloader_prefetch_factor,
        stride=data_parallel,
    )
    places = _held_places(parts, probabilities, data.max_eval_examples)
    held_out = HeldOut(
        len(places),
        lambda i: task.corrupt_held(parts[places[i][0]].held.cut(places[i][1]), i),
        batch_size=data.eval_batch_size or training.batch_size,
        padding=tokenizer.padding,
        left=left,
    )
    total = training.max_steps * micro_batches * training.batch_size
    return Opened(
        source,
        held_out,
        tokenizer,
        "; ".join(part.dataset.description for part in parts),
        [skip for part in parts for skip in part.dataset.skipped] + too_small,
        _fingerprint([part.dataset.fingerprint for part in parts]),
        _sum([len(p.dataset.train) if p.per_pass is not None else None for p in parts]),
        sum(len(part.dataset.validation) for part in parts),
        _sum([part.per_pass for part in parts]),
        _notes(parts, probabilities, total),
    )


def _paths(data: DataConfig) -> list[str | None]:
    """The texts to open; None is the one that ``data`` names by itself."""
    if data.mixture is not None:
        return list(data.mixture)
    if data.use_weighted_mixing and data.dataset_name is None and data.path is not None:
        found = find_text(data)
        if found is not None and found.is_dir() and prepared_path(data) is None:
            files = [str(path) for path in text_files(found, data, [])]
            if files:
                return [*files]
    return [None]


def _tokenizer(data: DataConfig, names: list[str | None]) -> Tokenizer:
    """The tokenizer that all texts share: the first prepared one's, or the config's."""
    for path in names:
        if prepared_path(data, path) is not None:
            return load_dataset(data.model_copy(update={"max_length": 2}), path).tokenizer
    return open_tokenizer(data)


def _open_all(
    data: DataConfig, names: list[str | None], task: Task, tokenizer: Tokenizer, how: Shuffle
) -> tuple[list[_Part], list[Skipped]]:
    """All texts of a run. Files of a folder that are too short to be mixed in are passed over."""
    seen: set[bytes] | None = set() if len(names) > 1 else None
    parts: list[_Part] = []
    skipped: list[Skipped] = []
    for path in names:
        try:
            parts.append(_open(data, path, task, tokenizer, how, seen))
        except DataError as error:
            if data.mixture is not None or len(names) == 1 or not data.skip_malformed_sequences:
                raise
            skipped.append(Skipped(str(path), f"cannot be mixed in: {error.what}"))
            last = error
    if not parts:
        raise last
    return parts, skipped


def _open(
    data: DataConfig,
    path: str | None,
    task: Task,
    tokenizer: Tokenizer,
    how: Shuffle,
    seen: set[bytes] | None,
) -> _Part:
    if data.streaming and prepared_path(data, path) is None:
        stream, dataset, size = open_stream(data, path, task.length, tokenizer, how)
        held = task.sequences(dataset.validation, bucketed=False)
        count = task.count(dataset.validation)
        return _Part(dataset.name, stream, size, None, held, count, dataset)
    packing = "none" if task.single else data.packing
    longer = data.model_copy(update={"max_length": task.length, "packing": packing})
    dataset = load_dataset(longer, path, tokenizer, seen)
    _refuse_other_tokenizer(dataset, tokenizer)
    train = task.sequences(dataset.train)
    return _Part(
        dataset.name,
        train,
        float(len(dataset.train)),
        train.items,
        task.sequences(dataset.validation, bucketed=False),
        task.count(dataset.validation),
        dataset,
    )


def _refuse_other_tokenizer(dataset: Dataset, tokenizer: Tokenizer) -> None:
    other = dataset.tokenizer
    if (other.vocab_size, other.separator) != (tokenizer.vocab_size, tokenizer.separator):
        raise DataError(
            f"{dataset.name} was prepared with another tokenizer than the other texts",
            where="data.mixture",
            why=f"{other.vocab_size:,} tokens beside {tokenizer.vocab_size:,}",
            fix="prepare all of them with one: ava data prepare TEXT --out DIR --tokenizer DIR",
        )


def _mixed(data: DataConfig, parts: list[_Part]) -> tuple[Sequences, list[float]]:
    if len(parts) == 1:
        return parts[0].sequences, [1.0]
    weights = list(data.mixture.values()) if data.mixture else [part.size for part in parts]
    temperature = data.mixing_temperature if data.use_weighted_mixing else 1.0
    probabilities = shares(weights, temperature)
    mixture = Mixture([part.sequences for part in parts], probabilities, data.shuffle_seed)
    return mixture, probabilities


def _held_places(
    parts: list[_Part], probabilities: list[float], count: int
) -> list[tuple[int, int]]:
    """The part and the sequence of each held-out place: of each part so many as it weighs."""
    places = []
    for number, (part, share) in enumerate(zip(parts, probabilities, strict=True)):
        wanted = max(1, round(count * share)) if share else 0
        # A stream is cut at a token, records by their number.
        step = part.held.length if isinstance(part.held, Windows) else 1
        places += [(number, place * step) for place in spread(part.held_count, wanted)]
    return places


def _notes(parts: list[_Part], probabilities: list[float], total: int) -> list[str]:
    if len(parts) == 1:
        return []
    lines = []
    for part, share in zip(parts, probabilities, strict=True):
        line = f"{share:.1%} from {part.name}"
        if part.per_pass:
            line += f": {share * total / part.per_pass:.3g} passes over it in this run"
        lines.append(line)
    return lines


def _fingerprint(parts: list[str]) -> str:
    if len(parts) == 1:
        return parts[0]
    import xxhash

    return f"xxh3_128:{xxhash.xxh3_128(chr(10).join(parts).encode()).hexdigest()}"


def _sum(numbers: list[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
