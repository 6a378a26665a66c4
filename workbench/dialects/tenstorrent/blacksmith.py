"""tt-blacksmith: fine-tuning of models of the Hugging Face hub, with flat or nested keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.dialects.building import ABSENT, NoPlace
from workbench.dialects.tenstorrent.device import Mesh, put_board
from workbench.dialects.tenstorrent.known import HUB
from workbench.dialects.tenstorrent.saying import Says, negative_is_none, understand, word
from workbench.dialects.tenstorrent.words import LARGEST

if TYPE_CHECKING:
    from workbench.dialects.base import Reading
    from workbench.dialects.building import Builder

_DATA: Final = ("batch", "data", "dp", "fsdp", "x")
_STRATEGY: Final = word(step="steps", steps="steps", epoch="epoch", none="no", no="no")
_WATCH: Final = word(all="all", gradients="gradients", parameters="parameters", none="none")
_OPTIMS: Final = word(adamw_torch="adamw", adamw="adamw", adam="adam", sgd="sgd")


def _told_strategy(value: Any) -> Any:
    return {"steps": "step", "no": "none"}.get(value, value)


def read_dtype(value: Any) -> str:
    """A precision of torch's or JAX's as ours."""
    kind = str(value).removeprefix("torch.").removeprefix("jnp.").lower()
    meanings = {"bfloat16": "bf16", "float16": "fp16", "float32": "no"}
    if kind not in meanings:
        raise NoPlace(f"there is no counterpart of {kind[:40]}")
    return meanings[kind]


def tell_dtype(value: Any) -> str:
    """The other way round."""
    meanings = {"bf16": "torch.bfloat16", "auto": "torch.bfloat16", "fp16": "torch.float16",
                "no": "torch.float32"}  # fmt: skip
    if value not in meanings:
        raise NoPlace("tt-blacksmith has bfloat16, float16 and float32")
    return meanings[value]


def _metric(value: Any) -> str:
    return str(value).replace("/", "_")


def _told_metric(value: Any) -> str:
    begin, _, rest = str(value).partition("_")
    return f"{begin}/{rest}" if begin in ("eval", "val", "train") and rest else str(value)


def _level(value: Any) -> str:
    return str(value).lower()


def _both(
    path: str, nested: str, ours: str, read: Any = None, tell: Any = None
) -> tuple[Says, Says]:
    """A key of the flat schema, and the same in the nested one."""
    return Says(path, ours, read, tell), Says(f"{nested}.{path}", ours, read, tell, shy=True)


TABLE: Final = (
    Says("dataset_id", "data.dataset_name"),
    Says("model_name", "data.tokenizer_name"),
    Says("max_length", "data.max_length"),
    Says("dtype", "training.mixed_precision", read_dtype, tell_dtype),
    Says("learning_rate", "training.learning_rate"),
    Says("end_learning_rate", "training.lr_end"),
    Says("gradient_accumulation_steps", "training.gradient_accumulation_steps"),
    Says("gradient_checkpointing", "training.gradient_checkpointing"),
    Says("num_epochs", "training.num_epochs"),
    Says("max_steps", "training.max_steps", negative_is_none),
    Says("warmup_steps", "training.warmup_steps"),
    Says("weight_decay", "training.weight_decay"),
    Says("max_grad_norm", "training.max_gradient_norm"),
    Says("optim", "training.optimizer", _OPTIMS,
         lambda name: "adamw_torch" if name == "adamw" else name),
    Says("lora_r", "lora.r"),
    Says("lora_rank", "lora.r"),
    Says("lora_alpha", "lora.alpha"),
    Says("lora_dropout", "lora.dropout"),
    Says("lora_target_modules", "lora.target_modules"),
    Says("lora_bias", "lora.bias"),
    Says("seed", "run.seed"),
    Says("deterministic", "run.deterministic"),
    *_both("log_level", "logging", "logging.level", _level, lambda level: level.upper()),
    *_both("use_wandb", "logging", "logging.wandb.enabled"),
    *_both("wandb_project", "logging", "logging.wandb.project"),
    *_both("wandb_run_name", "logging", "logging.wandb.name"),
    *_both("wandb_tags", "logging", "logging.wandb.tags"),
    *_both("wandb_watch_mode", "logging", "logging.wandb.watch", _WATCH),
    *_both("wandb_log_freq", "logging", "logging.wandb.log_freq"),
    Says("steps_freq", "training.logging_steps"),
    Says("metrics.steps_freq", "training.logging_steps", shy=True),
    Says("logging_steps", "training.logging_steps", shy=True),
    Says("checkpoint.steps_freq", "training.save_steps", shy=True),
    Says("save_steps", "training.save_steps", shy=True),
    Says("val_steps_freq", "training.eval_steps"),
    *_both("save_strategy", "checkpoint", "training.save_strategy", _STRATEGY, _told_strategy),
    *_both("keep_last_n", "checkpoint", "training.save_total_limit"),
    *_both("keep_best_n", "checkpoint", "checkpointing.keep_best_n"),
    *_both("checkpoint_metric", "checkpoint", "training.metric_for_best_model", _metric,
           _told_metric),
    *_both("checkpoint_metric_mode", "checkpoint", "training.greater_is_better",
           word(min=False, max=True), lambda greater: "max" if greater else "min"),
    *_both("save_optim", "checkpoint", "checkpointing.save_optimizer_states"),
    Says("grpo_epsilon", "rlhf.grpo.epsilon"),
    Says("num_generations", "rlhf.grpo.num_generations"),
    Says("num_iterations", "rlhf.grpo.num_iterations"),
    Says("max_completion_length", "rlhf.ppo.max_gen_length"),
    Says("temperature", "rlhf.ppo.temperature"),
    Says("top_k", "rlhf.ppo.top_k"),
    Says("dpo_beta", "rlhf.dpo.beta"),
    Says("dpo_label_smoothing", "rlhf.dpo.label_smoothing"),
    Says("custom_dataset.train_dataset_path", "data.path"),
    Says("custom_dataset.val_dataset_path", "data.eval_path"),
)  # fmt: skip


def read(builder: Builder) -> Reading:
    """Understand tt-blacksmith's schema, flat or nested."""
    understand(builder, TABLE)
    mesh = _mesh(builder)
    _batch(builder, mesh)
    kind = builder.value("training_model_type", builder.value("training_type", None))
    if kind == "lora" or builder.has("lora_r") or builder.has("lora_rank"):
        builder.put("lora.enabled", True)
        for name in ("training_model_type", "training_type"):
            if builder.value(name, None) == "lora":
                builder.understood(name, "lora.enabled")
    algorithm = next((word for word in ("dpo", "grpo") if builder.has(f"{word}_beta")), None)
    if algorithm is not None:
        builder.put("rlhf.enabled", True)
        builder.put("rlhf.algorithm", algorithm)
    builder.put("run.objective", "finetune" if algorithm is None else "rlhf")
    if builder.has("steps_freq") and builder.ours("training.save_steps") is None:
        frequency = builder.ours("training.logging_steps")
        if frequency is not None:
            builder.put("training.save_steps", frequency)
            builder.understood("steps_freq", "training.logging_steps", "training.save_steps")
    _resume(builder)
    put_network(builder, "model_name")
    reading = builder.reading(rest="the workbench has no such key")
    kind = builder.value("dtype", "torch.")
    if "dtype" in reading.places and not str(kind).startswith("torch."):
        reading.layer.tree["imported"].setdefault("keys", {})["dtype"] = kind  # its spelling
    return reading


def _mesh(builder: Builder) -> Mesh | None:
    section = builder.value("mesh")
    nested = isinstance(section, dict)
    shape = builder.value("mesh.shape" if nested else "mesh_shape")
    axes = builder.value("mesh.axis_names" if nested else "mesh_axis_names", None)
    path = "mesh.shape" if nested else "mesh_shape"
    whole = isinstance(shape, list) and all(type(n) is int and 0 < n < LARGEST for n in shape)
    if shape is ABSENT or not whole or not shape or len(shape) > 2:
        return None
    names = [str(axis).lower() for axis in axes] if isinstance(axes, list) else []
    data = tensor = 1
    # With it null every chip gets all sequences, and the axis shards weights.
    whole_inputs = builder.value("input_sharding_dim", "") is None
    for index, size in enumerate(shape):
        name = names[index] if index < len(names) else ("batch", "model")[index]
        if name in _DATA and not (whole_inputs and name != "fsdp"):
            data *= size
        else:
            tensor *= size
    mesh = Mesh(tuple(shape), data, tensor, sharded="fsdp" in names)
    builder.put("parallel.devices_per_node", mesh.devices)
    builder.put("parallel.mesh_shape", shape, source=path)
    if tensor > 1:
        builder.put("parallel.tensor_parallel_size", tensor)
    if mesh.sharded or data > 1:
        builder.put("parallel.strategy", "fsdp" if mesh.sharded else "ddp")
    builder.remark(path, "translated", f"{data} data-parallel x {tensor} tensor-parallel chips, "
                   "by the names of the axes")  # fmt: skip
    put_board(builder, mesh, f"{builder.foreign.path} {builder.ours('logging.wandb.project', '')}"
              .replace("_", " ").replace("-", " ").replace("/", " "))  # fmt: skip
    return mesh


def _batch(builder: Builder, mesh: Mesh | None) -> None:
    total, data = builder.value("batch_size"), mesh.data if mesh else 1
    if type(total) is not int or not 0 < total < LARGEST:
        return
    if total % data and mesh and mesh.sharded and builder.value("input_sharding_dim", "") is None:
        builder.assume("batch_size", f"all {data} chips get the same {total} sequences there, "
                       "which nothing here does: batch_size keeps its default")  # fmt: skip
        builder.keep("batch_size", f"all {data} chips get the same sequences")
        return
    if total % data:
        builder.refused("batch_size", f"{total} sequences cannot be shared evenly by {data} chips")
        builder.keep("batch_size", f"it is no multiple of the {data} data-parallel chips")
        return
    builder.put("training.batch_size", total // data, source="batch_size")
    if data > 1:
        builder.remark("batch_size", "translated", f"it counts the sequences of all {data} "
                       f"data-parallel chips: {total // data} on each")  # fmt: skip


def _resume(builder: Builder) -> None:
    for begin in ("", "checkpoint."):
        on = builder.value(f"{begin}resume_from_checkpoint")
        option = builder.value(f"{begin}resume_option", "last")
        path = builder.value(f"{begin}checkpoint_path", "")
        if on is True and option == "path" and isinstance(path, str) and path:
            builder.put(
                "checkpointing.resume_from_checkpoint", path, source=f"{begin}checkpoint_path"
            )


def put_network(builder: Builder, path: str) -> None:
    """The dimensions of the model that the name at a key stands for."""
    name = builder.value(path)
    if not isinstance(name, str):
        return
    known = next((sizes for part, sizes in HUB.items() if part in name.lower()), None)
    if known is None:
        builder.assume(path, f"the dimensions of {name} are unknown here: import its config.json "
                       "as another layer")  # fmt: skip
        return
    for key, value in known.items():
        builder.put(f"model.{key}", value)
    builder.assume(path, f"the dimensions are those that {name} has on the hub; its weights are "
                   "loaded with model.pretrained_path")  # fmt: skip
