"""What a person should know about one of Ava's files: faults, sizes, batch, upstream's verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.document import ScalarNode
from workbench.config.scalars import resolve_1_1
from workbench.dialects.ava.faults import GLUED, dropped
from workbench.dialects.ava.size import built
from workbench.dialects.ava.verdicts import NESTED, top, verdict
from workbench.dialects.building import dotted
from workbench.dialects.counting import size_here
from workbench.dialects.parsing import leaves
from workbench.units import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.document import Document
    from workbench.dialects.building import Builder

_MANY = 3  # keys of a section that are told about together


def of_faults(builder: Builder, document: Document) -> None:
    """Repaired text, which PyYAML refuses, and keys that stand twice, of which it drops one."""
    if any(GLUED.match(each.message) for each in builder.remarks):
        builder.refused(
            "", "train.py stops: yaml.scanner.ScannerError: mapping values are not allowed here"
        )
    for entry, values in dropped(document):
        shown = ", ".join(f"{dotted(path)}: {value}" for path, value in leaves(values))
        builder.remark(entry.key, "upstream", f"the first {entry.key!r} said {shown}", "ignored")


def of_sizes(builder: Builder) -> None:
    """The size of what upstream builds, and that of the same model here."""
    model = builder.tree.get("model")
    if not isinstance(model, dict) or "hidden_size" not in model:
        return
    counted = built(model)
    if counted is None:
        return
    here = size_here(builder)
    builder.remark(
        "model",
        "upstream",
        f"{count(counted.total)} parameters as coded ({counted.total:,}): each expert has a mask "
        f"and a gate network; {count(counted.plain)} with plain experts; one token meets "
        f"{count(counted.active)}" + (f"; here {count(here)} ({here:,})" if here else ""),
    )


def of_batch(builder: Builder) -> None:
    """Whether the batch that DeepSpeed is told holds, and on how many devices."""
    size, steps = (
        builder.ours("training.batch_size"),
        builder.ours("training.gradient_accumulation_steps", 1),
    )
    total = builder.ours("training.global_batch_size")
    if size is None or total is None:
        return
    devices, rest = divmod(total, size * steps)
    if rest or devices < 1:
        builder.remark(
            "deepspeed.train_batch_size",
            "upstream",
            f"DeepSpeed stops: train_batch_size is not equal to micro_batch_per_gpu * "
            f"gradient_acc_step * world_size: {total} is no multiple of {size} x {steps}",
            "refused",
        )
    else:
        builder.remark(
            "deepspeed.train_batch_size",
            "upstream",
            f"{total} = {size} x {steps} x {devices}: right on {devices} "
            f"{'device' if devices == 1 else 'devices'} only",
            "read",
        )


def of_numbers(builder: Builder, document: Document) -> None:
    """Scalars that PyYAML reads as something else: 3e-5 is text, no is false."""
    if document.format != "yaml":
        return
    for path, raw, value in _plain(document):
        try:
            seen = resolve_1_1(raw)
        except ValueError:
            continue
        name = dotted(path)
        if isinstance(value, int | float) and isinstance(seen, str):
            effect = ""
            if name.startswith("rlhf.ppo.") and name.endswith("learning_rate"):
                builder.refused(
                    path,
                    f"train_rlhf.py hands the text {raw!r} to AdamW: TypeError: '<=' not "
                    "supported between instances of 'float' and 'str'",
                )
            elif verdict(name)[0] == "read":
                effect = "; train.py makes a number of it"
            builder.remark(
                path, "translated", f"{raw} is text to Ava's YAML reader, a number here{effect}"
            )
        elif isinstance(value, str) and isinstance(seen, bool):
            builder.remark(
                path,
                "translated",
                f"{raw} is {str(seen).lower()} to Ava's YAML reader; the word is meant here",
            )


def _plain(document: Document) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    for path, value in leaves(document.tree):
        node = document.node(path)
        if isinstance(node, ScalarNode) and not node.style:
            yield path, document.text[node.start : node.end], value


def of_upstream(builder: Builder) -> None:
    """What Ava's programs ignore and refuse."""
    nested = [name for name in NESTED if builder.has(("training", name))]
    if nested:
        builder.ignored(
            "training",
            f"{', '.join(nested)}: below training, where train.py does not look; at the top of the "
            "file it would",
        )
    _ignored(builder)
    length, positions = (
        builder.value("data.max_length"),
        builder.value("model.max_position_embeddings"),
    )
    if isinstance(length, int) and isinstance(positions, int) and length > positions:
        builder.refused(
            "data.max_length",
            f"the model stops at the first batch: sequences of {length} tokens, and "
            f"max_position_embeddings is {positions}",
        )
    chosen = builder.value("training.optimizer", "adamw")
    if isinstance(chosen, str) and chosen.lower() not in ("adam", "adamw"):
        builder.refused(
            "training.optimizer", f"ValueError: Unsupported optimizer: {chosen.lower()}"
        )


def _ignored(builder: Builder) -> None:
    """What train.py does not read: a section at once where the reason is the same for all of it."""
    alike: dict[tuple[str, str], list[str]] = {}
    for path, _ in leaves(builder.tree):
        name = dotted(path)
        said, reason = verdict(name)
        if said == "ignored" and top(name) == name:
            alike.setdefault((name.rpartition(".")[0], reason), []).append(name)
    for (section, reason), found in alike.items():
        if len(found) < _MANY or not section:
            for name in found:
                builder.ignored(name, reason)
        else:
            names = ", ".join(name.rpartition(".")[2] for name in found)
            builder.ignored(section, f"{reason} ({names})")
