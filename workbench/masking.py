"""Secrets: how they are recognised, and how they are kept out of files and logs.

A secret is the value of an environment variable with a telling name (HF_TOKEN, WANDB_API_KEY), or a
text in the shape of a known service's key. Names of settings such as ``num_tokens`` or
``cls_token`` are not telling: only whole words of a variable's name count, and only long values.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHORTEST: Final = 8  # shorter values are words like "true", and would blot innocent text
_TELLING: Final = re.compile(
    r"(?:^|_)(?:TOKEN|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|BEARER"
    r"|(?:API|ACCESS|PRIVATE|SECRET|SIGNING|ENCRYPTION|AUTH)_?KEY)(?:$|_)",
    re.IGNORECASE,
)
_SHAPES: Final = (
    r"\bhf_[A-Za-z0-9]{30,}",
    r"\bsk-[A-Za-z0-9_-]{20,}",
    r"\bgh[pousr]_[A-Za-z0-9]{36,}",
    r"\bgithub_pat_[A-Za-z0-9_]{50,}",
    r"\bglpat-[A-Za-z0-9_-]{20,}",
    r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    r"\bA(?:KIA|SIA)[0-9A-Z]{16}\b",
    r"\bAIza[A-Za-z0-9_-]{35}",
    r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[A-Za-z0-9+/=\s]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
    r"(?<=://)[^\s/:@]+:[^\s/@]{3,}(?=@)",
)
_SHAPE: Final = re.compile("|".join(_SHAPES))
LONGEST: Final = 512
"""Bytes that a piece of a log keeps back, so that a secret on its border is seen whole."""


def telling(name: str) -> bool:
    """Whether a variable or key of this name holds a secret, going by its name."""
    return _TELLING.search(name) is not None


def shaped(text: str) -> bool:
    """Whether the text holds something in the shape of a known service's key."""
    return _SHAPE.search(text) is not None


def secrets_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The secrets in an environment: value to name. A path to a secret is none."""
    return {
        value: name
        for name, value in environment.items()
        if len(value) >= _SHORTEST and not value.startswith("/") and telling(name)
    }


class Mask:
    """Blots out the secrets of an environment, and whatever is shaped like a key.

    Args:
        environment: Where the secrets are; that of this process when left out.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        known = secrets_of(os.environ if environment is None else environment)
        # In JSON some characters stand escaped; the longest first, for one may begin another.
        spelled = {spelling for value in known for spelling in (value, json.dumps(value)[1:-1])}
        words = [re.escape(value) for value in sorted(spelled, key=len, reverse=True)]
        self._text = re.compile("|".join([*words, *_SHAPES]))
        self._bytes = re.compile(self._text.pattern.encode("utf-8", "surrogateescape"))

    def text(self, text: str) -> str:
        """The text with ``***`` in place of each secret."""
        return self._text.sub("***", text)

    def places(self, data: bytes) -> list[tuple[int, int]]:
        """Where secrets stand in the bytes of a log: starts and ends."""
        return [match.span() for match in self._bytes.finditer(data)]
