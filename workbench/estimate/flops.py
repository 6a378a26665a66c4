"""FLOPs of an optimizer step, exactly as torch's own counter counts them, and what they mean.

One multiplication and one addition are two FLOPs, and matrix products are all that counts
(`torch.utils.flop_counter`). Four figures go by the name; each is here under its own:

- ``forward + backward + recomputed`` is what that counter shows: attention as a full square, a
  fused kernel's backward pass as five products, because it makes the scores again.
- ``model`` is the numerator of MFU (PaLM, arXiv 2204.02311, appendix B): without anything that is
  computed twice. With every weight trained it is three times the forward pass.
- ``hardware`` is what the kernels really do: recomputation, and of causal attention only the part
  that is not masked, where a kernel skips the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from workbench.config.degrees import Degrees
from workbench.estimate.counted_flops import counted, known_of
from workbench.estimate.network.lengths import lengths_of

if TYPE_CHECKING:
    from workbench.config.schema import Config

# `ava_kernels.attention`: rows of a block on a CPU, and the longest sequence that it takes.
_ROWS, _LONGEST = 64, 1024


@dataclass(frozen=True, slots=True)
class Flops:
    """FLOPs of one optimizer step over all devices.

    Attributes:
        forward: Of the forward passes, attention as a full square.
        backward: Of the backward passes; the loss makes its gradients going forwards, and they are
            counted here.
        recomputed: Of what recomputation computes a second time.
        model: Forward and backward, nothing twice: the numerator of MFU.
        hardware: What the kernels compute, masked halves left out where they leave them out.
        tokens: Tokens of a step.
        parts: (what, FLOPs forward and backward), the largest first.
        attention: How attention was counted, a sentence.
    """

    forward: int
    backward: int
    recomputed: int
    model: int
    hardware: int
    tokens: int
    parts: tuple[tuple[str, int], ...]
    attention: str

    @property
    def counted(self) -> int:
        """What `torch.utils.flop_counter` shows for the step."""
        return self.forward + self.backward + self.recomputed

    @property
    def per_token(self) -> float:
        """Model FLOPs of one token."""
        return self.model / self.tokens

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON-ready data."""
        return {
            "forward": self.forward,
            "backward": self.backward,
            "recomputed": self.recomputed,
            "counted": self.counted,
            "model": self.model,
            "hardware": self.hardware,
            "tokens": self.tokens,
            "model_per_token": self.per_token,
            "parts": dict(self.parts),
            "attention": self.attention,
        }


def flops_of(config: Config, *, cpu: bool = False, blocked: bool | None = None) -> Flops:
    """The FLOPs of a step.

    Args:
        config: The plan.
        cpu: Whether CPU kernels run.
        blocked: Whether a CPU attends in blocks that skip later positions; None: as
            `ava_kernels.attention` decides.
    """
    training, batch = config.training, config.training.batch_size
    lengths = lengths_of(config)
    write, read = lengths.written, lengths.read
    kernel = _kernel(config, cpu=cpu, blocked=blocked, documents=lengths.documents)
    model = config.model
    # What a decoder sees of its encoder has nothing learned added to it.
    composed = model.attention_implementation == "eager" or (cpu and model.attention_dropout)
    known = known_of(model, training.mtp, config.lora)
    choices = known.choices
    if training.gradient_checkpointing and training.gradient_checkpointing_kind == "block":
        choices = choices._replace(again=True)
    again = kernel != "composed"
    kinds, evaluate = counted(choices, known.signs, (again, again, not composed))
    tokens = batch * write
    row = (
        batch,
        tokens,
        batch * read,
        batch * write * write,
        batch * _met(write, kernel),
        batch * read * read,
        batch * _met(read, kernel),
        batch * write * read,
        batch * write * read,
        *known.numbers,
        *[max(0, tokens - batch * (place + 1)) for place in range(known.ahead)],
    )
    micro_batches = training.gradient_accumulation_steps * Degrees.of(config).data
    found = [micro_batches * each for each in evaluate(row)]
    forward, backward, plain, met, met_backward, recomputed, recomputed_met, *each_of = found
    return Flops(
        forward=forward,
        backward=backward,
        recomputed=recomputed,
        model=forward + plain,
        hardware=met + met_backward + recomputed_met,
        tokens=micro_batches * tokens,
        parts=tuple(sorted(zip(kinds, each_of, strict=True), key=lambda part: -part[1])),
        attention=_SENTENCES[kernel],
    )


Kernel = Literal["skipping", "blocked", "fused", "composed"]

_SENTENCES: dict[Kernel, str] = {
    "skipping": "attention skips the later positions, about half of the square, and its backward "
    "pass makes the scores again",
    "blocked": "attention goes through blocks of 64 rows that skip the later positions, and its "
    "backward pass makes the scores again",
    "fused": "attention computes the whole square, and its backward pass makes the scores again",
    "composed": "attention computes the whole square and keeps the scores",
}


def _kernel(config: Config, *, cpu: bool, blocked: bool | None, documents: bool) -> Kernel:
    """The attention that runs: `workbench.models.attend` and PyTorch's own choice.

    A CPU has no fused kernel for value heads of another width, for dropout, and for scores that
    something learned is added to; a GPU has one for each.
    """
    model, length = config.model, config.data.max_length
    if model.attention_implementation == "eager":
        return "composed"
    causal = model.model_type == "decoder"
    window = model.sliding_window is not None and model.sliding_window < length
    masked = window or model.position_embedding_type == "alibi" or documents
    if not cpu:
        return "skipping" if causal and not masked else "fused"
    plain = model.attention_implementation == "auto" and not model.attention_dropout
    if blocked is None:
        narrow = config.training.mixed_precision == "bf16"
        blocked = length <= _LONGEST and (narrow or length >= _ROWS * 2)
    if causal and plain and blocked and model.position_embedding_type != "alibi":
        return "blocked"
    wide = model.mla.enabled and (
        model.mla.v_head_dim != model.mla.qk_nope_head_dim + model.mla.qk_rope_head_dim
    )
    learned = model.model_type == "t5" and not config.lora.enabled
    return "composed" if wide or learned or model.attention_dropout else "fused"


def _met(length: int, kernel: Kernel) -> int:
    """The positions of a sequence that meet each other in a kernel."""
    if kernel == "skipping":
        return length * (length + 1) // 2
    if kernel == "blocked":
        # A block of rows meets the keys up to its own end.
        return sum(
            min(_ROWS, length - row) * min(row + _ROWS, length) for row in range(0, length, _ROWS)
        )
    return length * length
