"""Whether a text has flags of AWS's FSDP trainer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from workbench.dialects.aws_fsdp.source import is_known
from workbench.dialects.base import Guess

if TYPE_CHECKING:
    from workbench.dialects.base import Foreign

_FLAG: Final = re.compile(r"(?<![\w$-])--[A-Za-z_][\w-]*")
_OWN: Final = frozenset(
    {
        "--max_context_width",
        "--hidden_width",
        "--sharding_strategy",
        "--offload_activations",
        "--train_batch_size",
        "--checkpoint_freq",
        "--validation_freq",
        "--dataset_config_name",
        "--llama_intermediate_size",
        "--lr_decay_style",
        "--max_training_steps",
    }
)
"""Flags that no other trainer has."""


def recognise(foreign: Foreign) -> Guess | None:
    """How much a text looks like flags of the trainer; None where there are none."""
    text = "\n".join(re.sub(r"(^|\s)#.*", "", line) for line in foreign.text.splitlines())
    found = list(dict.fromkeys(_FLAG.findall(text)))
    known = [flag for flag in found if is_known(flag)]
    own = [flag for flag in known if flag in _OWN]
    if not own:
        if "HyperPodPyTorchJob" in text:
            return Guess(0.3, "it is a HyperPodPyTorchJob, without the trainer's flags")
        return None
    shown = " and ".join(own[:2])
    if len(own) > 1:
        return Guess(0.97, f"it has the flags {shown}")
    return Guess(0.6 if len(known) > 1 else 0.3, f"it has the flag {shown}")
