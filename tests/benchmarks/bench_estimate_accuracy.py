"""How far the ledger and other calculators are from what a training step takes.

Run it by hand: python tests/benchmarks/bench_estimate_accuracy.py [--json]. Nothing is asserted
here; tests/estimate/test_rivals.py asserts it on a few of the same plans.

The truth is the tracer: the trainer's own code, run without computing, at two depths, extrapolated
(`workbench.training.tracer.deep`). Each calculator is told what it can be told; the formulas and
their sources are in workbench/estimate/rivals. Plans are of well-known shapes, on an H100 or eight.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

from workbench.config.schema import Config  # noqa: E402
from workbench.estimate.estimate import Estimate  # noqa: E402
from workbench.estimate.rivals import answers  # noqa: E402
from workbench.hardware.devices import device  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = "ledger"

SHAPES: dict[str, dict[str, Any]] = {
    "GPT-2 124M": {
        "hidden_size": 768,
        "num_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "vocab_size": 50257,
        "hidden_act": "gelu_new",
        "norm_type": "layernorm",
        "attention_bias": True,
        "mlp_bias": True,
        "position_embedding_type": "learned",
        "tie_word_embeddings": True,
        "max_position_embeddings": 1024,
    },
    "Qwen2.5 0.5B": {
        "hidden_size": 896,
        "num_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "intermediate_size": 4864,
        "vocab_size": 151936,
        "attention_bias": True,
        "attention_out_bias": False,
        "tie_word_embeddings": True,
        "max_position_embeddings": 32768,
    },
    "TinyLlama 1.1B": {
        "hidden_size": 2048,
        "num_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "intermediate_size": 5632,
        "vocab_size": 32000,
        "tie_word_embeddings": False,
        "max_position_embeddings": 2048,
    },
    "Llama 3 8B": {
        "hidden_size": 4096,
        "num_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 128256,
        "tie_word_embeddings": False,
        "max_position_embeddings": 8192,
    },
}

_FSDP = {"parallel": {"strategy": "fsdp", "devices_per_node": 8}}
_DDP = {"parallel": {"strategy": "ddp", "devices_per_node": 8}}


class Case(NamedTuple):
    """A plan.

    Attributes:
        name: What it is.
        config: The plan.
    """

    name: str
    config: Config


class Row(NamedTuple):
    """What all say about a plan, in bytes.

    Attributes:
        name: The plan.
        truth: What the tracer finds.
        said: What each calculator says.
    """

    name: str
    truth: int
    said: dict[str, int]

    def errors(self) -> dict[str, float]:
        """How far each is off, as a share of the truth."""
        return {name: said / self.truth - 1 for name, said in self.said.items()}


def cases() -> Iterator[Case]:
    """The plans."""
    for shape, batch, length, sections in (
        ("GPT-2 124M", 4, 1024, {}),
        ("GPT-2 124M", 32, 1024, {}),
        ("GPT-2 124M", 8, 1024, _DDP),
        ("Qwen2.5 0.5B", 2, 2048, {}),
        ("TinyLlama 1.1B", 4, 2048, {}),
        ("TinyLlama 1.1B", 1, 512, {}),
        ("TinyLlama 1.1B", 4, 2048, _FSDP),
        ("Llama 3 8B", 1, 4096, _FSDP),
        ("Llama 3 8B", 2, 8192, _FSDP),
    ):
        for recomputes in (False, True):
            training = {"batch_size": batch, "mixed_precision": "bf16"}
            engine = sections.get("parallel", {}).get("strategy", "one device")
            name = f"{shape}, {batch} × {length}, {engine}" + (", recomputed" * recomputes)
            yield Case(
                name,
                Config.model_validate(
                    {
                        "model": SHAPES[shape],
                        "training": training | {"gradient_checkpointing": recomputes},
                        "data": {"max_length": length},
                        **sections,
                    }
                ),
            )


def row(case: Case) -> Row:
    """The truth and all answers for a plan."""
    from workbench.training.tracer.deep import trace_deep

    hardware = device("h100_80gb")
    said = {OURS: Estimate.of(case.config, hardware).memory.allocated}
    said |= {answer.name: answer.bytes for answer in answers(case.config, hardware)}
    return Row(case.name, int(trace_deep(case.config, hardware)["peak"]), said)


def summary(rows: list[Row]) -> dict[str, tuple[float, float]]:
    """Median and largest error of each, regardless of its direction."""
    errors = [each.errors() for each in rows]
    return {
        name: (
            statistics.median(abs(each[name]) for each in errors if name in each),
            max(abs(each[name]) for each in errors if name in each),
        )
        for name in rows[0].said
    }


def main() -> None:
    """Print the table."""
    rows = [row(case) for case in cases()]
    if "--json" in sys.argv:
        print(json.dumps([each._asdict() for each in rows], indent=2))
        return
    names = list(rows[0].said)
    print(f"{'plan':<44}{'GiB':>7}" + "".join(f"{name:>14}" for name in names))
    for each in rows:
        errors = each.errors()
        print(
            f"{each.name:<44}{each.truth / 2**30:>7.2f}"
            + "".join(f"{errors[name]:>+14.2%}" for name in names)
        )
    found = summary(rows)
    for number, word in enumerate(("median", "largest")):
        print(f"{word:<51}" + "".join(f"{found[name][number]:>14.2%}" for name in names))


if __name__ == "__main__":
    main()
