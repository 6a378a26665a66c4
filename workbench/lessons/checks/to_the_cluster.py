"""What the lesson "To the cluster" asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from workbench.lessons.checking import Outcome, check, fail, passed, unattempted
from workbench.lessons.checks.asking import differing, number
from workbench.lessons.quiz import quiz

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.lessons.evidence import Work

_NODES: Final = 4
_DEVICES: Final = 8
_SEQUENCES: Final = 256
_MICRO: Final = 8
_PLACES: Final = ("parallel.num_nodes", "parallel.devices_per_node", "parallel.strategy",
                  "training.gradient_accumulation_steps", "training.global_batch_size",
                  "run.device")  # fmt: skip
"""What may differ between a job and its rehearsal: where it runs, and how a step is divided."""
_ASKED: Final = (1, 2, 4, 8)


def _config(folder: Path) -> dict[str, Any] | None:
    """The resolved values of an exported job, by path; None when there is no such job."""
    from workbench.runs.compare import flat
    from workbench.runs.files import read_json

    tree = read_json(folder / "config.resolved.json").get("config")
    return flat(tree) if isinstance(tree, dict) else None


def _sequences(values: dict[str, Any]) -> tuple[int, str]:
    """Sequences per step of a job without model parallelism, and the product that makes them."""
    factors = [
        values["training.batch_size"],
        values["training.gradient_accumulation_steps"],
        values["parallel.num_nodes"] * values["parallel.devices_per_node"],
    ]
    product = factors[0] * factors[1] * factors[2]
    return product, f"{' × '.join(str(each) for each in factors)} = {product} sequences per step"


@check(
    "job",
    hints=(
        "8 × accumulation × 32 devices has to be 256",
        "num_nodes: 4 and gradient_accumulation_steps: 1; run the cell of the file, then export",
        (
            "the command is that of the cell for two nodes, with the path of big.yaml for "
            "{two_nodes}, and {big_job} for {job}"
        ),
    ),
)
def job(work: Work, folder: str = "big-job") -> Outcome:
    """A Slurm job for 4 nodes of 8 devices, with the steps of the plan for one node."""
    script = work.path(f"{folder}/run.sbatch")
    if script is None:
        return unattempted(f"there is no {folder}/run.sbatch yet")
    values = _config(script.parent)
    if values is None:
        return fail(f"{folder} has no config.resolved.json that can be read: export once more")
    asked = {
        name: int(found[1]) if (found := re.search(pattern, script.read_text())) else None
        for name, pattern in (
            ("nodes", r"--nodes=(\d+)"),
            ("devices per node", r"--nproc-per-node=(\d+)"),
        )
    }
    if wrong := _wrong(values, asked):
        return fail(wrong)
    return passed(f"{_NODES} nodes, {_sequences(values)[1]}", **asked)


def _wrong(values: dict[str, Any], asked: dict[str, int | None]) -> str:
    """What is wrong with the job; empty when nothing is."""
    for (name, found), wanted in zip(asked.items(), (_NODES, _DEVICES), strict=True):
        if found != wanted:
            return f"the script asks for {found} {name}, and {wanted} are asked for here"
    if (values["parallel.num_nodes"], values["parallel.devices_per_node"]) != (_NODES, _DEVICES):
        return "the config beside the script is for other machines than the script: export again"
    if values["training.batch_size"] != _MICRO:
        return f"the micro-batch is {values['training.batch_size']}, and was to stay {_MICRO}"
    product, words = _sequences(values)
    return "" if product == _SEQUENCES else f"{words}, and {_SEQUENCES} are asked for"


@check(
    "rehearsal",
    hints=(
        "the job has 8 × 1 × 4 sequences per step; one device has to accumulate for the others",
        "num_nodes=1, devices_per_node=1, gradient_accumulation_steps=4",
        (
            'learn.launch("rehearsal", str(job / "config.yaml"), num_nodes=1, devices_per_node=1, '
            "gradient_accumulation_steps=4)"
        ),
    ),
)
def rehearsal(work: Work, run: str = "rehearsal", folder: str = "two-nodes-job") -> Outcome:
    """The job's steps, trained on one device."""
    evidence = work.run(run)
    if evidence is None:
        return unattempted(f"there is no run named {run} yet")
    values = _config(work.folder / folder)
    if values is None:
        return fail(f"run the cell that writes {folder} first: the run is compared with it")
    if wrong := _other_steps(evidence.values, values):
        return fail(f"{run} is not that job: {wrong}")
    if refused := evidence.verify(work):
        return refused
    return passed(
        f"{_sequences(values)[0]} sequences per step, as the job has, on one device",
        val_loss=evidence.val_loss,
    )


def _other_steps(here: dict[str, Any], there: dict[str, Any]) -> str:
    """Why a run on one device does not take the steps of a job; empty when it does."""
    if strays := [key for key in differing(here, there) if key not in _PLACES]:
        return f"{strays[0]} is {here.get(strays[0])!r} in it, not {there.get(strays[0])!r}"
    devices = here["parallel.num_nodes"] * here["parallel.devices_per_node"]
    if devices != 1:
        return f"it is for {devices} devices, and one is asked for"
    mine, theirs = _sequences(here), _sequences(there)
    return "" if mine[0] == theirs[0] else f"{mine[1]}, and the job has {theirs[0]}"


@check(
    "nodes",
    hints=("the smallest number in the column cost, and the smallest in the column hours",),
)
def nodes(work: Work, cheapest: object = None, fastest: object = None) -> Outcome:
    """Which numbers of nodes cost least money and least time, by the estimate itself."""
    del work
    money = number(cheapest)
    if isinstance(money, Outcome):
        return money
    time = number(fastest)
    if isinstance(time, Outcome):
        return time
    hours, dollars = _table()
    cheap, quick = min(dollars, key=dollars.__getitem__), min(hours, key=hours.__getitem__)
    if money == cheap and time == quick:
        return passed(f"{cheap} costs least, {quick} is done first: you have to choose")
    if money == quick and time == cheap:
        return fail("these two are the other way round")
    wrong, what = (money, "cost") if money != cheap else (time, "hours")
    return fail(f"{wrong:g} nodes do not have the smallest number in the column {what}")


def _table() -> tuple[dict[int, float], dict[int, float]]:
    """Hours and dollars of the lesson's table, by nodes."""
    from workbench.plan import plan_from

    hours, dollars = {}, {}
    for count in _ASKED:
        keys = {
            "parallel.num_nodes": count, "parallel.devices_per_node": 8,
            "parallel.strategy": "fsdp", "training.gradient_checkpointing": "true",
            "training.batch_size": 1, "training.gradient_accumulation_steps": 8 // count,
            "training.max_steps": 10_000, "data.max_length": 4096,
            "run.hardware": "p5.48xlarge",
        }  # fmt: skip
        text = {key: str(value) for key, value in keys.items()}
        estimate = plan_from(layers=["models/llama3_1_8b"], overrides=text).estimate
        assert estimate is not None, "shipped layers are a valid plan"
        assert estimate.time is not None, "the figures of the device are known"
        assert estimate.cost is not None, "its price is known"
        hours[count], dollars[count] = estimate.time.likely, estimate.cost.likely
    return hours, dollars


devices = quiz(
    "devices",
    "b",
    because="the devices are a factor of the batch: 1,000 steps have read twice the text",
    wrong={
        "a": "each device computes as exactly as before; there are only more of them",
        "c": "chance is small beside a doubled batch; look at the equation first",
    },
    hints=("write down the equation for both jobs",),
)
