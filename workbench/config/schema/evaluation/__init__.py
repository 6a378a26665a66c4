"""`evaluation`: the text samples that show what the model has learned."""

from __future__ import annotations

from pydantic import Field

from workbench.config.schema.base import NOT_BUILT, Section, Whole, key
from workbench.config.schema.evaluation.moe_metrics import MoeMetricsConfig


class EvaluationConfig(Section):
    """How samples are drawn at each evaluation."""

    prompt: str = key("def ", "Text that each sample continues.", max_length=4096)
    max_new_tokens: Whole = key(
        200, "Length of a sample; 0 draws none.", unit="tokens", ge=0, le=65536
    )
    temperature: float = key(
        0.8,
        "Below 1 the sample keeps to likely tokens, above 1 it wanders; 0 always takes the "
        "likeliest.",
        ge=0.0,
        le=5.0,
    )
    top_k: Whole = key(
        50, "Sample from the k likeliest tokens only; 0 means all.", unit="tokens", ge=0
    )
    top_p: float = key(
        1.0,
        "Sample from the likeliest tokens that together have this probability; 1 means all.",
        gt=0.0,
        le=1.0,
    )
    do_sample: bool = key(
        True,
        "Draws tokens at random; false always takes the likeliest.",
    )
    num_beams: Whole = key(
        1,
        "Continuations that are followed side by side, of which the likeliest is kept.",
        unit="continuations",
        changes="time of a sample",
        unhonoured="a sample shows what the model says; beams show what it finds likeliest",
        ge=1,
    )
    min_new_tokens: Whole = key(0, "Tokens that a sample has at least.", unit="tokens", ge=0)
    repetition_penalty: float = key(
        1.0,
        "Divides the score of tokens that the sample already holds; 1 leaves it alone.",
        gt=0.0,
    )
    no_repeat_ngram_size: Whole = key(
        0,
        "Never repeats a sequence of this many tokens; 0 allows it.",
        unit="tokens",
        ge=0,
    )
    eos_penalty: float = key(
        0.0,
        "Subtracted from the score of the end-of-text token, so that samples end later.",
        ge=0.0,
    )
    metrics: list[str] = key(
        ["loss", "perplexity"],
        "What is computed on the held-out text; bleu, rouge and the like need references.",
        changes="time of an evaluation",
        unhonoured="the trainer computes loss and perplexity",
        honoured=("loss", "perplexity"),
    )
    comprehensive_eval: bool = key(
        False,
        "Runs the full set of metrics and benchmarks instead of the loss alone.",
        changes="time of an evaluation",
        unhonoured=NOT_BUILT,
    )
    moe_metrics: MoeMetricsConfig = Field(default_factory=MoeMetricsConfig)
