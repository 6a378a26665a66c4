"""Rules about number formats, and about the device that has to compute in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.rules.base import Problem, Subject, drop, put, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.profile import HardwareProfile

_PRECISION = "training.mixed_precision"
_AIDS = ("split_weights", "kahan_summation", "stochastic_rounding")


def _best(hardware: HardwareProfile) -> str:
    """The fastest format that needs no care, else the next."""
    return next((word for word in ("bf16", "fp16") if hardware.computes(word)), "no")


@rule("precision-on-device", "error")
def precision_on_device(subject: Subject) -> Iterator[Problem]:
    """The device computes in fp8 or fp16 when mixed_precision asks for it."""
    wanted, hardware = subject.config.training.mixed_precision, subject.hardware
    if hardware is None or hardware.kind == "cpu":
        return
    if wanted in ("fp8", "fp16") and not hardware.computes(wanted):
        needs = " (fp8 needs Ada, Hopper, Blackwell or MI300)" if wanted == "fp8" else ""
        yield Problem(
            _PRECISION,
            f"{hardware.title} cannot compute in {wanted}{needs}; it has "
            f"{', '.join(sorted(hardware.precisions))}",
            (put(_PRECISION, _best(hardware)),),
        )


@rule("bf16-emulated", "warning")
def bf16_emulated(subject: Subject) -> Iterator[Problem]:
    """The device has bf16 matrix units when mixed_precision is bf16."""
    config, hardware = subject.config, subject.hardware
    if hardware is None or hardware.computes("bf16"):
        return
    for path, word in (
        (_PRECISION, config.training.mixed_precision),
        ("rlhf.ppo.mixed_precision", _ppo_format(subject)),
        ("lora.bnb_4bit_compute_dtype", _lora_format(subject)),
    ):
        if word in ("bf16", "bfloat16"):
            other = {"bf16": "fp16", "bfloat16": "float16"}[word]
            yield Problem(
                subject.blame(path, "rlhf.enabled", "lora.load_in_4bit"),
                f"{hardware.title} has no bf16 matrix units: bf16 is imitated there, slower than "
                "fp32; bf16 needs Ampere or newer",
                (put(path, other), *((put(path, "no"),) if word == "bf16" else ())),
            )


def _ppo_format(subject: Subject) -> str:
    rlhf = subject.config.rlhf
    return rlhf.ppo.mixed_precision if rlhf.enabled and rlhf.algorithm == "ppo" else ""


def _lora_format(subject: Subject) -> str:
    lora = subject.config.lora
    return lora.bnb_4bit_compute_dtype if lora.enabled and lora.load_in_4bit else ""


@rule("half-on-cpu", "warning")
def half_on_cpu(subject: Subject) -> Iterator[Problem]:
    """A CPU computes in fp32 or bf16, not in fp16 or fp8."""
    wanted, hardware = subject.config.training.mixed_precision, subject.hardware
    on_cpu = subject.config.run.device == "cpu" or (hardware is not None and hardware.kind == "cpu")
    if on_cpu and wanted in ("fp16", "fp8"):
        yield Problem(
            _PRECISION,
            f"the plan runs on a CPU, and few of them compute in {wanted}",
            (put(_PRECISION, "auto"),),
        )


@rule("full-precision-on-gpu", "hint")
def full_precision_on_gpu(subject: Subject) -> Iterator[Problem]:
    """A GPU with bf16 matrix units is not kept at full precision."""
    config, hardware = subject.config, subject.hardware
    if (
        hardware is not None
        and hardware.kind in ("cuda", "rocm")
        and hardware.computes("bf16")
        and config.training.mixed_precision == "no"
        and config.run.objective != "test"
    ):
        yield Problem(
            _PRECISION,
            f"{hardware.title} computes bf16 several times faster than fp32, and weights stay in "
            "fp32 all the same",
            (put(_PRECISION, "bf16"),),
        )


@rule("bf16-instead-of-fp16", "hint")
def bf16_instead_of_fp16(subject: Subject) -> Iterator[Problem]:
    """Where the device has bf16, fp16 with its loss scaling is not needed."""
    hardware = subject.hardware
    if (
        hardware is not None
        and hardware.computes("bf16")
        and hardware.computes("fp16")
        and subject.config.training.mixed_precision == "fp16"
    ):
        yield Problem(
            _PRECISION,
            f"{hardware.title} computes bf16 as fast as fp16, and bf16 cannot overflow: it needs "
            "no loss scaling",
            (put(_PRECISION, "bf16"),),
        )


@rule("fp8-interval", "hint")
def fp8_interval(subject: Subject) -> Iterator[Problem]:
    """quantization.fp8.interval (fp8_interval) never had an effect."""
    if subject.is_set("quantization.fp8.interval"):
        yield Problem(
            "quantization.fp8.interval",
            "fp8_interval never had an effect: no release of any trainer acts on it",
            (drop("quantization.fp8.interval"),),
        )


@rule("fp8-delayed-keys", "hint")
def fp8_delayed_keys(subject: Subject) -> Iterator[Problem]:
    """fp8 margin and amax keys are read with recipe: delayed only."""
    fp8 = subject.config.quantization.fp8
    if fp8.recipe == "delayed":
        return
    for name, usual in (("margin", 0), ("amax_history_len", 1024), ("amax_compute_algo", "max")):
        path = f"quantization.fp8.{name}"
        if getattr(fp8, name) != usual:
            yield Problem(
                path,
                f"{name} is read by the delayed recipe only, and the recipe is {fp8.recipe}",
                (put("quantization.fp8.recipe", "delayed"), put(path, usual)),
            )


@rule("fp8-widths", "warning")
def fp8_widths(subject: Subject) -> Iterator[Problem]:
    """Widths are multiples of 16 for fp8, or their matrices stay in a wider format."""
    config = subject.config
    if config.training.mixed_precision != "fp8":
        return
    model = config.model
    uneven = {
        name: value
        for name, value in (
            ("hidden_size", model.hidden_size),
            ("intermediate_size", model.intermediate_size),
            ("vocab_size", model.vocab_size),
        )
        if value % 16
    }
    for name, value in uneven.items():
        yield Problem(
            subject.blame(f"model.{name}", "training.mixed_precision"),
            f"8-bit matrix units take widths in multiples of 16; {name} {value:,} is none",
            (put(f"model.{name}", -(-value // 16) * 16),),
        )


@rule("nvfp4-imitated", "warning")
def nvfp4_imitated(subject: Subject) -> Iterator[Problem]:
    """Only Blackwell computes in nvfp4; elsewhere it is imitated and slower."""
    hardware = subject.hardware
    if (
        hardware is not None
        and subject.config.quantization.nvfp4.enabled
        and not hardware.computes("nvfp4")
    ):
        yield Problem(
            "quantization.nvfp4.enabled",
            f"{hardware.title} does not compute in nvfp4: it is imitated, which shows the effect "
            "on quality and costs time; Blackwell computes in it",
            (put("quantization.nvfp4.enabled", False),),
        )


@rule("nvfp4-block-size", "warning")
def nvfp4_block_size(subject: Subject) -> Iterator[Problem]:
    """NVFP4 blocks hold 16 numbers."""
    nvfp4 = subject.config.quantization.nvfp4
    if nvfp4.enabled and nvfp4.block_size != 16:
        yield Problem(
            "quantization.nvfp4.block_size",
            f"NVFP4 is defined with blocks of 16 numbers; with {nvfp4.block_size} it is another "
            "format, which no hardware computes",
            (put("quantization.nvfp4.block_size", 16),),
        )


@rule("loss-scaling-needs-fp16", "hint")
def loss_scaling_needs_fp16(subject: Subject) -> Iterator[Problem]:
    """Loss scaling is for fp16; other formats do not need it."""
    training = subject.config.training
    if training.mixed_precision != "fp16" and training.loss_scaling.scale > 0:
        yield Problem(
            "training.loss_scaling.scale",
            "a fixed loss scale serves fp16 gradients only; mixed_precision is "
            f"{training.mixed_precision}",
            (put("training.loss_scaling.scale", 0.0),),
        )


@rule("kahan-without-rounding", "hint")
def kahan_without_rounding(subject: Subject) -> Iterator[Problem]:
    """Split weights, Kahan summation and stochastic rounding serve weights in bf16."""
    training = subject.config.training
    for name in _AIDS:
        if getattr(training, name) and training.mixed_precision in ("no", "fp16"):
            yield Problem(
                f"training.{name}",
                f"{name} makes up for weights in bf16; with mixed_precision: "
                f"{training.mixed_precision} they are in fp32",
                (put(f"training.{name}", False),),
            )


@rule("one-rounding-aid", "error")
def one_rounding_aid(subject: Subject) -> Iterator[Problem]:
    """Split weights, Kahan summation and stochastic rounding exclude each other."""
    training = subject.config.training
    chosen = [name for name in _AIDS if getattr(training, name)]
    if len(chosen) > 1:
        edits = ({f"training.{name}": name == one for name in chosen} for one in chosen)
        yield Problem(
            f"training.{chosen[-1]}",
            "split_weights keeps what rounding takes away, kahan_summation most of it, "
            f"stochastic_rounding makes it random; a weight has one of them, not "
            f"{' and '.join(chosen)}",
            tuple((f"keep {one}", edit) for one, edit in zip(chosen, edits, strict=True)),
        )


@rule("shards-are-fp32", "error")
def shards_are_fp32(subject: Subject) -> Iterator[Problem]:
    """Weights in 16 bits are for strategies that copy them: single and ddp."""
    config = subject.config
    if config.parallel.strategy != "fsdp" and not config.deepspeed.enabled:
        return
    for name in _AIDS:
        if getattr(config.training, name):
            yield Problem(
                subject.blame(f"training.{name}", "parallel.strategy", "deepspeed.enabled"),
                f"{name} is for weights of which every device has a copy; a sharded weight is kept "
                "in fp32 once over all devices",
                (put(f"training.{name}", False),),
            )


@rule("device-against-hardware", "warning")
def device_against_hardware(subject: Subject) -> Iterator[Problem]:
    """run.device is what run.hardware has."""
    device, hardware = subject.config.run.device, subject.hardware
    if hardware is None or device == "auto":
        return
    has = "cuda" if hardware.kind in ("cuda", "rocm") else hardware.kind
    if device != has:
        yield Problem(
            "run.device",
            f"run.device is {device}, but the plan is made for {hardware.title}",
            (put("run.device", "auto"), put("run.hardware", None)),
        )
