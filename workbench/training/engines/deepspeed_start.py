"""Loading DeepSpeed without its compilers, and its refusals in our words."""

from __future__ import annotations

import logging
import os
import re
import warnings
from typing import TYPE_CHECKING, Any

from workbench.errors import ConfigError

if TYPE_CHECKING:
    import torch

_KNOWN = (
    (r"untested ZeRO Optimizer", "deepspeed.zero_allow_untested_optimizer",
     "use --training.optimizer adamw, or --deepspeed.zero_allow_untested_optimizer true"),
    (r"fp16 is not supported", "training.mixed_precision",
     "use --training.mixed_precision bf16"),
    (r"not been implemented on CPU|not implemented on CPU", "deepspeed",
     "turn off what is for GPUs only: zero_quantized_weights, zero_quantized_gradients"),
    (r"unable to JIT load the async_io|async_io", "deepspeed.offload_optimizer.device",
     "install libaio (apt-get install libaio-dev) and ninja, or offload to cpu instead of nvme"),
    (r"ZeRO-Offload with a client", "deepspeed.zero_force_ds_cpu_optimizer",
     "use --deepspeed.zero_force_ds_cpu_optimizer false"),
    (r"batch parameters|train_batch_size", "training.batch_size",
     "let training.batch_size × gradient_accumulation_steps × devices be the global batch"),
)  # fmt: skip


def load_deepspeed(device: torch.device) -> Any:
    """The library, ready for this device.

    Raises:
        ConfigError: It is not installed.
    """
    # Otherwise it looks for itself, and warns where it finds no GPU.
    os.environ.setdefault("DS_ACCELERATOR", device.type)
    os.environ.setdefault("LOCAL_RANK", "0")  # a process without a launcher is alone
    try:
        import deepspeed
        import deepspeed.ops
    except ImportError as error:
        raise ConfigError(
            "DeepSpeed cannot be loaded",
            where="deepspeed.enabled",
            why=str(error),
            fix="pip install deepspeed, or use --parallel.strategy fsdp",
        ) from None
    # It would be compiled at the first collective, for half a minute, only to speed up exchanges
    # within one host; and a build that is killed half-way blocks all later ones. No switch is
    # public.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    # It calls collectives of torch by names that torch is about to retire, in every step.
    warnings.filterwarnings("ignore", r"`torch\.distributed\..*` is deprecated", FutureWarning)
    return deepspeed


def refused(error: Exception) -> ConfigError:
    """DeepSpeed's refusal as one message."""
    text = " ".join(str(error).split()) or type(error).__name__
    where, fix = "deepspeed", "change what it names, or use --parallel.strategy fsdp"
    for pattern, key, edit in _KNOWN:
        if re.search(pattern, text):
            where, fix = key, edit
            break
    return ConfigError("DeepSpeed refuses this config", where=where, why=text[:500], fix=fix)
