"""What a training token costs a mixture of experts, beside transformers' Mixtral and DeepSeek.

Run it by hand: python tests/benchmarks/bench_moe.py [repeats] [threads]. Nothing is asserted.

Both sides have the same weights, text and precision, and the first loss is compared. One turn is
forward, loss, backward and freeing the gradients; turns alternate, so that a busy moment hits all
alike, and CPU-seconds are counted, so that waiting costs nothing. bf16 means fp32 weights and bf16
products on both sides: theirs by autocast, ours by explicit casts. Theirs runs as it is plainly
written (``eager`` attention and experts) and as fast as it can (``sdpa`` and ``grouped_mm``). The
heap is kept as a launched trainer keeps it (runs/launcher.py), for all of them.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    Turn = Callable[[torch.Tensor], float]

GOAL = 0.6
_WARM = 2


class Case(NamedTuple):
    """A network and a batch."""

    name: str
    kind: str
    sequences: int
    length: int
    options: dict[str, Any]


MIXTRAL = {
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 896,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "vocab_size": 4096,
}
DEEPSEEK = {
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "intermediate_size": 896,
    "moe_intermediate_size": 128,
    "n_routed_experts": 32,
    "n_shared_experts": 1,
    "num_experts_per_tok": 4,
    "n_group": 4,
    "topk_group": 2,
    "first_k_dense_replace": 1,
    "kv_lora_rank": 64,
    "q_lora_rank": 96,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,
    "v_head_dim": 32,
    "vocab_size": 4096,
    "num_nextn_predict_layers": 0,
}
CASES = (
    Case("Mixtral, its own 8 experts, 2 of them", "Mixtral", 4, 256, MIXTRAL),
    Case(
        "Mixtral, 16 experts, 2 of them",
        "Mixtral",
        4,
        256,
        MIXTRAL | {"num_local_experts": 16},
    ),
    Case(
        "Mixtral, 32 experts of a quarter, 8 of them",
        "Mixtral",
        4,
        256,
        MIXTRAL | {"intermediate_size": 224, "num_local_experts": 32, "num_experts_per_tok": 8},
    ),
    Case("DeepSeek-V3, 32 experts, 4 of them, latent attention", "DeepseekV3", 4, 256, DEEPSEEK),
)


def main(repeats: int, threads: int) -> None:
    """Time every case in both precisions."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(threads)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(
        f"torch {torch.__version__}, transformers {transformers.__version__}, {threads} threads, "
        f"{os.cpu_count()} CPUs, load {load}"
    )
    for case in CASES:
        for precision in (torch.float32, torch.bfloat16):
            _compare(case, precision, repeats)
    print(f"load at the end {', '.join(f'{each:.1f}' for each in os.getloadavg())}")


def _compare(case: Case, precision: torch.dtype, repeats: int) -> None:
    import torch

    # New text every turn, as in training: each expert then has another number of rows.
    texts = [
        torch.randint(
            case.options["vocab_size"],
            (case.sequences, case.length + 1),
            generator=torch.Generator().manual_seed(seed),
        )
        for seed in range(repeats + _WARM)
    ]
    eager = _theirs(case, "eager", "eager")
    fast = _theirs(case, "sdpa", "grouped_mm")
    fast.load_state_dict(eager.state_dict())
    turns: dict[str, Turn] = {
        "ours": _our_turn(eager, precision),
        "transformers, eager": _their_turn(eager, precision),
        "transformers, sdpa and grouped_mm": _their_turn(fast, precision),
    }
    losses = {name: min(turn(text) for text in texts[:_WARM]) for name, turn in turns.items()}
    took: dict[str, list[float]] = {name: [] for name in turns}
    for text in texts[_WARM:]:
        for name, turn in turns.items():
            began = time.process_time()
            turn(text)
            took[name].append(time.process_time() - began)
    tokens = case.sequences * case.length
    size = sum(each.numel() for each in eager.parameters()) / 1e6
    word = str(precision).removeprefix("torch.")
    print(f"\n{case.name}; {size:.1f} M parameters, {tokens} tokens, {word}")
    middle = {name: statistics.median(times) for name, times in took.items()}
    for name, seconds in middle.items():
        ratio = middle["ours"] / seconds
        goal = f"   goal ≤ {GOAL}" if "eager" in name and case.kind == "Mixtral" else ""
        print(
            f"  {name:<35}{1e6 * seconds / tokens:8.1f} CPU-µs a token   loss {losses[name]:.4f}"
            f"   ours is × {ratio:.2f}{goal}"
        )


def _theirs(case: Case, attention: str, experts: str) -> Any:
    import torch
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{case.kind}Config")(
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        attn_implementation=attention,
        experts_implementation=experts,
        **case.options,
    )
    return getattr(transformers, f"{case.kind}ForCausalLM")(config).float().train()


def _their_turn(model: Any, precision: torch.dtype) -> Turn:
    import torch

    def turn(text: torch.Tensor) -> float:
        given, targets = text[:, :-1].contiguous(), text[:, 1:].contiguous()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            loss = model(given, labels=targets, shift_labels=targets).loss
        loss.backward()
        model.zero_grad(set_to_none=True)
        return float(loss.detach())

    return turn


def _our_turn(theirs: Any, precision: torch.dtype) -> Turn:
    from workbench.config.schema import TrainingConfig
    from workbench.models.base import Batch
    from workbench.models.build import build_model
    from workbench.models.huggingface import config_from_hf, load_pretrained
    from workbench.models.huggingface.configs import model_config
    from workbench.models.init import init_weights
    from workbench.training.objective import Objective

    keys = config_from_hf(theirs.config.to_dict()) | {"router_aux_loss_coef": 0.0}
    model = build_model(model_config(keys), compute_dtype=precision)
    init_weights(model, 0)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        load_pretrained(model, folder)
    objective = Objective(model.train(), TrainingConfig())

    def turn(text: torch.Tensor) -> float:
        batch = Batch(text[:, :-1], text[:, 1:])
        losses = objective(batch)
        loss = (losses.loss_sum + losses.auxiliary) / batch.targets_BT.numel()
        loss.backward()
        objective.zero_grad(set_to_none=True)
        return float(loss.detach())

    return turn


if __name__ == "__main__":
    from workbench.runs.launcher import HEAP

    if not HEAP.keys() <= os.environ.keys():  # glibc reads them once, when a process begins
        os.execve(sys.executable, [sys.executable, *sys.argv], HEAP | os.environ)  # noqa: S606
    asked = [int(each) for each in sys.argv[1:]]
    main(*(asked + [5, 1][len(asked) :]))
