"""A config back into one of the flat schemas: tt-blacksmith, the toolkit, the small files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.config.keys import keys
from workbench.dialects.building import ABSENT, NoPlace
from workbench.dialects.telling import residue_of
from workbench.dialects.tenstorrent import blacksmith, early, parts, toolkit
from workbench.dialects.tenstorrent.saying import held, in_order, tell
from workbench.dialects.tenstorrent.text import block_yaml
from workbench.dialects.tenstorrent.training import OPTIMIZERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.dialects.base import Writing
    from workbench.dialects.telling import Teller
    from workbench.dialects.tenstorrent.saying import Says

TABLES: Final[dict[str, Sequence[Says]]] = {
    "toolkit": toolkit.TABLE,
    "blacksmith": blacksmith.TABLE,
    "early": early.TABLE,
    "bert": parts.BERT,
    "optimizer": parts.OPTIMIZER,
    "logger": parts.LOGGER,
}


def write_flat(teller: Teller, order: list[str], shape: str) -> Writing:
    """Say a config in the flat schema that it was read from."""
    spelt = teller.tree.pop("dtype", ABSENT)
    tell(teller, TABLES[shape], order)
    if spelt is not ABSENT:
        _respell_dtype(teller, spelt)
    _say_mesh(teller, order, shape)
    _say_more(teller, order, shape)
    teller.said("run.hardware")
    tree = in_order(teller.tree, order, {})
    name = teller.config.imported.source or "config.yaml"
    text = header(teller) + block_yaml(tree)
    return teller.writing({name: text}, rest="the schema of the file has no such key")


def _say_mesh(teller: Teller, order: list[str], shape: str) -> None:
    """The mesh and the batch, which counts all data-parallel chips in tt-blacksmith."""
    paths = ("mesh.shape", "mesh_shape", "device_config.mesh_shape")
    path = next((p for p in paths if p in order), None)
    mesh = teller.our("parallel.mesh_shape")
    if path is not None and mesh is not None:
        teller.say(path, list(mesh), ours="parallel.mesh_shape")
        teller.said("parallel.devices_per_node", "parallel.tensor_parallel_size",
                    "parallel.strategy")  # fmt: skip
    if (
        "device_config.enable_ddp" in order
        and held(teller.tree, "device_config.enable_ddp") is ABSENT
    ):
        teller.say("device_config.enable_ddp", teller.our("parallel.strategy") == "ddp",
                   ours="parallel.strategy")  # fmt: skip
    if shape == "toolkit":
        teller.said("parallel.devices_per_node")
        return
    stands = "batch_size" in order and held(teller.tree, "batch_size") is ABSENT
    if shape == "blacksmith" and stands:
        chips = teller.our("parallel.devices_per_node")
        data = max(1, chips // teller.our("parallel.tensor_parallel_size"))
        total = teller.our("training.batch_size") * data
        teller.say("batch_size", total, ours="training.batch_size")


def _say_more(teller: Teller, order: list[str], shape: str) -> None:
    """What one key of theirs says of several of ours."""
    if shape == "blacksmith":
        _say_blacksmith(teller, order)
    elif shape == "early":
        teller.said("lora.enabled", "run.objective", *_dimensions())
    elif shape == "optimizer":
        restore_type(teller, "type", residue_of(teller.config, "tenstorrent"))
    elif shape == "toolkit":
        length = max(2, teller.our("model.max_position_embeddings"))
        if teller.our("data.max_length") == length:
            teller.said("data.max_length")
        if "model_config.n_embd" in order:
            _say_nano_gpt(teller)
    elif shape == "bert":
        teller.said("model.model_type", "model.norm_type", "model.hidden_act",
                    "model.attention_bias", "model.mlp_bias", "model.position_embedding_type",
                    "model.attention_dropout", "model.embedding_dropout")  # fmt: skip


def _say_nano_gpt(teller: Teller) -> None:
    """The network of nanoGPT goes without saying: its words have none for it."""
    model = teller.config.model
    if model.intermediate_size == 4 * model.hidden_size:
        teller.tree.get("model_config", {}).pop("mlp_dim", None)
    biased = bool(held(teller.tree, "model_config.bias")) is model.mlp_bias is model.attention_bias
    for path, holds in (
        ("model.position_embedding_type", model.position_embedding_type == "learned"),
        ("model.norm_type", model.norm_type == "layernorm"),
        ("model.hidden_act", model.hidden_act == "gelu"),
        ("model.tie_word_embeddings", model.tie_word_embeddings),
        ("model.attention_bias", biased),
        ("model.mlp_bias", biased),
    ):
        if holds:
            teller.said(path)


def _respell_dtype(teller: Teller, kind: Any) -> None:
    """A precision in the spelling of the file: torch's, JAX's or neither's."""
    try:
        blacksmith.read_dtype(kind)
    except NoPlace:
        teller.tree["dtype"] = kind  # one that is none of ours
        return
    begin = str(kind).rpartition(".")[0]
    name = str(teller.tree.get("dtype", kind)).rpartition(".")[2]
    teller.tree["dtype"] = f"{begin}.{name}" if begin else name


def _say_blacksmith(teller: Teller, order: list[str]) -> None:
    for name in ("training_model_type", "training_type"):
        free = name in order and held(teller.tree, name) is ABSENT
        if free and teller.our("lora.enabled"):
            teller.say(name, "lora", ours="lora.enabled")
    if {"lora_r", "lora_rank"} & set(order):
        teller.said("lora.enabled")
    if {"dpo_beta", "grpo_beta"} & set(order):
        teller.said("rlhf.enabled", "rlhf.algorithm")
    teller.said("run.objective")
    same = teller.our("training.save_steps") == teller.our("training.logging_steps")
    if "steps_freq" in order and same:
        teller.said("training.save_steps")
    resume = teller.our("checkpointing.resume_from_checkpoint")
    for name in ("checkpoint_path", "checkpoint.checkpoint_path"):
        if name in order and resume is not None:
            teller.say(name, resume, ours="checkpointing.resume_from_checkpoint")
    # The name of the model stands for its dimensions.
    teller.said(*_dimensions())


def _dimensions() -> list[str]:
    return [path for path in keys() if path.startswith("model.")]


def restore_type(teller: Teller, path: str, kept: dict[str, Any]) -> None:
    """A variant of an optimizer goes back where it is still the same rule."""
    kind = held(kept, path)
    if kind is ABSENT:
        return
    ours = OPTIMIZERS.get(str(kind).lower())
    if ours in (None, teller.our("training.optimizer")):
        teller.say(path, kind, ours="training.optimizer")


def header(teller: Teller) -> str:
    """A comment with the hardware: a reader finds the board by it, for no key names one."""
    hardware = teller.our("run.hardware")
    return f"# Made for {hardware}.\n\n" if hardware else ""
