"""What the flags mean here; what the trainer does about them that its file does not show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.keys import keys
from workbench.dialects.aws_fsdp.families import FAMILIES
from workbench.dialects.aws_fsdp.flags import (
    BY_NAME,
    FLAGS,
    LOADER_LENGTH,
    MODEL_TYPES,
    TOKENS,
    Flag,
)
from workbench.dialects.building import NoPlace

if TYPE_CHECKING:
    from workbench.dialects.building import Builder

_STYLES = {"constant": "constant", "linear": "linear", "cosine": "cosine",
           "exponential": "exponential", "plateau": "linear"}  # fmt: skip
_TIERS = ("s3_tier_base_path", "in_memory_checkpointing_freq", "s3_checkpointing_freq")


class Meaning:
    """Puts the flags of a text into a builder.

    Args:
        builder: Its tree holds the flags by name.
        broken: Flags whose value cannot be used, with the reason.
    """

    def __init__(self, builder: Builder, broken: dict[str, str]) -> None:
        self._to = builder
        self._broken = broken
        self._defaults: list[str] = []
        for name, reason in broken.items():
            builder.keep((name,), reason)

    def understand(self) -> None:
        """Understand every flag, and what the trainer takes where there is none."""
        self._family()
        for flag in FLAGS:
            if flag.target is not None:
                self._plain(flag)
            elif flag.why and self._given(flag.name):
                self._to.keep((flag.name,), flag.why, verdict=_said(flag))
        self._precision()
        self._length()
        self._schedule()
        self._validation()
        self._checkpoints()
        self._tiers()
        self._data()
        self._always()
        self._say_defaults()

    # ------------------------------------------------------------ values

    def _given(self, name: str) -> bool:
        return self._to.has((name,)) and name not in self._broken

    def _value(self, name: str) -> Any:
        """A flag's value: the file's, or the trainer's default."""
        if self._given(name):
            return self._to.value((name,))
        return BY_NAME[name].default

    def _put(self, ours: str, value: Any, name: str = "") -> None:
        """Set a key, from a flag where the file has it; a value with no place becomes residue."""
        source = (name,) if name and self._given(name) else ()
        try:
            self._to.put(ours, value, source=source)
        except NoPlace as error:
            if source:
                self._to.keep(source, str(error))
        if name and not source and name not in self._broken:
            self._defaults.append(name)

    def _plain(self, flag: Flag) -> None:
        assert flag.target is not None
        value = self._value(flag.name)
        if flag.switch:
            # The trainer compares with 0, but for --cpu_offload, where only 1 is on.
            value = value == 1 if flag.name == "cpu_offload" else value > 0
        if not self._given(flag.name) and (flag.verdict == "ignored" or value is None):
            return
        local = self._given("local_dataset_path") and flag.name.startswith("dataset")
        if local and self._given(flag.name):
            self._to.keep((flag.name,), "--local_dataset_path wins over it", verdict="ignored")
        # max_steps always decides before the default number of epochs does.
        if local or (flag.name == "epochs" and not self._given("epochs")):
            return
        self._put(flag.target, value, flag.name)
        if self._given(flag.name) and flag.verdict == "ignored":
            self._to.ignored((flag.name,), flag.why)

    # ------------------------------------------------------------ the network

    def _family(self) -> None:
        family = str(self._value("model_type"))
        if "model_type" in self._broken:
            return
        if family not in MODEL_TYPES:
            self._to.refused(("model_type",), f"Model {family} not implemented")
            self._to.keep(("model_type",), f"it is one of {', '.join(MODEL_TYPES)}")
            return
        for ours, value in FAMILIES[family].items():
            if value != keys()[ours].default:
                self._put(ours, value)
        if self._given("model_type"):
            self._to.understood(("model_type",), "model.model_type")
        else:
            self._defaults.append("model_type")
        self._rotary(family)

    def _rotary(self, family: str) -> None:
        """What only some families read."""
        neox = family == "gpt_neox"
        for name, ours in (
            ("rotary_emb_base", "model.rope_theta"),
            ("rotary_pct", "model.partial_rotary_factor"),
        ):
            if neox:
                self._put(ours, self._value(name), name)
            elif self._given(name):
                self._to.keep((name,), f"only gpt_neox reads it, not {family}", verdict="ignored")
        if neox and self._given("intermediate_size"):
            self._to.keep(
                ("intermediate_size",),
                "gpt_neox always has 4 x --hidden_width",
                verdict="ignored",
            )
        if family == "llama_v3":
            self._to.remark(
                ("model_type",),
                "upstream",
                "llama_v3 keeps a rotary base of 10000 and dynamic scaling by 2; Llama 3 itself "
                "has a base of 500000",
                "read",
            )

    def _precision(self) -> None:
        self._put("training.mixed_precision", "bf16" if self._value("bf16") else "no", "bf16")
        if self._value("model_type") == "gpt_neox":
            width = self._value("hidden_width")
            if isinstance(width, int):
                self._put("model.intermediate_size", 4 * width)

    def _length(self) -> None:
        length = self._value("max_context_width")
        self._put("model.max_position_embeddings", length, "max_context_width")
        self._put("data.max_length", length)
        if self._given("max_context_width"):
            self._to.understood(
                ("max_context_width",), "model.max_position_embeddings", "data.max_length"
            )
        if isinstance(length, int) and length != LOADER_LENGTH:
            self._to.ignored(
                ("max_context_width",),
                f"the trainer's data loader is not told of it and always makes sequences of "
                f"{LOADER_LENGTH} tokens; here they have {length}",
            )

    # ------------------------------------------------------------ the training

    def _schedule(self) -> None:
        style = str(self._value("lr_decay_style"))
        self._put("training.lr_scheduler_type", _STYLES.get(style), "lr_decay_style")
        steps = self._value("lr_decay_iters") or self._value("max_steps")
        share = self._value("plateau")
        if style == "plateau":
            self._put("training.lr_hold_steps", round(share * max(1, steps)), "plateau")
        elif self._given("plateau"):
            self._to.keep(("plateau",), f"only lr_decay_style=plateau reads it, not {style}")
        warmup = self._value("warmup")
        if 0 < warmup * steps < 1:
            self._to.remark(
                ("warmup",),
                "upstream",
                f"a share of the steps: {warmup:g} x {steps} = {warmup * steps:.2g} steps, which "
                "is no warm-up there; a started step counts as one here",
                "read",
            )

    def _validation(self) -> None:
        every = self._value("validation_freq")
        if "validation_freq" not in self._broken:
            if every:
                self._put("training.eval_steps", every, "validation_freq")
            else:
                self._put("training.eval_strategy", "no", "validation_freq")
        batches, size = self._value("validation_batches"), self._value("val_batch_size")
        self._put("data.max_eval_examples", batches * size, "validation_batches")

    def _checkpoints(self) -> None:
        folder = self._value("checkpoint_dir")
        if "checkpoint_dir" not in self._broken and not folder:
            self._to.assume((), "without --checkpoint_dir the trainer saves nothing; a run here "
                            "always saves, in its own directory")  # fmt: skip
        resume = self._value("resume_from_checkpoint")
        if not self._given("resume_from_checkpoint"):
            return
        if resume == folder or not resume:
            self._to.keep(
                ("resume_from_checkpoint",),
                "it is the run's own folder: a run goes on from its own checkpoints, by "
                "ava runs resume",
            )
        else:
            self._put("checkpointing.resume_from_checkpoint", resume, "resume_from_checkpoint")

    def _tiers(self) -> None:
        """Managed tiered checkpointing: a fast tier in memory and a safe one in S3."""
        if not any(self._to.has((name,)) for name in _TIERS):
            if self._given("mtc_namespace"):
                self._put("checkpointing.namespace", self._value("mtc_namespace"), "mtc_namespace")
            return
        self._put("checkpointing.memory_tier.enabled", True)
        self._put("checkpointing.memory_tier.save_steps",
                  self._value("in_memory_checkpointing_freq"),
                  "in_memory_checkpointing_freq")  # fmt: skip
        self._put("checkpointing.storage_tier.save_steps", self._value("s3_checkpointing_freq"),
                  "s3_checkpointing_freq")  # fmt: skip
        if self._given("s3_tier_base_path"):
            self._put("checkpointing.storage_tier.enabled", True)
            self._put("checkpointing.storage_tier.path", self._value("s3_tier_base_path"),
                      "s3_tier_base_path")  # fmt: skip
        if "mtc_namespace" not in self._broken:
            self._put("checkpointing.namespace", self._value("mtc_namespace"), "mtc_namespace")
        self._to.remark((), "upstream", "tiers are used only where train.py has use_mtc = True; "
                        "its newest revision has False", "ignored")  # fmt: skip

    def _data(self) -> None:
        if not self._given("local_dataset_path"):
            self._put("data.streaming", True)
        name = str(self._value("tokenizer"))
        tokens = [count for begin, count in TOKENS.items() if name.startswith(begin)]
        size = self._value("vocab_size")
        if not tokens or not isinstance(size, int):
            return
        spare = (size - tokens[0]) * self._value("hidden_width") * 2
        if size < tokens[0]:
            self._to.remark(("tokenizer",), "upstream", f"the tokenizer has {tokens[0]:,} tokens "
                            f"and vocab_size is {size:,}: larger token ids crash the trainer",
                            "refused")  # fmt: skip
        elif self._given("tokenizer") and spare > 0:
            self._to.remark(("tokenizer",), "upstream", f"the tokenizer has {tokens[0]:,} tokens "
                            f"and vocab_size is {size:,}: {spare / 1e6:,.0f} million parameters "
                            "are never used", "read")  # fmt: skip

    def _always(self) -> None:
        """What the trainer always does, whatever the flags."""
        self._put("parallel.strategy", "fsdp")
        self._to.remark((), "translated", "the sequences of a step are train_batch_size x "
                        "processes: the trainer has no gradient accumulation")  # fmt: skip
        self._to.remark((), "upstream", "every process shuffles with the same seed, so all of them "
                        "see the same sequences; here each sees its own", "read")  # fmt: skip
        if self._value("sharding_strategy") == "hybrid":
            self._to.ignored(("sharding_strategy",), "on FSDP2 the trainer does the same as with "
                             "full; here hybrid shards within a node")  # fmt: skip

    def _say_defaults(self) -> None:
        if "vocab_size" in self._defaults:
            self._to.assume(
                ("vocab_size",),
                f"the file has no --vocab_size: the trainer takes {BY_NAME['vocab_size'].default}, "
                "whatever the tokenizer has",
            )
        missing = [name for name in self._defaults if name != "vocab_size"]
        missing = [name for name in missing if BY_NAME[name].default is not None]
        if missing:
            shown = ", ".join(f"{name} {BY_NAME[name].default}" for name in missing)
            self._to.assume((), f"defaults of the trainer for what the file leaves out: {shown}")


def _said(flag: Flag) -> Any:
    return flag.verdict if flag.verdict != "read" else None
