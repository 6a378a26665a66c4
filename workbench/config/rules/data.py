"""Rules about the text and how it becomes sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.keys import keys, value_at
from workbench.config.rules.base import Problem, Repair, Subject, put, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH_KEYS = (
    "data.path",
    "data.eval_path",
    "data.fallback_paths",
    "data.mixture",
    "data.tokenizer_name",
    "model.pretrained_path",
    "checkpointing.resume_from_checkpoint",
    "deepspeed.config_file",
    "parallel.hostfile",
    "rag.knowledge_base_path",
    "rag.retrieval_corpus_path",
    "rlhf.policy_model_path",
    "rlhf.prompt_dataset_path",
    "rlhf.eval_prompt_dataset_path",
    "rlhf.reward.judge_model_path",
    "rlhf.reward.reward_model_path",
)
"""Keys that name files or folders which have to exist, for whoever looks."""


@rule("missing-path", "error")
def missing_path(subject: Subject) -> Iterator[Problem]:
    """Files and folders that the plan reads are there."""
    for path in PATH_KEYS:
        if path not in subject.missing_paths:
            continue
        value = value_at(subject.config, path)
        named = ", ".join(value) if isinstance(value, list | dict) else value
        fixes: list[Repair] = []
        if path == "data.path":
            fixes.append(("train on the embedded corpus: data.path: null", {path: None}))
        elif path == "data.tokenizer_name":
            fixes.append(put(path, "bytes"))
        elif keys()[path].optional:
            fixes.append(put(path, None))
        yield Problem(path, f"there is nothing at {named!r}", tuple(fixes))


@rule("text-said-twice", "warning")
def text_said_twice(subject: Subject) -> Iterator[Problem]:
    """The text comes from a path, a dataset or a mixture: one of them."""
    data = subject.config.data
    sources = ("path", "dataset_name", "mixture")
    given = [name for name in sources if getattr(data, name) is not None]
    if len(given) > 1:
        yield Problem(
            f"data.{given[1]}",
            f"the text is named more than once: by data.{' and data.'.join(given)}",
            tuple(
                (f"keep data.{name}", {f"data.{other}": None for other in given if other != name})
                for name in given
            ),
        )


@rule("evaluates-on-training-text", "warning")
def evaluates_on_training_text(subject: Subject) -> Iterator[Problem]:
    """Text to evaluate on is not the text to train on."""
    data = subject.config.data
    if data.eval_path is not None and data.eval_path == data.path:
        yield Problem(
            "data.eval_path",
            "the held-out text is the training text: its loss shows what the model has memorised",
            (put("data.eval_path", None),),
        )


@rule("held-out-said-twice", "hint")
def held_out_said_twice(subject: Subject) -> Iterator[Problem]:
    """eval_path stands in for validation_fraction."""
    data = subject.config.data
    if data.eval_path is not None and subject.is_set("data.validation_fraction"):
        yield Problem(
            "data.validation_fraction",
            "data.eval_path is evaluated on, so no share of the training text is held out",
            (put("data.eval_path", None),),
        )


@rule("no-examples", "error")
def no_examples(subject: Subject) -> Iterator[Problem]:
    """max_train_examples leaves something to train on."""
    if subject.config.data.max_train_examples == 0:
        yield Problem(
            "data.max_train_examples",
            "with max_train_examples: 0 there is nothing to train on; null means all",
            (put("data.max_train_examples", None),),
        )


@rule("records-fit-sequence", "error")
def records_fit_sequence(subject: Subject) -> Iterator[Problem]:
    """The shortest text that is kept or demanded fits into a sequence."""
    config = subject.config
    for path, shortest in (
        ("data.min_sequence_length", config.data.min_sequence_length),
        ("training.min_sequence_length", config.training.min_sequence_length),
    ):
        if shortest > config.data.max_length:
            yield Problem(
                subject.blame(path, "data.max_length"),
                f"texts of at least {shortest} tokens do not fit sequences of "
                f"{config.data.max_length}",
                (put(path, 0), put("data.max_length", shortest)),
            )


@rule("truncation-off", "warning")
def truncation_off(subject: Subject) -> Iterator[Problem]:
    """Texts longer than max_length are cut: truncation is true."""
    data = subject.config.data
    if not data.truncation and data.packing == "none":
        yield Problem(
            "data.truncation",
            "without truncation the first text longer than "
            f"{subject.config.data.max_length} tokens stops the training",
            (put("data.truncation", True),),
        )


@rule("padding-left", "hint")
def padding_left(subject: Subject) -> Iterator[Problem]:
    """Training fills sequences up on the right; the left is for generating in batches."""
    config = subject.config
    if config.data.padding_side == "left" and not config.rlhf.enabled:
        yield Problem(
            "data.padding_side",
            "filling up on the left is for generating in batches; in training it moves the "
            "positions of every text",
            (put("data.padding_side", "right"),),
        )


@rule("workers-needed", "warning")
def workers_needed(subject: Subject) -> Iterator[Problem]:
    """dataloader_persistent_workers comes with workers, or PyTorch refuses it."""
    data = subject.config.data
    if data.dataloader_num_workers == 0 and data.dataloader_persistent_workers:
        yield Problem(
            "data.dataloader_persistent_workers",
            "there are no workers to keep alive: dataloader_num_workers is 0",
            (
                put("data.dataloader_persistent_workers", False),
                put("data.dataloader_num_workers", 2),
            ),
        )


@rule("buckets-ordered", "error")
def buckets_ordered(subject: Subject) -> Iterator[Problem]:
    """bucket_boundaries rise, and stay within max_length."""
    data = subject.config.data
    bounds = data.bucket_boundaries
    if not data.enable_bucketing or bounds is None:
        return
    if bounds != sorted(set(bounds)) or (bounds and bounds[-1] > data.max_length):
        fitting = sorted({bound for bound in bounds if bound <= data.max_length})
        yield Problem(
            "data.bucket_boundaries",
            "bucket boundaries rise from the shortest to the longest text, up to "
            f"{data.max_length}",
            (put("data.bucket_boundaries", fitting),),
        )


@rule("mixture-weights", "error")
def mixture_weights(subject: Subject) -> Iterator[Problem]:
    """The weights of a mixture are not negative, and one of them is above zero."""
    mixture = subject.config.data.mixture
    if mixture is None:
        return
    negative = [name for name, weight in mixture.items() if weight < 0]
    if negative or sum(mixture.values()) <= 0:
        message = "no corpus of the mixture has a weight above zero"
        if negative:
            message = f"the weight of {negative[0]} is negative"
        equal = dict.fromkeys(mixture, 1.0) or None
        yield Problem("data.mixture", message, (("equal weights", {"data.mixture": equal}),))


@rule("columns-match", "error")
def columns_match(subject: Subject) -> Iterator[Problem]:
    """multi_column: types and roles are as many as names, and a template has a pattern."""
    columns = subject.config.data.multi_column
    if not columns.enabled:
        return
    section = "data.multi_column"
    if columns.combine_strategy == "template" and columns.column_template is None:
        yield Problem(
            f"{section}.combine_strategy",
            "combine_strategy: template needs the pattern: column_template",
            (put(f"{section}.combine_strategy", "concatenate"),),
        )
    for name in ("column_types", "column_roles"):
        given = getattr(columns, name)
        if given is not None and len(given) != len(columns.column_names or given):
            yield Problem(
                f"{section}.{name}",
                f"{len(given)} {name} for {len(columns.column_names or [])} column_names",
                (put(f"{section}.{name}", None),),
            )


@rule("streaming-forgets", "warning")
def streaming_forgets(subject: Subject) -> Iterator[Problem]:
    """Episodic memory needs text that can be looked at again; a stream passes once."""
    config = subject.config
    if config.model.use_episodic_memory and config.data.streaming:
        yield Problem(
            subject.blame("data.streaming"),
            "episodic memory works better with text that is kept; a stream passes by once",
            (put("data.streaming", False), put("model.use_episodic_memory", False)),
        )


@rule("lengths-grow", "error")
def lengths_grow(subject: Subject) -> Iterator[Problem]:
    """progressive: sequences grow from initial_seq_length to final_seq_length."""
    progressive = subject.config.training.progressive
    if not (progressive.enabled and progressive.enable_sequence_scaling):
        return
    end = progressive.final_seq_length or subject.config.data.max_length
    if progressive.initial_seq_length > end:
        yield Problem(
            subject.blame(
                "training.progressive.initial_seq_length",
                "training.progressive.final_seq_length",
                "data.max_length",
                "training.progressive.enable_sequence_scaling",
            ),
            f"sequences are to grow from {progressive.initial_seq_length} to {end} tokens",
            (put("training.progressive.initial_seq_length", max(1, end // 8)),),
        )
