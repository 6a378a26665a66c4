"""A short real run of a plan on this machine, and what it measured beside what was predicted.

The plan is launched as any run is: its own process, its own directory, the trainer's own loop. Its
text is replaced by the embedded one, so that every sequence has its full length, and it is ended
after a few steps, without a checkpoint. Like is compared with like: tensors with tensors where
torch counts them, which it does on a GPU, and the process with the process elsewhere.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.errors import UsageError
from workbench.estimate.calibration import constants, efficiency, flops_reached, rows_of
from workbench.estimate.estimate import Estimate
from workbench.plan import Plan
from workbench.runs.short import WARM_UP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.calibration import Constants, Row
    from workbench.estimate.speed import Efficiency
    from workbench.runs.directory import RunDir
    from workbench.runs.short import Short

_TIMED = "median of the timed steps"

_PROBE: dict[str, Any] = {
    "model.model_type": "decoder",
    "model.hidden_size": 16,
    "model.num_layers": 1,
    "model.num_attention_heads": 1,
    "model.intermediate_size": 16,
    "model.vocab_size": 256,
    "model.max_position_embeddings": 16,
    "data.max_length": 16,
    "training.batch_size": 1,
}
"""A network of next to nothing: what its process takes, any process takes."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was predicted, and what it came to.

    Attributes:
        name: What it is.
        unit: ``bytes``, ``tokens/s`` or ``s``.
        predicted: The prediction; None where there is none.
        measured: The measurement; None where nothing measures it here.
        compared: What stands on the two sides, in words.
    """

    name: str
    unit: str
    predicted: float | None
    measured: float | None
    compared: str

    @property
    def error(self) -> float | None:
        """How far the prediction is off, as a share of what was measured."""
        if self.predicted is None or not self.measured:
            return None
        return self.predicted / self.measured - 1


@dataclass(frozen=True, slots=True)
class Measurement:
    """A short run beside its prediction.

    Attributes:
        run: The run; its directory is gone unless it was to be kept.
        kept: Whether it is still there.
        steps: Steps that were done.
        hardware: The device.
        precision: Number format of the products, as the trainer said.
        figures: What is compared.
        before: What was known of the machine, and went into the prediction.
        after: What is known now.
        file: Where the history is.
        notes: What else to know, a sentence each.
    """

    run: RunDir
    kept: bool
    steps: int
    hardware: HardwareProfile
    precision: str
    figures: tuple[Figure, ...]
    before: Constants
    after: Constants
    file: Path
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The measurement as JSON-ready data."""
        return {
            "run": str(self.run.path) if self.kept else None,
            "steps": self.steps,
            "hardware": self.hardware.name,
            "device": self.hardware.title,
            "precision": self.precision,
            "figures": {
                each.name: {
                    "unit": each.unit,
                    "predicted": each.predicted,
                    "measured": each.measured,
                    "error": each.error,
                    "compared": each.compared,
                }
                for each in self.figures
            },
            "constants_before": self.before.to_dict(),
            "constants": self.after.to_dict(),
            "history": str(self.file),
            "notes": list(self.notes),
        }


class Known(NamedTuple):
    """What is known of this machine for a plan.

    Attributes:
        hardware: Its device, with a peak where one was measured.
        measured: What trainings like the plan reached; None where nothing was measured.
        context: Bytes of a process beside what torch holds; None likewise.
    """

    hardware: HardwareProfile
    measured: Efficiency | None
    context: int | None


def known_here(config: Config, hardware: HardwareProfile) -> Known:
    """What this machine has shown so far.

    Args:
        config: The plan.
        hardware: This machine's device.
    """
    from workbench.runs.measured import history, this_machine

    rows = rows_of(history(this_machine()))
    return Known(*efficiency(rows, hardware, config), constants(rows, hardware).context)


def measure(
    plan: Plan,
    *,
    steps: int = 5,
    keep: bool = False,
    told: Callable[[str], None] = lambda _: None,
) -> Measurement:
    """Run a plan for a few steps on this machine and compare.

    Args:
        plan: The plan.
        steps: How many; the first two are not timed.
        keep: Whether the run stays in ``run.runs_dir``; else it is made in a temporary folder.
        told: Called with what is going on, a line each.

    Raises:
        WorkbenchError: The plan has errors, the run fails, or nothing can be kept.
    """
    from workbench.hardware.devices import device
    from workbench.hardware.here import with_memory
    from workbench.runs import measured

    if steps < 1:
        raise UsageError("a measurement takes one step at least", fix="--steps 5")
    hardware = with_memory(device("cpu") if plan.config.run.device == "cpu" else None)
    cpu = hardware.kind == "cpu"
    machine = measured.this_machine()
    rows = rows_of(measured.history(machine))
    before = constants(rows, hardware)
    with _runs_dir(plan, keep=keep) as folder:
        if before.context is None and cpu:
            told(
                "what a process takes by itself is not known here yet: two steps of a tiny network"
            )
            probe = _short_run(_probe(plan, folder), 2, hardware)
            measured.remember(_row(probe, machine, hardware, probe=True))
            rows = rows_of(measured.history(machine))
            before = constants(rows, hardware)
        told(f"training {steps} steps of the plan")
        done = _short_run(_worst_case(plan, folder), steps, hardware)
        prediction = _prediction(done.config, hardware, rows)
        file = measured.remember(_row(done, machine, hardware) | _beside(prediction, done, before))
    after = constants(rows_of(measured.history(machine)), hardware)
    figures = tuple(_figures(prediction, done, before))
    return Measurement(
        done.run,
        keep,
        done.short.steps,
        hardware,
        done.short.precision,
        figures,
        before,
        after,
        file,
        tuple(_notes(plan, prediction, done)),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """A short run, its config, and what it measured.

    Attributes:
        run: Its directory.
        config: Its config.
        short: What it measured.
        cpu: Whether a CPU computed.
    """

    run: RunDir
    config: Config
    short: Short
    cpu: bool

    @property
    def process(self) -> int | None:
        """Bytes of the process, on the device that computed."""
        return self.short.host if self.cpu else self.short.taken


@contextlib.contextmanager
def _runs_dir(plan: Plan, *, keep: bool) -> Iterator[str]:
    if keep:
        yield plan.config.run.runs_dir
        return
    with tempfile.TemporaryDirectory(prefix="ava-measure-") as folder:
        yield folder


def _with(plan: Plan, values: dict[str, Any]) -> Plan:
    from workbench.draft import Draft

    draft = Draft(plan)
    draft.put({path: value for path, value in values.items() if draft.value(path) != value})
    return draft.plan


def _worst_case(plan: Plan, folder: str) -> Plan:
    """The plan on a text that fills every sequence."""
    values: dict[str, Any] = {"run.runs_dir": folder, "training.logging_steps": 1}
    if plan.config.data.format == "text":
        values |= {
            "data.path": None,
            "data.dataset_name": None,
            "data.mixture": None,
            "data.eval_path": None,
            "data.tokenizer_name": "bytes",
        }
    return _with(plan, values)


def _probe(plan: Plan, folder: str) -> Plan:
    """A network of next to nothing in a process like the plan's."""
    from workbench.config.layers import Layer, compose

    tree: dict[str, Any] = {"training": {"logging_steps": 1}}
    for path, value in (_PROBE | {"run.runs_dir": folder, "run.name": "probe"}).items():
        section, name = path.split(".")
        tree.setdefault(section, {})[name] = value
    tree["run"]["device"] = plan.config.run.device
    tree["run"]["threads"] = plan.config.run.threads
    return Plan(compose([Layer("probe", tree)]))


def _short_run(plan: Plan, steps: int, hardware: HardwareProfile) -> _Run:
    """Launch a plan, end it after some steps, and read what it wrote.

    Raises:
        WorkbenchError: It failed.
    """
    from workbench.runs.short import follow_short

    before = _free(hardware)
    run = plan.launch(command=["ava", "measure"])
    short = follow_short(run, steps, lambda: _free(hardware), before)
    return _Run(run, plan.config, short, hardware.kind == "cpu")


def _free(hardware: HardwareProfile) -> int | None:
    """Free bytes of the first card, as its driver counts; None without one."""
    from workbench.hardware import nvml

    if hardware.kind != "cuda":
        return None
    try:
        cards = nvml.cards()
    except nvml.NvmlError:
        return None
    return cards[0].free_bytes if cards else None


def _prediction(config: Config, hardware: HardwareProfile, rows: list[Row]) -> Estimate:
    known, reached = efficiency(rows, hardware, config)
    return Estimate.of(config, known, measured=reached)


def _row(
    done: _Run, machine: str, hardware: HardwareProfile, *, probe: bool = False
) -> dict[str, Any]:
    """What is kept of a run."""
    short = done.short
    per_second, per_token = flops_reached(done.config, short.step_seconds, cpu=done.cpu)
    held = short.reserved
    if done.cpu:
        held = Estimate.of(done.config, hardware).memory.allocated
    context = None if done.process is None or held is None else max(0, done.process - held)
    return {
        "t": time.time(),
        "machine": machine,
        "hardware": hardware.name,
        "precision": short.precision,
        "torch": short.torch,
        "probe": probe,
        "steps": short.steps,
        "step_seconds": short.step_seconds,
        "tokens_per_second": short.tokens_per_second,
        "flops_per_second": per_second,
        "flops_per_token": per_token,
        "context": context,
        "allocated": short.allocated,
        "reserved": short.reserved,
        "process": done.process,
    }


def _beside(prediction: Estimate, done: _Run, known: Constants) -> dict[str, Any]:
    """What was predicted, for the history."""
    return {
        "batch": prediction.batch.equation(),
        "parameters": prediction.size.total,
        "predicted": {each.name: each.predicted for each in _figures(prediction, done, known)},
    }


def _figures(prediction: Estimate, done: _Run, known: Constants) -> Iterator[Figure]:
    memory, speed, short = prediction.memory, prediction.speed, done.short
    held = memory.allocated
    if done.cpu:
        words = "largest resident memory; the ledger's tensors and what any process takes here"
        whole = None if known.context is None else held + known.context
        yield Figure("process", "bytes", whole, done.process, words)
    else:
        yield Figure("allocated", "bytes", held, short.allocated, "tensors, as torch counts them")
        yield Figure(
            "reserved", "bytes", memory.reserved, short.reserved, "what torch holds of the GPU"
        )
        whole = memory.process
        if memory.reserved is not None and known.context is not None:
            whole = memory.reserved + known.context
        yield Figure("process", "bytes", whole, done.process, "what the driver counts as taken")
    rate = None if speed is None else speed.tokens_per_second.likely
    yield Figure("tokens/s", "tokens/s", rate, short.tokens_per_second, _TIMED)
    seconds = None if speed is None else speed.step_seconds.likely
    yield Figure("step", "s", seconds, short.step_seconds, _TIMED)


def _notes(plan: Plan, prediction: Estimate, done: _Run) -> Iterator[str]:
    short, memory = done.short, prediction.memory
    if memory.setting.precision != short.precision:
        said = memory.setting.precision
        yield f"predicted for {said}, and the trainer computed in {short.precision}"
    if plan.config.data.format != "text":
        yield "the plan's own records: sequences may be shorter than data.max_length"
    if short.steps <= WARM_UP:
        yield "so few steps say little of the speed: the first two are the slowest"
    if prediction.speed is None:
        yield "this was the first run here: the next one has a speed to compare with"
