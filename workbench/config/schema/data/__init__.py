"""`data`: the text, and how it becomes sequences."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from workbench.config.schema.base import NOT_BUILT, Section, Whole, key
from workbench.config.schema.data.multi_column import MultiColumnConfig

_THREADS = "batches are made ahead by threads, which live as long as the run"


class DataConfig(Section):
    """Where the text comes from and how it is cut."""

    path: str | None = key(
        None,
        "A file or folder of your own text (.txt, .md, .py, .jsonl, .parquet, .arrow), a dataset "
        "saved with save_to_disk, or a folder made by `ava data prepare`. null is the embedded "
        "corpus: the Python standard library's own source, which every machine already has.",
        changes="what the model learns",
    )
    text_field: str = key(
        "text",
        "The field of each record that holds the text.",
        ignored="for files of plain text",
    )
    dataset_name: str | None = key(
        None,
        "Name of a dataset of the Hugging Face hub, or a local one that the datasets library "
        "opens, in place of path; its part called train is used.",
        changes="what the model learns",
    )
    dataset_config_name: str | None = key(
        None,
        "Which part of that dataset to take, such as its language.",
        ignored="with dataset_name: null",
    )
    cache_dir: str | None = key(
        None,
        "Folder for downloaded datasets and tokenizers; null takes the user's cache folder.",
        changes="files",
    )
    eval_path: str | None = key(
        None,
        "Text to evaluate on. null holds out validation_fraction of the training text.",
        changes="what the held-out loss means",
    )
    fallback_paths: list[str] | None = key(
        None, "Files or folders to try, one after the other, when path does not exist."
    )
    file_pattern: str | None = key(
        None,
        "Takes only files of the folder whose names match, such as *_clean.jsonl.",
        changes="what the model learns",
    )
    exclude_pattern: str | None = key(
        None,
        "Leaves out files of the folder whose names match, such as *_test.txt.",
        changes="what the model learns",
    )
    format: Literal[
        "text", "instruction", "chat", "classification", "token_classification", "preference"
    ] = key(
        "text",
        "What a record is. text: its text_field. instruction: prompt and completion, or "
        "instruction, input and output. chat: messages of a role and its content. classification: "
        "a text and its label. token_classification: words and labels. preference: two answers. "
        "Only answers and labels are learned.",
        changes="which tokens the loss counts",
        unhonoured_values={"preference": NOT_BUILT},
    )
    label_field: str = key(
        "label",
        "The field of each record that holds the number of its class, from 0, or a list with the "
        "class of each word, where -100 is none.",
        ignored="unless data.format is classification or token_classification",
    )
    pair_field: str | None = key(
        None,
        "The field of each record that holds a second text, for classes of pairs such as question "
        "and answer; null means that each record is one text.",
        needs="data.format=classification",
    )
    tokenizer_name: str = key(
        "bytes",
        "How text becomes numbers: bytes takes every byte of the UTF-8 text as one token; anything "
        "else is a tokenizer.json, a folder that holds one, or a name of the Hugging Face hub. "
        "Prepared text brings its own.",
        changes="model.vocab_size; tokens per word",
    )
    eos_token_id: Whole | None = key(
        None,
        "Number of the token that ends a text; null asks the tokenizer.",
        unit="token number",
        ignored="with tokenizer_name: bytes, where byte 0 ends a text",
        ge=0,
    )
    max_length: Whole = key(
        256,
        "Tokens in one training sequence.",
        unit="tokens",
        changes="activation memory in proportion; attention compute with its square",
        ge=2,
    )
    packing: Literal["stream", "documents", "none"] = key(
        "stream",
        "How texts become sequences of max_length. stream: one text after the other, cut anywhere, "
        "and attention sees across their borders. documents: the same, but attention stays inside "
        "each text, and the first token of a text is nobody's target. none: one text per sequence, "
        "cut or filled up.",
        changes="what a token can see; none leaves positions unused",
    )
    mlm_probability: float = key(
        0.15,
        "Share of the tokens that a BERT has to predict; of these 80 % are hidden, 10 % are "
        "replaced by another token, 10 % stay.",
        needs="model.model_type=bert",
        gt=0.0,
        lt=1.0,
    )
    noise_density: float = key(
        0.15,
        "Share of the tokens that is left out of the text for a T5 to write.",
        ignored="for instructions and conversations",
        needs="model.model_type=t5",
        gt=0.0,
        lt=1.0,
    )
    mean_noise_span_length: float = key(
        3.0,
        "Tokens of each span that is left out for a T5, on average.",
        unit="tokens",
        ignored="for instructions and conversations",
        needs="model.model_type=t5",
        ge=1.0,
    )
    validation_fraction: float = key(
        0.05,
        "Share of the text that is held out: never trained on, only evaluated.",
        ignored="with eval_path, and for text that was prepared",
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
        ge=1,
    )
    max_train_examples: Whole | None = key(
        None,
        "Sequences to train on at most, for a quick test; null or -1 means all.",
        unit="sequences",
        changes="how soon the text repeats",
        ge=-1,
    )
    min_sequence_length: Whole = key(
        0,
        "Records with fewer tokens are left out.",
        unit="tokens",
        ignored="for text that was prepared",
        ge=0,
    )
    padding_side: Literal["right", "left"] = key(
        "right",
        "Where short sequences are filled up to the longest of their micro-batch.",
        needs="data.packing=none",
    )
    truncation: bool = key(
        True,
        "Cuts records that are longer than max_length; false stops at the first one.",
        needs="data.packing=none",
    )
    skip_malformed_sequences: bool = key(
        True,
        "Leaves out records that cannot be read, up to one in a hundred, and counts them; false "
        "stops at the first one.",
    )
    max_consecutive_repeats: Whole | None = key(
        None,
        "Records that repeat one token more often than this in a row are left out.",
        unit="tokens",
        changes="quality of the text",
        ignored="for text that was prepared",
        ge=1,
    )
    max_sequence_repetition_rate: float | None = key(
        None,
        "Records in which a larger share of the runs of 16 tokens stood there before are left out.",
        changes="quality of the text",
        ignored="for text that was prepared",
        gt=0.0,
        le=1.0,
    )
    dataloader_num_workers: Whole = key(
        0,
        "Threads that prepare batches ahead; 0 prepares each when it is needed. The order of the "
        "text does not depend on it.",
        unit="threads",
        changes="host memory and CPU use against waiting for data",
        ge=0,
    )
    dataloader_prefetch_factor: Whole = key(
        2,
        "Batches that each worker prepares ahead.",
        unit="batches",
        ignored="with dataloader_num_workers: 0",
        ge=1,
    )
    dataloader_persistent_workers: bool = key(
        False,
        "Keeps the workers alive between passes over the text.",
        ignored="with dataloader_num_workers: 0",
        unhonoured=_THREADS,
    )
    dataloader_pin_memory: bool = key(
        False,
        "Prepares batches in host memory that a GPU can fetch by itself.",
        changes="speed of the transfer; memory that cannot be swapped out",
        ignored="on a CPU",
        unhonoured="batches are a few kilobytes of token numbers, copied from ordinary memory",
    )
    dataloader_drop_last: bool = key(
        True,
        "Leaves out a last batch that is not full.",
        unhonoured="every batch is full, because the next pass over the text begins in it",
    )
    shuffle: bool = key(
        True, "Visits the sequences in random order; false in the order of the text."
    )
    reshuffle_each_epoch: bool = key(
        True,
        "Draws a new order for each pass over the text.",
        needs="data.shuffle",
    )
    distributed: bool = key(
        False,
        "Gives each device its own part of the text.",
        unhonoured="each device always has its own sequences of each step, and all of the text",
    )
    streaming: bool = key(
        False,
        "Reads the text while training instead of before it, for corpora larger than memory.",
        changes="host memory; time before the first step",
        ignored="for text that was prepared, which is mapped and not read",
    )
    buffer_size: Whole = key(
        10000,
        "Records among which a stream is shuffled: so many are read at once and visited in random "
        "order.",
        unit="records",
        changes="host memory against how random the order is",
        needs="data.streaming",
        ge=1,
    )
    samples_per_file: Whole | None = key(
        None,
        "Records taken from one file before the next one has its turn; null takes all.",
        unit="records",
        needs="data.streaming",
        ge=1,
    )
    mixture: dict[str, float] | None = key(
        None,
        "Several files or folders with their weights, such as {web.jsonl: 0.8, code.jsonl: 0.2}, "
        "in place of path; weights are scaled to add up to one. Each sequence is drawn from one of "
        "them.",
        changes="what the model learns",
    )
    use_weighted_mixing: bool = key(
        False,
        "Draws each sequence from one of the files of the folder, by its size and "
        "mixing_temperature; with mixture by its weights and mixing_temperature.",
        changes="what the model learns",
    )
    mixing_temperature: float = key(
        1.0,
        "T in p_i = n_i^(1/T) / sum: 1 keeps the proportions, above 1 small corpora are seen more "
        "often, and a very large T makes all equal.",
        changes="what the model learns; how often a small corpus is repeated",
        needs="data.use_weighted_mixing",
        gt=0.0,
    )
    enable_bucketing: bool = key(
        False,
        "Puts records of similar length into one batch, so that little is filled up.",
        changes="speed with records of very different length",
        needs="data.packing=none",
    )
    bucket_boundaries: list[Whole] | None = key(
        None,
        "Lengths at which a new bucket of records begins; null doubles from 16 on.",
        unit="tokens",
        needs="data.enable_bucketing",
    )
    max_bucket_size: Whole | None = key(
        None,
        "Records of one bucket that come together; null means the sequences of one step.",
        unit="records",
        needs="data.enable_bucketing",
        ge=1,
    )
    shuffle_seed: Whole = key(
        42, "Seed of the data order; the order is a function of this and the step alone.", ge=0
    )
    multi_column: MultiColumnConfig = Field(default_factory=MultiColumnConfig)
