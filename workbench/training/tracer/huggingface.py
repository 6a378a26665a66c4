"""A training step of any model of the transformers library, traced: its own class and loss.

As the library's own trainer makes it by default: fp32 weights, autocast for 16 bits, AdamW in one
kernel, gradients that are freed.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch

from workbench.errors import WorkbenchError
from workbench.training.tracer.deep import Axis, answer_of, peaks_of
from workbench.training.tracer.phantom import Phantom
from workbench.training.tracer.phases import UPDATE, Phase, Phased
from workbench.training.tracer.trace import CUDA_ALIGNMENT, quiet

if TYPE_CHECKING:
    from torch import nn

# How families call their number of layers; a t5 has two.
_DEPTHS = ("num_hidden_layers", "n_layer", "num_layers", "num_decoder_layers")
_SHALLOW = 2


def trace_model(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request that holds a ``config.json``.

    Raises:
        WorkbenchError: transformers is not installed, or does not know the model.
    """
    tree = _tree(request["huggingface"])
    depths = _depths(tree)
    shallow = {name: min(depth, _SHALLOW) for name, depth in depths.items()}
    axes = [
        Axis(shallow | {name: shallow[name] + 1}, depths[name] - shallow[name], stack, 1)
        for stack, name in zip(_names(len(depths)), depths, strict=True)
        if depths[name] > shallow[name] + 1
    ]
    if not axes or _uneven(tree):
        return answer_of(peaks_of(_peaks(tree, request), []), "all layers")
    base = _peaks(tree | _cut(tree, shallow), request)
    grown = [(axis, _peaks(tree | _cut(tree, axis.edits), request)) for axis in axes]
    return answer_of(peaks_of(base, grown), f"{_SHALLOW} and {_SHALLOW + 1} layers")


def _names(stacks: int) -> list[str]:
    """Names of the stacks of blocks, in the order of the work."""
    return ["encoder_blocks", "blocks"][2 - stacks :]


def _tree(text: str) -> dict[str, Any]:
    try:
        tree: dict[str, Any] | None = json.loads(text)
    except ValueError:
        tree = None
    if not isinstance(tree, dict) or "model_type" not in tree:
        raise WorkbenchError(
            "this is no config.json of a Hugging Face model", why="it has no model_type"
        )
    return tree


def _depths(tree: dict[str, Any]) -> dict[str, int]:
    """How many layers each stack has, by the name that the family has for it."""
    found = {name: tree[name] for name in _DEPTHS if isinstance(tree.get(name), int)}
    if tree["model_type"] in ("t5", "mt5", "umt5") and "num_layers" in found:
        found.setdefault("num_decoder_layers", found["num_layers"])
        return {name: found[name] for name in ("num_layers", "num_decoder_layers")}
    return dict(list(found.items())[:1])


def _uneven(tree: dict[str, Any]) -> bool:
    """Whether layers differ: then two and three of them tell nothing about the others."""
    kinds = tree.get("layer_types")
    return isinstance(kinds, list) and len(set(kinds)) > 1


def _cut(tree: dict[str, Any], depths: dict[str, int]) -> dict[str, Any]:
    kinds = tree.get("layer_types")
    more = {"layer_types": kinds[: min(depths.values())]} if isinstance(kinds, list) else {}
    return depths | more


def _peaks(tree: dict[str, Any], request: dict[str, Any]) -> dict[Phase, int]:
    """The largest moments of the second step."""
    config, family = _class_of(tree)
    storages = Phased(alignment=CUDA_ALIGNMENT)
    with ExitStack() as stack:
        stack.enter_context(quiet(deterministic=False))
        stack.enter_context(Phantom(storages.see))
        with torch.device("meta"):
            model: nn.Module = family(config)
        model.to_empty(device="cpu")
        model.tie_weights()  # type: ignore[operator]
        for buffer in model.buffers():
            if not buffer.is_floating_point():
                buffer.zero_()  # places, which are computed with
        model.train()
        if request["gradient_checkpointing"]:
            model.gradient_checkpointing_enable(  # type: ignore[operator]
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        for tensor in (*model.parameters(), *model.buffers()):
            storages.add(tensor, "weight")
        _step(model, optimizer, request, storages)
        storages.mark()
        storages.follow(_stacks(model, tree))
        _step(model, optimizer, request, storages)
    return dict(storages.peaks)


def _class_of(tree: dict[str, Any]) -> tuple[Any, Any]:
    """The library's config and class."""
    try:
        import transformers
    except ImportError:
        raise WorkbenchError(
            "Hugging Face's models need their library", fix="pip install transformers"
        ) from None
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    options = {key: value for key, value in tree.items() if key != "model_type"}
    try:
        config = transformers.AutoConfig.for_model(tree["model_type"], **options)
    except (ValueError, KeyError, TypeError) as error:
        raise WorkbenchError(
            f"transformers {transformers.__version__} cannot read this model",
            why=str(error).splitlines()[0],
        ) from None
    if config.is_encoder_decoder and getattr(config, "decoder_start_token_id", None) is None:
        config.decoder_start_token_id = 0
    config.use_cache = False
    names = tree.get("architectures") or []
    family = next((found for each in names if (found := getattr(transformers, each, None))), None)
    return config, family or transformers.AutoModelForCausalLM.from_config


def _stacks(model: nn.Module, tree: dict[str, Any]) -> dict[str, list[nn.Module]]:
    """The lists of layers, in the order in which they stand."""
    depths = set(_depths(tree).values())
    lists: dict[str, list[nn.Module]] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{other}.") for other in lists)
        if isinstance(module, torch.nn.ModuleList) and len(module) in depths and not inside:
            lists[name] = list(module)
    names = _names(len(_depths(tree)))
    return dict(zip(names, lists.values(), strict=False))


def _step(
    model: nn.Module, optimizer: torch.optim.Optimizer, request: dict[str, Any], storages: Phased
) -> None:
    shape = (request["batch_size"], request["max_length"])
    tokens = torch.zeros(shape, dtype=torch.int64)
    narrow = request["mixed_precision"] == "bf16"
    with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
        loss = model(input_ids=tokens, labels=tokens).loss
    loss.backward()
    storages.phase = UPDATE
    optimizer.step()
    optimizer.zero_grad()
    storages.phase = Phase("", 0, backward=False)
