"""The formulas of other calculators. Facts were read from their sources; the words are ours.

EleutherAI    github.com/EleutherAI/cookbook, calc/calc_transformer_mem.py @069ae2e
Megatron-LM   github.com/NVIDIA/Megatron-LM, megatron/training/theoretical_memory_usage.py @00caa53
DeepSpeed     github.com/deepspeedai/DeepSpeed, runtime/zero/stage_1_and_2.py and stage3.py,
              estimate_zero2 and estimate_zero3_model_states_mem_needs, 0.19.8
accelerate    github.com/huggingface/accelerate, commands/estimate.py @16cb6eb
LLaMA-Factory github.com/hiyouga/LLaMA-Factory, README, table of hardware requirements
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.estimate.rivals.told import Told


def eleuther(t: Told) -> float:
    """Weights, 4 bytes of gradient, 12 of optimizer, communication buffers, Korthikanti's blocks.

    Key heads count for the weights, not for the activations (arXiv 2205.05198, equation 2 in any
    precision); recomputation is always the selective kind; the logits are left out.
    """
    attention = 2 * (1 + t.groups / t.heads) * t.layers * t.h**2
    network = (3 if t.gated else 2) * t.layers * t.h * t.f
    rest = 2 * t.vocabulary * t.h + t.h * t.s + 8 * t.h * t.layers + 2 * t.h
    parameters = rest + attention + network * t.experts
    shards = [t.devices if t.stage >= stage else 1 for stage in (3, 2, 1)]
    states = sum(
        parameters * width / share for width, share in zip((t.bytes, 4, 12), shards, strict=True)
    )
    together = 0.0
    if t.devices > 1:
        # Its default buckets: 5e8 numbers, and 1e9 that ZeRO-3 keeps alive.
        together += 5e8 * t.bytes * (t.stage >= 1) + 1e9 * t.bytes * (t.stage == 3)
    # Its word for the width of activations is the low precision, mixed or not.
    each = 16 * 2 + 2 + (0 if t.recomputes else (2 * 2 + 1) * t.heads * t.s / t.h)
    return states + together + t.s * t.b * t.h * t.layers * each


def megatron(t: Told) -> float:
    """18 bytes a parameter, or 6 + 12/N with the distributed optimizer; blocks by table 2.

    Selective recomputation is taken for granted with sequence parallelism; else 34 bytes per token
    and feature, half-precision logits, and five per cent on top. Whole blocks that are computed
    again have no word.
    """
    per_layer = 2 * t.h**2 * (1 + t.groups / t.heads) + 2 * t.h * (1 if t.rms else 2)
    gate = 1.5 if t.gated else 1.0
    dense = 2 * t.h * t.f * gate
    routed = 2 * t.h * t.expert_width * t.experts * gate
    blocks = t.layers * per_layer + (t.layers - t.expert_layers) * dense + t.expert_layers * routed
    embedding = t.h * t.vocabulary
    parameters = blocks + embedding * (1 if t.tied else 2)
    states = parameters * (18 if t.stage == 0 else 6 + 12 / t.devices)
    tokens = t.s * t.b
    kept = tokens * t.h * 34 * t.layers + 8 * tokens + tokens * t.h
    kept += 2 * tokens * (t.vocabulary + t.h)
    return states + 1.05 * kept


def deepspeed(t: Told) -> float:
    """Model states alone, for ZeRO-2 and ZeRO-3 without offload.

    The lower stages have no estimator; ZeRO-2's at one device stands for them. ZeRO-3 counts its
    largest layer twice over, in 16 bits.
    """
    if t.stage < 3:
        return 2 * t.parameters + 18 * t.parameters / (t.devices if t.stage == 2 else 1)
    largest = t.vocabulary * t.h
    return 4 * largest + 18 * t.parameters / t.devices


def accelerate(t: Told) -> float:
    """The largest of weights, gradients, optimizer and step, no sum.

    Four bytes and their double in fp32; in 16 bits the step is twice the fp32 weights. It knows no
    batch, no sequence and no device but one.
    """
    whole = 4 * t.parameters
    return max(whole, 2 * whole) if t.narrow else 4 * whole


def llama_factory(t: Told) -> float:
    """Gigabytes per billion parameters: 18 for full training in 16 bits, 2 for LoRA.

    Its table has 8 for weights and optimizer in pure 16 bits, and x / 2 for 8 bits; none knows
    batch, sequence or devices.
    """
    rate = 2 if t.trained < t.parameters else 18
    return rate * t.parameters


def rule_2_4_8(t: Told) -> float:
    """The rule of thumb: 2 bytes of weights, 2 of gradients, 12 of optimizer; divided by stage."""
    shards = [t.devices if t.stage >= stage else 1 for stage in (3, 2, 1)]
    widths = (t.bytes, t.bytes, 12 if t.narrow else 8)
    parts = (t.parameters, t.trained, t.trained)
    return sum(
        width * part / share for width, part, share in zip(widths, parts, shards, strict=True)
    )
