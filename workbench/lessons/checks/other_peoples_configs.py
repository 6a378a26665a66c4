"""What the lesson "Other people's configs" asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.errors import WorkbenchError
from workbench.lessons.checking import Outcome, check, fail, passed, unattempted
from workbench.lessons.checks.asking import number
from workbench.lessons.quiz import quiz

if TYPE_CHECKING:
    from workbench.dialects.base import Reading
    from workbench.lessons.evidence import Work

_DEEPSPEED: Final = {
    "training.global_batch_size": 32,
    "training.batch_size": 8,
    "training.gradient_accumulation_steps": 4,
    "training.max_gradient_norm": 1.0,
}
"""What the repaired file has to say, in the workbench's words."""
_TENSTORRENT: Final = ("training.batch_size", "training.gradient_accumulation_steps",
                       "training.max_steps", "training.learning_rate")  # fmt: skip
_OLD: Final = '"gradient_cliping": 1.0'
_SEQUENCES: Final = 64
_DEVICES: Final = 8
_ACCUMULATION: Final = 2


def _reading(work: Work, name: str) -> Reading | Outcome:
    """A foreign file of the lesson as its system reads it; else why that cannot be."""
    from workbench.dialects.opening import open_foreign
    from workbench.dialects.registry import understand

    path = work.path(name)
    if path is None:
        return unattempted(f"run the cell that writes {name} first")
    try:
        foreign, remarks = open_foreign(path)
        return understand(foreign, None, remarks)[0]
    except WorkbenchError as error:
        return fail(error.render().removeprefix("error: "))


def _objection(reading: Reading) -> str:
    """The first key that the system would refuse or ignore, and why; empty without one."""
    for remark in reading.remarks:
        if remark.verdict in ("refused", "ignored"):
            place = f"line {remark.line}, " if remark.line else ""
            return f"{place}{remark.path} is {remark.verdict}: {remark.message}"
    return ""


@check(
    "repaired",
    hints=(
        (
            "the output names three things: a key that is refused, one that is ignored, a product "
            "that is not 32"
        ),
        (
            "32 = 8 × accumulation × 1 device; the section has overlap_comm with two m; clipping "
            "has two p"
        ),
        '"gradient_accumulation_steps": 4, "overlap_comm": true, "gradient_clipping": 1.0',
    ),
)
def repaired(work: Work, file: str = "ds_config.json") -> Outcome:
    """The DeepSpeed file: nothing refused, nothing ignored, and the batch that was asked for."""
    reading = _reading(work, file)
    if isinstance(reading, Outcome):
        return reading
    text = work.text(file) or ""
    if _OLD in text and 'overlap_com"' in text and '"gradient_accumulation_steps": 2' in text:
        return unattempted(f"{file} still has its three mistakes")
    if objection := _objection(reading):
        return fail(f"{file}, {objection}")
    for key, wanted in _DEEPSPEED.items():
        found = _value(reading.layer.tree, key)
        if found != wanted:
            return fail(f"{file} says {key} = {found} in the workbench's words, not {wanted}")
    return passed("nothing is refused, nothing is ignored, and 8 × 4 × 1 = 32")


def _value(tree: dict[str, Any], path: str) -> Any:
    found: Any = tree
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


@check(
    "batch",
    hints=(
        "the table above has a rule for each; put 64 and 8 into it",
        (
            "AWS: one device's share, 64 / 8. tt-train: all chips together, 64 / 2. DeepSpeed: one "
            "device's share of one pass, 64 / 8 / 2"
        ),
    ),
)
def batch(
    work: Work, fsdp: object = None, tenstorrent: object = None, deepspeed: object = None
) -> Outcome:
    """The same number of sequences per step in three systems."""
    del work
    wanted = (
        ("AWS FSDP", fsdp, _SEQUENCES // _DEVICES, "it counts one device's, without accumulation"),
        ("tt-train", tenstorrent, _SEQUENCES // _ACCUMULATION, "it counts all chips together"),
        ("DeepSpeed", deepspeed, _SEQUENCES // _DEVICES // _ACCUMULATION,
         "it counts one pass of one device"),
    )  # fmt: skip
    for system, answer, right, rule in wanted:
        given = number(answer)
        if isinstance(given, Outcome):
            return given
        if given != right:
            return fail(f"{system}: {given:g} is not it; {rule}")
    return passed("8 × 8, 32 × 2, 4 × 2 × 8: each is 64")


@check(
    "imported",
    hints=(
        (
            "in tt.yaml the line learning_rate goes, optimizer: {type: AdamW, lr: 0.003} comes; "
            "run its cell and the import again"
        ),
        'learn.launch("from-tt", "lesson", "tt.layer.yaml")',
    ),
)
def imported(work: Work, file: str = "tt.yaml", run: str = "from-tt") -> Outcome:
    """A run with the values of the Tenstorrent file, of which nothing is ignored."""
    evidence = work.run(run)
    if evidence is None:
        return unattempted(f"there is no run named {run} yet")
    reading = _reading(work, file)
    if isinstance(reading, Outcome):
        return reading
    if objection := _objection(reading):
        return fail(f"{file}, {objection}")
    for key in _TENSTORRENT:
        theirs, ours = _value(reading.layer.tree, key), evidence.value(key)
        if theirs != ours:
            return fail(f"{run} was trained with {key} {ours}, and {file} says {theirs}")
    if refused := evidence.verify(work):
        return refused
    return passed(
        "the run has the batch, the accumulation, the steps and the rate of the foreign file",
        val_loss=evidence.val_loss,
    )


danger = quiz(
    "danger",
    "b",
    because="a refusal is seen at once; what is ignored is found by a wrong result, or never",
    wrong={
        "a": "it costs a start, and then you know",
        "c": "a translation can be looked up, and ava lint shows it",
    },
    hints=("which of the three do you hear about?",),
)
