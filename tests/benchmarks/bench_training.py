"""CPU-seconds per 1,000 tokens: the trainer's own step beside those of its peers.

    python tests/benchmarks/bench_training.py [--rounds N] [--steps N] [--nanogpt FOLDER] [--json]

Everyone trains a network of the same size on the same random tokens, in one process with one
thread, in turns: round after round each does a few steps, so that a busy machine is unfair to all
alike. A step is forward, loss, backward, clipping and fused AdamW; CPU time is the process's own.

    workbench   engine, objective and optimizer as the loop calls them
    nanoGPT     its model and the body of its loop (fp32 on a CPU; bf16 is autocast, which its
                loop does not switch on there)
    litgpt      its GPT as a Llama, its loss; bf16 is its own default on a CPU: autocast
    HF Trainer  transformers' Llama under transformers' Trainer

Mixtures of experts are in bench_moe.py. No code of a peer is in this repository. nanoGPT is cloned
when the benchmark runs, or taken from --nanogpt (a checkout); where neither works, transformers'
GPT-2 stands in and the table says so. litgpt is installed into a temporary folder, without its
dependencies: it wants an older huggingface-hub than transformers 5 does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from workbench.config.schema import Config
from workbench.data.batches import MicroBatch
from workbench.models.build import build_model
from workbench.models.init import init_weights
from workbench.training.distributed import World
from workbench.training.engines.choose import make_engine
from workbench.training.objective import Objective
from workbench.training.step import compute_gradient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
BATCH, LENGTH, LAYERS, WIDTH, HEADS, VOCAB = 8, 256, 6, 256, 8, 2048
INNER = 683
LITGPT = ("litgpt==0.5.13", "lightning", "lightning-utilities", "torchmetrics", "jsonargparse")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def tokens() -> Iterator[torch.Tensor]:
    """The same random tokens for everyone."""
    generator = torch.Generator().manual_seed(1)
    while True:
        yield torch.randint(VOCAB, (BATCH, LENGTH + 1), generator=generator)


def workbench(precision: str, **model: Any) -> tuple[int, Callable[[torch.Tensor], float]]:
    """Our step."""
    shape = {
        "hidden_size": WIDTH,
        "num_layers": LAYERS,
        "num_attention_heads": HEADS,
        "vocab_size": VOCAB,
        "max_position_embeddings": LENGTH,
    }
    config = Config.model_validate({"model": shape | model})
    network = build_model(config.model, compute_dtype=DTYPES[precision])
    init_weights(network, 0)
    engine = make_engine(Objective(network, config.training), config, torch.device("cpu"), World())

    def step(batch: torch.Tensor) -> float:
        rows = batch.numpy()
        micro = MicroBatch(np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, 1:]))
        measured = compute_gradient(engine, [micro])
        engine.update(learning_rate=1e-3, gradient_norm=measured.norm, max_norm=1.0)
        return measured.loss

    return network.num_parameters(), step


def plain_loop(
    network: torch.nn.Module,
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    precision: str,
) -> tuple[int, Callable[[torch.Tensor], float]]:
    """The body of nanoGPT's loop, which litgpt's and others resemble."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.1, fused=True)

    def step(batch: torch.Tensor) -> float:
        cast = (
            torch.autocast("cpu", dtype=torch.bfloat16)
            if precision == "bf16"
            else contextlib.nullcontext()
        )
        with cast:
            loss = loss_of(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return sum(each.numel() for each in network.parameters()), step


def nanogpt(precision: str, folder: Path | None) -> tuple[int, Callable[[torch.Tensor], float]]:
    """nanoGPT's model, or transformers' GPT-2 where it cannot be had."""
    if folder is None:
        import transformers

        network = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, vocab_size=VOCAB, n_positions=LENGTH,
                attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.0,
                bos_token_id=None, eos_token_id=None,
            )
        )  # fmt: skip
        return plain_loop(
            network,
            lambda batch: cross_entropy(
                network(batch[:, :-1]).logits.flatten(0, 1), batch[:, 1:].flatten()
            ),
            precision,
        )
    sys.path.insert(0, str(folder))
    import model as theirs

    with contextlib.redirect_stdout(sys.stderr):
        network = theirs.GPT(
            theirs.GPTConfig(
                block_size=LENGTH, vocab_size=VOCAB, n_layer=LAYERS, n_head=HEADS, n_embd=WIDTH,
                dropout=0.0, bias=False,
            )
        )  # fmt: skip
    return plain_loop(
        network, lambda batch: network(batch[:, :-1], batch[:, 1:].contiguous())[1], precision
    )


def litgpt(precision: str) -> tuple[int, Callable[[torch.Tensor], float]]:
    """litgpt's model in the shape of a Llama."""
    from litgpt.model import GPT
    from litgpt.model import Config as Shape

    network = GPT(
        Shape(
            name="bench", block_size=LENGTH, vocab_size=VOCAB, padded_vocab_size=VOCAB,
            n_layer=LAYERS, n_head=HEADS, n_embd=WIDTH, rotary_percentage=1.0, bias=False,
            parallel_residual=False, norm_class_name="RMSNorm", mlp_class_name="LLaMAMLP",
            intermediate_size=INNER,
        )
    )  # fmt: skip
    return plain_loop(
        network,
        lambda batch: cross_entropy(network(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten()),
        precision,
    )


def hf_trainer(precision: str, steps: int) -> tuple[int, Callable[[], float]]:
    """transformers' Llama under its Trainer; a round is a training of its own, warm-up excluded."""
    import transformers

    network = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
            intermediate_size=INNER, vocab_size=VOCAB, max_position_embeddings=LENGTH,
            bos_token_id=None, eos_token_id=None,
        )
    )  # fmt: skip
    rows = [
        {"input_ids": row[:-1], "labels": row[:-1]}
        for _, batch in zip(range(steps + 1), tokens(), strict=False)
        for row in batch
    ]

    class Clock(transformers.TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.marks: list[float] = []

        def on_step_end(self, *_args: Any, **_kwargs: Any) -> None:
            self.marks.append(time.process_time())

    def run() -> float:
        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            arguments = transformers.TrainingArguments(
                folder, use_cpu=True, report_to=[], save_strategy="no", logging_strategy="no",
                per_device_train_batch_size=BATCH, max_steps=steps + 1, learning_rate=1e-3,
                max_grad_norm=1.0, optim="adamw_torch_fused", bf16=precision == "bf16",
                disable_tqdm=True,
            )  # fmt: skip
            trainer = transformers.Trainer(
                network, arguments, train_dataset=rows, callbacks=[clock]
            )
            with contextlib.redirect_stdout(sys.stderr):
                trainer.train()
        return clock.marks[-1] - clock.marks[0]

    return network.num_parameters(), run


def fetch_nanogpt(given: Path | None, folder: Path) -> Path | None:
    """A checkout of nanoGPT, or None."""
    if given is not None:
        return given
    done = subprocess.run(
        ["git", "clone", "-q", "--depth", "1", "https://github.com/karpathy/nanoGPT", folder],
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    return folder if done.returncode == 0 else None


def fetch_litgpt(folder: Path) -> bool:
    """Make litgpt importable."""
    with contextlib.suppress(ImportError):
        import litgpt.model  # noqa: F401

        return True
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*pip, *LITGPT], capture_output=True, timeout=600, check=False)
    sys.path.append(str(folder))
    return done.returncode == 0


def main() -> None:
    """Measure and print, with what the done-list of the trainer promises."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3, help="in each round")
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT")
    parser.add_argument("--only", help="names that contain this")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")  # as the trainer sets it
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        report = measure(options, Path(scratch))
    print(json.dumps(report, indent=1) if options.json else table(report))


def contestants(
    options: argparse.Namespace, scratch: Path
) -> tuple[dict[str, tuple[int, Callable[[], float]]], list[str]]:
    """Name, parameters and a function that does a round and returns its CPU seconds."""
    notes = []
    checkout = fetch_nanogpt(options.nanogpt, scratch / "nanogpt")
    nano = "nanoGPT" if checkout else "GPT-2 of transformers"
    if checkout is None:
        notes.append("nanoGPT could not be fetched: transformers' GPT-2 stands in")
    has_litgpt = fetch_litgpt(scratch / "litgpt")
    if not has_litgpt:
        notes.append("litgpt could not be installed")

    gpt = {
        "position_embedding_type": "learned", "norm_type": "layernorm", "hidden_act": "gelu",
        "intermediate_size": 4 * WIDTH,
    }  # fmt: skip
    llama = {"intermediate_size": INNER, "tie_word_embeddings": False}
    found: dict[str, tuple[int, Callable[[], float]]] = {}

    def join(name: str, made: Callable[[], tuple[int, Callable[[torch.Tensor], float]]]) -> None:
        if options.only and options.only not in name:
            return
        parameters, step = made()
        stream = tokens()
        step(next(stream))

        def run() -> float:
            batches = [next(stream) for _ in range(options.steps)]
            began = time.process_time()
            for batch in batches:
                step(batch)
            return time.process_time() - began

        found[name] = parameters, run

    for precision in DTYPES:
        join(f"{nano} {precision}", lambda p=precision: nanogpt(p, checkout))
        join(f"workbench, GPT-2 shape {precision}", lambda p=precision: workbench(p, **gpt))
        if has_litgpt:
            join(f"litgpt {precision}", lambda p=precision: litgpt(p))
        if not options.only or options.only in f"HF Trainer, Llama {precision}":
            found[f"HF Trainer, Llama {precision}"] = hf_trainer(precision, options.steps)
        join(f"workbench, Llama shape {precision}", lambda p=precision: workbench(p, **llama))
    return found, notes


def measure(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """All rounds."""
    found, notes = contestants(options, scratch)
    seconds: dict[str, list[float]] = {name: [] for name in found}
    load = [os.getloadavg()[0]]
    for number in range(options.rounds):
        for name, (_, run) in found.items():
            seconds[name].append(run() * 1000 / (options.steps * BATCH * LENGTH))
        load.append(os.getloadavg()[0])
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    if max(load) > (os.cpu_count() or 1):
        notes.append(f"the machine was busy (load {max(load):.1f}): measure again when it is not")
    sha = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
        check=False,
    ).stdout.strip()  # fmt: skip
    return {
        "machine": platform.processor() or platform.machine(),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "commit": sha,
        "load": [round(each, 2) for each in load],
        "shape": f"{LAYERS} layers x {WIDTH}, {HEADS} heads, {VOCAB} tokens, {BATCH} x {LENGTH}",
        "notes": notes,
        "results": [
            {
                "name": name,
                "parameters": found[name][0],
                "median": statistics.median(values),
                "best": min(values),
                "rounds": values,
            }
            for name, values in seconds.items()
        ],
        "ratios": ratios({name: statistics.median(values) for name, values in seconds.items()}),
    }


def ratios(median: dict[str, float]) -> dict[str, float]:
    """Ours over theirs, wherever both were measured."""
    rivals = {
        "workbench, GPT-2 shape": ("nanoGPT", "GPT-2 of transformers"),
        "workbench, Llama shape": ("litgpt", "HF Trainer, Llama", "nanoGPT"),
    }
    pairs = [
        (f"{name} {mine}", f"{other} {theirs}")
        for name, others in rivals.items()
        for other in others
        for mine, theirs in (("fp32", "fp32"), ("bf16", "bf16"), ("bf16", "fp32"))
    ]
    return {
        f"{ours} / {theirs}": median[ours] / median[theirs]
        for ours, theirs in pairs
        if ours in median and theirs in median
    }


def table(report: dict[str, Any]) -> str:
    """The report for a person."""
    lines = [
        f"{report['shape']}; one thread, load {min(report['load'])} to {max(report['load'])}",
        " ".join(f"{name} {report[name]}" for name in ("torch", "transformers", "commit")),
        "",
        f"{'CPU-seconds per 1,000 tokens':44s}{'parameters':>11s}{'median':>8s}{'best':>8s}",
    ]
    lines += [
        f"{each['name']:44s}{each['parameters'] / 1e6:9.2f} M"
        f"{each['median']:8.3f}{each['best']:8.3f}"
        for each in report["results"]
    ]
    lines += ["", "median over median"]
    lines += [f"{value:6.2f}  {name}" for name, value in report["ratios"].items()]
    return "\n".join([*lines, *report["notes"]])


if __name__ == "__main__":
    main()
