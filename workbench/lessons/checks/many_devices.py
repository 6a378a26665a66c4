"""What the lesson "Many devices" asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lessons.checking import Outcome, check, fail, unattempted
from workbench.lessons.checks.asking import besides, close, pair, room
from workbench.lessons.quiz import quiz

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.lessons.evidence import RunEvidence, Work

_BATCH, _DEVICES = "training.batch_size", "parallel.devices_per_node"
_SEQUENCES = 64


@check(
    "two",
    hints=(
        "the key for the devices is devices_per_node; the batch on each of them is batch_size",
        "4 sequences × 1 accumulation × 2 devices",
        'learn.launch("two", "lesson", "--run.device", "cpu", batch_size=4, devices_per_node=2)',
    ),
)
def two(work: Work, run: str = "two", base: str = "first") -> Outcome:
    """The first run's steps on two devices."""
    found = pair(work, run, base)
    if isinstance(found, Outcome):
        return found
    evidence, first = found
    free = ("run.device", "parallel.strategy")
    return (
        _not_shared(evidence)
        or besides(evidence, first, _BATCH, _DEVICES, of_course=free)
        or evidence.verify(work)
        or close(evidence, first)
    )


def _not_shared(evidence: RunEvidence) -> Outcome | None:
    devices, batch = evidence.value(_DEVICES), evidence.value(_BATCH)
    if devices != 2:
        words = "one device" if devices == 1 else f"{devices} devices"
        return fail(f"{evidence.name} was trained on {words}, and two are asked for")
    sequences = batch * devices * evidence.value("training.gradient_accumulation_steps")
    if sequences != 8:
        return fail(f"a step of {evidence.name} sees {sequences} sequences, and that of first 8")
    return None


@check(
    "cluster",
    hints=(
        "two nodes: num_nodes: 2. Then 16 devices × batch_size × accumulation have to be 64",
        "strategy: fsdp shares out the weights",
        "in a section fsdp, sharding_strategy: hybrid does it within each node",
        "batch_size: 1 with gradient_accumulation_steps: 4 leaves enough room",
    ),
)
def cluster(work: Work, file: str = "cluster.yaml") -> Outcome:
    """A plan for two nodes that fits, and keeps the weights at home."""
    if work.untouched(file):
        return unattempted(f"{file} is as the lesson has it")
    plan = work.config(file)
    assert plan is not None, "a file that is not there is untouched"
    return _other_work(plan.config) or _travels(plan.config) or room(plan, "h100_80gb")


def _other_work(config: Config) -> Outcome | None:
    """Whether it is another training than the one that is asked for."""
    from workbench.config.degrees import Degrees
    from workbench.estimate.batch import Batch
    from workbench.plan import plan_from

    if config.model != plan_from(layers=["models/llama3_1_8b"]).config.model:
        return fail("the model is another one, and it should stay as it is")
    if config.data.max_length != 4096:
        return fail(f"a sequence has {config.data.max_length} tokens, and 4,096 are asked for")
    nodes, devices = config.parallel.num_nodes, config.parallel.devices_per_node
    if (nodes, devices) != (2, 8):
        return fail(f"it runs on {nodes} × {devices} devices, and you have two nodes of 8")
    found = Batch.of(config, Degrees.of(config).data).sequences
    if found != _SEQUENCES:
        return fail(f"a step sees {found} sequences, and {_SEQUENCES} are asked for")
    return None


def _travels(config: Config) -> Outcome | None:
    """Whether weights travel between the nodes, or something is offloaded."""
    section = config.deepspeed
    offload = (section.offload_optimizer.device, section.offload_param.device)
    if (
        config.fsdp.cpu_offload
        or section.cpu_offload
        or any(d not in (None, "none") for d in offload)
    ):
        return fail("nothing is to be offloaded")
    if section.enabled and section.zero_stage == 3:
        return fail("ZeRO 3 fetches weights from all devices, so also from the other node")
    if config.parallel.strategy == "fsdp" and config.fsdp.sharding_strategy == "full":
        return fail("full sharding fetches weights from all devices, so also from the other node")
    return None


q1 = quiz(
    "q1",
    "b",
    because="batch_size counts for one device, so eight times the devices made another training of "
    "it; lower batch_size, or raise the learning rate and watch it",
    wrong={
        "a": "an all-reduce delivers everything or fails with an error",
        "c": "you have seen how close two devices come to one: only rounding differs",
    },
    hints=("write down the batch equation for 8 and for 64 devices",),
)
