"""Rules about the text samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.rules.base import Problem, Subject, put, rule

if TYPE_CHECKING:
    from collections.abc import Iterator


@rule("greedy-ignores-choices", "hint")
def greedy_ignores_choices(subject: Subject) -> Iterator[Problem]:
    """With temperature 0 nothing is drawn, so top_k and top_p have no effect."""
    evaluation = subject.config.evaluation
    if evaluation.temperature > 0 and evaluation.do_sample:
        return
    why = "temperature is 0" if evaluation.temperature == 0 else "do_sample is false"
    for name, on in (("top_k", evaluation.top_k > 0), ("top_p", evaluation.top_p < 1)):
        if on and subject.is_set(f"evaluation.{name}"):
            yield Problem(
                f"evaluation.{name}",
                f"{why}: the likeliest token is taken, whatever {name} leaves to choose from",
                (
                    put(f"evaluation.{name}", 0 if name == "top_k" else 1.0),
                    (
                        "draw samples",
                        {"evaluation.temperature": 0.8, "evaluation.do_sample": True},
                    ),
                ),
            )


@rule("sample-length", "error")
def sample_length(subject: Subject) -> Iterator[Problem]:
    """min_new_tokens is at most max_new_tokens."""
    evaluation = subject.config.evaluation
    if evaluation.min_new_tokens > evaluation.max_new_tokens:
        yield Problem(
            subject.blame("evaluation.min_new_tokens", "evaluation.max_new_tokens"),
            f"a sample cannot have at least {evaluation.min_new_tokens} and at most "
            f"{evaluation.max_new_tokens} tokens",
            (put("evaluation.min_new_tokens", 0),),
        )


@rule("empty-prompt", "error")
def empty_prompt(subject: Subject) -> Iterator[Problem]:
    """A sample continues a prompt of at least one character."""
    evaluation = subject.config.evaluation
    if evaluation.max_new_tokens > 0 and evaluation.prompt == "":
        yield Problem(
            "evaluation.prompt",
            "a sample needs a text to continue; a line break will do",
            (put("evaluation.prompt", "\n"), put("evaluation.max_new_tokens", 0)),
        )
