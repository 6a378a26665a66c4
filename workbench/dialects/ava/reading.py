"""Reading Ava's files: the layered presets, and the result of its learning-rate search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.document import Document, ScalarNode
from workbench.config.keys import keys
from workbench.config.scalars import resolve_1_1
from workbench.config.size import size_of
from workbench.dialects.ava.faults import GLUED, as_given, dropped
from workbench.dialects.ava.known import known
from workbench.dialects.ava.meanings import claims, why_not
from workbench.dialects.ava.size import built
from workbench.dialects.ava.verdicts import NESTED, top, verdict
from workbench.dialects.base import Guess
from workbench.dialects.building import ABSENT, Builder, To, dotted
from workbench.dialects.claims import Claim, Claims, carry
from workbench.dialects.parsing import leaves, parse, peek
from workbench.units import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.dialects.base import Foreign, Reading

SYSTEM = "ava"
KIND = "_kind"
SEARCH = "lr_finder"
"""The kind of file that the learning-rate search writes, as it travels under `KIND`."""

_SIGNS = {
    "enhanced_features": 0.6,
    "run_management": 0.4,
    "stability": 0.3,
    "fp8_training": 0.3,
    "rlhf": 0.3,
    "lr_finder": 0.3,
    "generation": 0.2,
    "performance": 0.2,
}
_MANY = 3  # keys of a section that are told about together
MEANT = {"norm_type": "layernorm", "hidden_act": "gelu", "tie_word_embeddings": False}
"""What Ava's code does where a file does not say it."""


def recognise(foreign: Foreign) -> Guess | None:
    """How much a text looks like one of Ava's files."""
    tree = peek(foreign)
    if not tree:
        return None
    if _is_search(tree):
        return Guess(0.95, "it is the result of Ava's learning-rate search: recommendation.lr")
    inner = tree.get("training")
    if not isinstance(inner, dict):
        inner = {}
    found = {name: score for name, score in _SIGNS.items() if name in tree or name in inner}
    deepspeed = tree.get("deepspeed", inner.get("deepspeed"))
    if isinstance(deepspeed, dict) and {"use_deepspeed", "precision_type"} & set(deepspeed):
        found["deepspeed.use_deepspeed"] = 0.5
    if found:
        score = min(0.95, 0.35 + sum(found.values()))
        names = ", ".join(list(found)[:3])
        return Guess(
            score, f"it has Ava's sections {names}" if len(found) > 1 else f"it has {names}"
        )
    return _by_keys(tree)


def _by_keys(tree: dict[str, Any]) -> Guess | None:
    paths = [top(".".join(path)) for path, _ in leaves(tree)]
    ours = [path for path in paths if path in known()]
    sections = [name for name in ("model", "training", "data", "deepspeed") if name in tree]
    if not ours or not sections or len(ours) < 0.5 * len(paths):
        return None
    share = len(ours) / len(paths)
    return Guess(0.5 * share, f"{len(ours)} of its {len(paths)} keys are Ava's")


def read(foreign: Foreign) -> Reading:
    """Understand a file."""
    document, told = parse(foreign, last_wins=True)
    marks, told = as_given(document, told)
    builder = Builder(SYSTEM, foreign, document.tree, marks, told)
    if _is_search(document.tree):
        return _read_search(builder)
    _faults(builder, document)
    travel = Claims(claims([".".join(path) for path, _ in builder.left()])).read(builder)
    _architecture(builder)
    _sizes(builder)
    _batch(builder)
    _numbers(builder, document)
    _upstream(builder)
    for path, _ in list(builder.left()):
        builder.keep(path, why_not(dotted(path)))
    reading = builder.reading()
    meant = {("model", name): builder.value(("model", name)) for name in MEANT}
    carry(reading, travel | {path: value for path, value in meant.items() if value is not ABSENT})
    return reading


def _is_search(tree: dict[str, Any]) -> bool:
    found = tree.get("recommendation")
    return isinstance(found, dict) and "lr" in found and "methods" in tree


def _read_search(builder: Builder) -> Reading:
    """What the learning-rate search found: one rate, and how it came about."""
    claim = Claims(claims_of_search())
    travel = claim.read(builder)
    sure = builder.value("recommendation.confidence", "unknown")
    builder.assume("recommendation.lr", f"the rate that the search recommends; confidence {sure}")
    reading = builder.reading(rest="how the search came to its rate")
    carry(reading, travel | {(KIND,): SEARCH})
    return reading


def claims_of_search() -> list[Claim]:
    """The one key of a search's result that a plan has."""
    return [Claim("recommendation.lr", To("training.learning_rate"))]


def _faults(builder: Builder, document: Document) -> None:
    """Repaired text, which PyYAML refuses, and keys that stand twice, of which it drops one."""
    if any(GLUED.match(each.message) for each in builder.remarks):
        builder.refused(
            "", "train.py stops: yaml.scanner.ScannerError: mapping values are not allowed here"
        )
    for entry, values in dropped(document):
        shown = ", ".join(f"{dotted(path)}: {value}" for path, value in leaves(values))
        builder.remark(entry.key, "upstream", f"the first {entry.key!r} said {shown}", "ignored")


def _architecture(builder: Builder) -> None:
    """What Ava's code does whatever the file says."""
    if not builder.has("model.hidden_size"):
        return
    said = []
    for name, value in MEANT.items():
        if builder.ours(f"model.{name}") is None:
            builder.put(f"model.{name}", value)
            said.append(f"{name}: {str(value).lower() if isinstance(value, bool) else value}")
    if said:
        builder.assume("model", f"as Ava's code has it: {', '.join(said)}")


def _sizes(builder: Builder) -> None:
    model = builder.tree.get("model")
    if not isinstance(model, dict) or "hidden_size" not in model:
        return
    counted = built(model)
    if counted is None:
        return
    here = _here(builder)
    builder.remark(
        "model",
        "upstream",
        f"{count(counted.total)} parameters as coded ({counted.total:,}): each expert has a mask "
        f"and a gate network; {count(counted.plain)} with plain experts; one token meets "
        f"{count(counted.active)}" + (f"; here {count(here)} ({here:,})" if here else ""),
    )


def _here(builder: Builder) -> int | None:
    """The size of the same model here."""
    from pydantic import ValidationError

    from workbench.config.schema import ModelConfig

    model: dict[str, Any] = {}
    for path in keys():
        if path.startswith("model.") and (value := builder.ours(path)) is not None:
            inner = model
            *sections, name = path.split(".")[1:]
            for section in sections:
                inner = inner.setdefault(section, {})
            inner[name] = value
    try:
        return size_of(ModelConfig.model_validate(model)).total
    except (ValidationError, ZeroDivisionError):
        return None


def _batch(builder: Builder) -> None:
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


def _numbers(builder: Builder, document: Document) -> None:
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


def _upstream(builder: Builder) -> None:
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
