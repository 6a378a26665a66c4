"""`data`: the text, and how it becomes sequences."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from workbench.config.schema.base import NO_MIXING, NOT_BUILT, ONE_DEVICE, Section, Whole, key
from workbench.config.schema.data.multi_column import MultiColumnConfig

_CUTS = "the text is one stream of tokens, cut into sequences of equal length"
_ONE_PROCESS = "the trainer cuts its batches itself, without worker processes"


class DataConfig(Section):
    """Where the text comes from and how it is cut."""

    path: str | None = key(
        None,
        "A file or folder of your own text (.txt, .md, .py, .jsonl). null is the embedded corpus: "
        "the Python standard library's own source, which every machine already has.",
        changes="what the model learns",
    )
    text_field: str = key(
        "text",
        "The field of each .jsonl line that holds the text.",
        ignored="for other files",
    )
    dataset_name: str | None = key(
        None,
        "Name of a dataset of the Hugging Face hub, in place of path.",
        changes="what the model learns",
        unhonoured="the trainer reads local text only",
    )
    dataset_config_name: str | None = key(
        None,
        "Which part of that dataset to take, such as its language.",
        ignored="with dataset_name: null",
        unhonoured="the trainer reads local text only",
    )
    cache_dir: str | None = key(
        None,
        "Folder for downloaded and prepared data; null takes the user's cache folder.",
        changes="files",
        unhonoured="the trainer prepares its data in memory",
    )
    eval_path: str | None = key(
        None,
        "Text to evaluate on. null holds out validation_fraction of the training text.",
        changes="what the held-out loss means",
        unhonoured="the held-out text is a part of path",
    )
    fallback_paths: list[str] | None = key(
        None, "Folders to try when path does not exist.", unhonoured=NOT_BUILT
    )
    file_pattern: str | None = key(
        None,
        "Takes only files of the folder whose names match, such as *_clean.jsonl.",
        changes="what the model learns",
        unhonoured="the trainer takes every text file of the folder",
    )
    exclude_pattern: str | None = key(
        None,
        "Leaves out files of the folder whose names match, such as *_test.txt.",
        changes="what the model learns",
        unhonoured="the trainer takes every text file of the folder",
    )
    format: Literal["text", "instruction", "chat", "preference"] = key(
        "text",
        "What a record is: plain text, an instruction with its answer, a conversation, or two "
        "answers of which one is better.",
        changes="which tokens the loss counts",
        unhonoured_values=dict.fromkeys(("instruction", "chat", "preference"), NOT_BUILT),
    )
    tokenizer_name: str = key(
        "bytes",
        "How text becomes numbers: bytes takes every byte of the UTF-8 text as one token; anything "
        "else is the name or path of a trained tokenizer.",
        changes="model.vocab_size; tokens per word",
        unhonoured="the trainer knows the byte tokenizer so far",
        honoured=("bytes",),
    )
    eos_token_id: Whole | None = key(
        None,
        "Number of the token that ends a text; null asks the tokenizer.",
        unit="token number",
        unhonoured="the byte tokenizer has no such token",
        ge=0,
    )
    max_length: Whole = key(
        256,
        "Tokens in one training sequence.",
        unit="tokens",
        changes="activation memory in proportion; attention compute with its square",
        ge=2,
    )
    validation_fraction: float = key(
        0.05,
        "Share of the text that is held out: never trained on, only evaluated.",
        gt=0.0,
        lt=0.5,
    )
    max_eval_examples: Whole = key(
        64,
        "Sequences of held-out text in one evaluation.",
        unit="sequences",
        changes="time of an evaluation against the noise of its result",
        ge=1,
    )
    eval_batch_size: Whole | None = key(
        None,
        "Sequences of one micro-batch of an evaluation; null means training.batch_size.",
        unit="sequences",
        changes="speed and memory of evaluations",
        unhonoured="evaluations use training.batch_size",
        ge=1,
    )
    max_train_examples: Whole | None = key(
        None,
        "Sequences to train on at most, for a quick test; null or -1 means all.",
        unit="sequences",
        changes="how soon the text repeats",
        unhonoured="the trainer uses the whole text",
        honoured=(-1,),
        ge=-1,
    )
    min_sequence_length: Whole = key(
        0, "Records with fewer tokens are left out.", unit="tokens", unhonoured=_CUTS, ge=0
    )
    padding_side: Literal["right", "left"] = key(
        "right",
        "Where short sequences are filled up to the common length.",
        unhonoured=_CUTS,
    )
    truncation: bool = key(True, "Cuts records that are longer than max_length.", unhonoured=_CUTS)
    skip_malformed_sequences: bool = key(
        True,
        "Leaves out records that cannot be read, and counts them, instead of stopping.",
        unhonoured="unreadable files are always left out and listed",
    )
    max_consecutive_repeats: Whole | None = key(
        None,
        "Records that repeat one token more often than this in a row are left out.",
        unit="tokens",
        changes="quality of the text",
        unhonoured=NOT_BUILT,
        ge=1,
    )
    max_sequence_repetition_rate: float | None = key(
        None,
        "Records in which a larger share of the tokens is repetition are left out.",
        changes="quality of the text",
        unhonoured=NOT_BUILT,
        gt=0.0,
        le=1.0,
    )
    dataloader_num_workers: Whole = key(
        0,
        "Processes that prepare batches ahead; 0 prepares them in the trainer itself.",
        unit="processes",
        changes="host memory and CPU use against waiting for data",
        unhonoured=_ONE_PROCESS,
        ge=0,
    )
    dataloader_prefetch_factor: Whole = key(
        2,
        "Batches that each worker prepares ahead.",
        unit="batches",
        ignored="with dataloader_num_workers: 0",
        unhonoured=_ONE_PROCESS,
        ge=1,
    )
    dataloader_persistent_workers: bool = key(
        False,
        "Keeps the workers alive between passes over the text.",
        ignored="with dataloader_num_workers: 0",
        unhonoured=_ONE_PROCESS,
    )
    dataloader_pin_memory: bool = key(
        False,
        "Prepares batches in host memory that a GPU can fetch by itself.",
        changes="speed of the transfer; memory that cannot be swapped out",
        ignored="on a CPU",
        unhonoured=_ONE_PROCESS,
    )
    dataloader_drop_last: bool = key(
        True,
        "Leaves out a last batch that is not full.",
        unhonoured="every batch is full, because the next pass over the text begins in it",
    )
    shuffle: bool = key(
        True, "Visits the sequences in random order.", unhonoured="the order is always random"
    )
    reshuffle_each_epoch: bool = key(
        True,
        "Draws a new order for each pass over the text.",
        unhonoured="every pass has an order of its own",
    )
    distributed: bool = key(
        False, "Gives each device its own part of the text.", unhonoured=ONE_DEVICE
    )
    streaming: bool = key(
        False,
        "Reads the text while training instead of before it, for corpora larger than memory.",
        changes="host memory; time before the first step",
        unhonoured=NO_MIXING,
    )
    buffer_size: Whole = key(
        10000,
        "Records among which a stream is shuffled.",
        unit="records",
        changes="host memory against how random the order is",
        needs="data.streaming",
        unhonoured=NO_MIXING,
        ge=1,
    )
    samples_per_file: Whole | None = key(
        None,
        "Records taken from one file before the next one has its turn; null takes all.",
        unit="records",
        needs="data.streaming",
        unhonoured=NO_MIXING,
        ge=1,
    )
    mixture: dict[str, float] | None = key(
        None,
        "Several corpora with their weights, such as {web.jsonl: 0.8, code.jsonl: 0.2}; weights "
        "are scaled to add up to one.",
        changes="what the model learns",
        unhonoured=NO_MIXING,
    )
    use_weighted_mixing: bool = key(
        False,
        "Draws from the files of a folder by weight instead of by size.",
        changes="what the model learns",
        unhonoured=NO_MIXING,
    )
    mixing_temperature: float = key(
        1.0,
        "Weights are raised to 1 / this: above 1 small corpora are seen more often.",
        changes="what the model learns",
        needs="data.use_weighted_mixing",
        unhonoured=NO_MIXING,
        gt=0.0,
    )
    enable_bucketing: bool = key(
        False,
        "Puts records of similar length into one batch, so that little is filled up.",
        changes="speed with records of very different length",
        unhonoured=_CUTS,
    )
    bucket_boundaries: list[Whole] | None = key(
        None,
        "Lengths at which a new bucket of records begins.",
        unit="tokens",
        needs="data.enable_bucketing",
        unhonoured=_CUTS,
    )
    max_bucket_size: Whole | None = key(
        None,
        "Records that a bucket holds before it is used; null means one batch.",
        unit="records",
        needs="data.enable_bucketing",
        unhonoured=_CUTS,
        ge=1,
    )
    shuffle_seed: Whole = key(
        42, "Seed of the data order; the order is a function of this and the step alone.", ge=0
    )
    multi_column: MultiColumnConfig = Field(default_factory=MultiColumnConfig)
