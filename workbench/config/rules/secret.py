"""Rules about what a config must not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.keys import keys, value_at
from workbench.config.rules.base import Problem, Subject, drop, rule
from workbench.masking import shaped

if TYPE_CHECKING:
    from collections.abc import Iterator


@rule("secret-in-config", "error")
def secret_in_config(subject: Subject) -> Iterator[Problem]:
    """A config holds no tokens, keys or passwords: it is copied into every run and shared."""
    for path in subject.origins:
        if path in keys() and any(map(shaped, _texts(value_at(subject.config, path)))):
            yield Problem(
                path,
                f"{path} holds what looks like a secret. A config is copied into every run and "
                "passed on: put the secret into the environment, where programs look for it "
                "(HF_TOKEN, WANDB_API_KEY), and make a new one if this file was shared",
                (drop(path),),
            )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
