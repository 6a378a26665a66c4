"""`training`: batch, optimizer, schedule, precision, and when to evaluate and save."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from workbench.config.schema.base import NOT_BUILT, Section, Whole, key
from workbench.config.schema.training.adaptive_lr import AdaptiveLrConfig
from workbench.config.schema.training.compile import CompileConfig
from workbench.config.schema.training.dynamic_batching import DynamicBatchingConfig
from workbench.config.schema.training.gradient_health import GradientHealthConfig
from workbench.config.schema.training.gradient_surgery import GradientSurgeryConfig
from workbench.config.schema.training.loss_scaling import LossScalingConfig
from workbench.config.schema.training.losses import LossesConfig
from workbench.config.schema.training.lr_finder import LrFinderConfig
from workbench.config.schema.training.mtp import MtpConfig
from workbench.config.schema.training.progressive import ProgressiveConfig
from workbench.config.schema.training.stability import StabilityConfig


class TrainingConfig(Section):
    """How the network learns."""

    batch_size: Whole = key(
        8,
        "Sequences in one micro-batch on one device.",
        unit="sequences",
        changes="activation memory grows in proportion; larger is faster until the device is full",
        ge=1,
    )
    gradient_accumulation_steps: Whole = key(
        1,
        "Micro-batches whose gradients are added up before one optimizer step.",
        unit="micro-batches",
        changes="batch without memory; time per step grows in proportion",
        ge=1,
    )
    global_batch_size: Whole | None = key(
        None,
        "Sequences of one optimizer step over all devices: batch_size x "
        "gradient_accumulation_steps x data-parallel degree. null computes it; a number is "
        "checked.",
        unit="sequences",
        ge=1,
    )
    max_steps: Whole = key(
        1000,
        "Optimizer steps to train for.",
        unit="optimizer steps",
        changes="time and cost; the length of the learning-rate schedule",
        ge=1,
    )
    num_epochs: Whole | None = key(
        None,
        "How many times to go through the training text; max_steps decides when both are given.",
        unit="epochs",
        changes="time and cost",
        ge=1,
    )
    total_training_tokens: Whole | None = key(
        None,
        "Tokens to train on; max_steps decides when both are given.",
        unit="tokens",
        changes="time and cost",
        ge=1,
    )
    tokens_per_parameter_ratio: float | None = key(
        None,
        "Tokens to train on for each parameter; about 20 is compute-optimal (arXiv 2203.15556).",
        unit="tokens per parameter",
        changes="time and cost",
        gt=0.0,
    )
    optimizer: Literal[
        "adamw",
        "adam",
        "sgd",
        "adagrad",
        "adafactor",
        "lamb",
        "lion",
        "muon",
        "adamw_8bit",
        "moreh_adamw",
        "onebitadam",
        "onebitlamb",
        "zerooneadam",
    ] = key(
        "adamw",
        "The rule that turns gradients into updates. The onebit ones also compress what devices "
        "exchange; adamw_8bit is slow on a CPU.",
        changes="optimizer memory (8 bytes per parameter for adamw, 4 for lion, 2 for adamw_8bit, "
        "next to nothing for adafactor) and quality",
        unhonoured_values={
            "moreh_adamw": "it is Tenstorrent's AdamW; adamw is the same rule",
            **dict.fromkeys(
                ("onebitadam", "onebitlamb", "zerooneadam"),
                "DeepSpeed removed the 1-bit optimizers in September 2026",
            ),
        },
    )
    learning_rate: float = key(
        3e-4,
        "Highest learning rate, reached at the end of the warm-up.",
        changes="the most sensitive setting of all: too high diverges, too low wastes the budget",
        gt=0.0,
        le=10.0,
    )
    warmup_steps: Whole = key(
        0,
        "Steps over which the learning rate rises from zero.",
        unit="optimizer steps",
        changes="early stability",
        ge=0,
    )
    warmup_ratio: float | None = key(
        None,
        "The warm-up as a share of all steps; warmup_steps decides where it is above 0.",
        changes="early stability",
        ge=0.0,
        lt=1.0,
    )
    warmup_schedule: Literal["linear", "cosine", "log"] = key(
        "linear",
        "How the learning rate rises: in a straight line, gently at both ends, or fast at first.",
        ignored="with no warm-up, and with lr_scheduler_type: one_cycle, whose is a cosine",
    )
    warmup_start_lr: float = key(
        0.0,
        "Learning rate that the warm-up begins at.",
        ignored="with no warm-up",
        ge=0.0,
    )
    lr_scheduler_type: Literal[
        "constant",
        "linear",
        "cosine",
        "constant_with_warmup",
        "cosine_with_restarts",
        "inverse_sqrt",
        "polynomial",
        "exponential",
        "warmup_stable_decay",
        "one_cycle",
        "reduce_on_plateau",
    ] = key(
        "cosine",
        "How the learning rate falls after the warm-up. warmup_stable_decay falls in the last "
        "tenth unless lr_hold_steps says when; one_cycle rises for 30 % of the training unless a "
        "warm-up is given; reduce_on_plateau falls to a tenth after more than ten evaluations "
        "without a better one, never below lr_end.",
    )
    lr_end: float = key(
        0.0,
        "Learning rate that the schedule ends at.",
        ignored="with lr_scheduler_type: constant",
        ge=0.0,
    )
    lr_end_ratio: float | None = key(
        None,
        "lr_end as a share of learning_rate; lr_end decides where it is above 0.",
        ignored="with lr_scheduler_type: constant",
        ge=0.0,
        le=1.0,
    )
    lr_decay_steps: Whole | None = key(
        None,
        "Step at which the schedule reaches lr_end; null means max_steps.",
        unit="optimizer steps",
        ignored="with lr_scheduler_type: constant",
        ge=1,
    )
    lr_hold_steps: Whole = key(
        0,
        "Steps at the highest learning rate between warm-up and decay.",
        unit="optimizer steps",
        ge=0,
    )
    lr_decay_power: float = key(
        1.0,
        "Power of the polynomial: 1 is a straight line, 2 falls fast at first.",
        ignored="unless lr_scheduler_type is polynomial",
        gt=0.0,
    )
    num_cycles: Whole = key(
        1,
        "How often the cosine falls and starts again.",
        unit="cycles",
        ignored="unless lr_scheduler_type is cosine_with_restarts",
        ge=1,
    )
    weight_decay: float = key(
        0.1,
        "How strongly matrices are pulled towards zero; norms and biases are not. Decoupled from "
        "the gradient, but for adam, sgd and adagrad, where it is a part of it.",
        changes="regularisation",
        ge=0.0,
    )
    no_decay_patterns: list[str] | None = key(
        None,
        "Parts of parameter names that weight decay spares, and no others, such as [norm, bias, "
        "embedding]; null means norms and biases.",
        changes="regularisation",
    )
    beta1: float = key(
        0.9, "Adam and its kin, Lion, Muon: memory of the mean gradient.", ge=0.0, lt=1.0
    )
    beta2: float = key(
        0.95,
        "The same: memory of the squared gradient; for Lion, of the mean that is kept.",
        ge=0.0,
        lt=1.0,
    )
    eps: float = key(1e-8, "Keeps the update finite where gradients vanish.", gt=0.0)
    amsgrad: bool = key(
        False,
        "Divides by the largest squared gradient seen instead of the recent one.",
        changes="optimizer memory by 4 bytes per parameter",
        ignored="unless optimizer is adamw or adam",
    )
    momentum: float = key(
        0.0,
        "SGD: share of the last update that carries over into the next.",
        ignored="unless optimizer is sgd",
        ge=0.0,
        lt=1.0,
    )
    nesterov: bool = key(
        False,
        "SGD, Muon: looks ahead along the momentum before taking the gradient.",
        ignored="unless optimizer is sgd or muon",
    )
    split_weights: bool = key(
        False,
        "Keeps matrices as two halves of 16 bits, of which the upper is the bf16 weight that the "
        "model computes with. Together they are fp32 bit for bit, and so is the update.",
        changes="gradients of 2 bytes instead of 4, and no weight is rounded anew for each use",
        ignored="unless products are in bf16",
    )
    kahan_summation: bool = key(
        False,
        "Keeps matrices in bf16, and in bf16 too what rounding takes from each update, and adds it "
        "to the next: weights can learn without an fp32 copy.",
        changes="gradients of 2 bytes instead of 4; a little exactness",
        ignored="unless products are in bf16",
    )
    stochastic_rounding: bool = key(
        False,
        "Keeps matrices in bf16 and rounds updates up or down at random, in proportion, so that "
        "small ones count on average.",
        changes="weights and gradients of 2 bytes instead of 4; exactness",
        ignored="unless products are in bf16",
    )
    max_gradient_norm: float = key(
        1.0,
        "Gradients with a larger global norm are scaled down to it; 0 turns clipping off.",
        changes="stability",
        ge=0.0,
    )
    clip_grad_value: float | None = key(
        None,
        "Clips each single gradient to plus or minus this, after max_gradient_norm; null does not.",
        changes="stability; unlike max_gradient_norm it bends the direction",
        gt=0.0,
    )
    mixed_precision: Literal["auto", "no", "fp16", "bf16", "fp8"] = key(
        "auto",
        "Number format of the matrix products; weights and optimizer stay in fp32. auto takes "
        "bf16 where the device computes it natively, and says so.",
        changes="speed and activation memory",
        unhonoured_values={
            "fp8": "the trainer has no 8-bit matrix products; bf16 is the nearest",
        },
    )
    float32_matmul_precision: Literal["highest", "high", "medium"] = key(
        "highest",
        "How exactly a GPU multiplies fp32 matrices: highest in full, high with TF32 (10 bits).",
        changes="speed of what is not in mixed precision",
        ignored="on most CPUs, and by products in 16 bits",
    )
    gradient_checkpointing: bool = key(
        False,
        "Keeps only the input of each block and computes the rest again in the backward pass.",
        changes="much less activation memory for about a third more compute",
    )
    gradient_checkpointing_kind: Literal["block", "selective"] = key(
        "block",
        "What is computed again: the whole block, or (selective) all but its matrix products and "
        "attention, which are kept.",
        changes="selective: less saved memory for a few percent more compute",
        needs="training.gradient_checkpointing",
    )
    label_smoothing: float = key(
        0.0,
        "Share of each target's probability that is spread over all other tokens.",
        changes="calibration; the loss no longer ends at zero",
        ge=0.0,
        lt=1.0,
    )
    repetition_penalty_weight: float = key(
        0.0,
        "Weight of a loss on tokens that would repeat an n-gram of the sequence "
        "(unlikelihood, arXiv 1908.04319).",
        changes="repetition in generated text",
        unhonoured=NOT_BUILT,
        ge=0.0,
    )
    immediate_repetition_weight: float = key(
        0.0,
        "Weight of a loss on repeating the token just said.",
        changes="repetition in generated text",
        unhonoured=NOT_BUILT,
        ge=0.0,
    )
    repetition_ngram_size: Whole = key(
        3,
        "Length of the n-grams that repetition_penalty_weight looks for.",
        unit="tokens",
        ignored="with repetition_penalty_weight: 0",
        unhonoured=NOT_BUILT,
        ge=1,
    )
    min_sequence_length: Whole = key(
        0,
        "Tokens that a text should have before it may end; see eos_penalty_weight.",
        unit="tokens",
        ignored="with eos_penalty_weight: 0",
        unhonoured=NOT_BUILT,
        ge=0,
    )
    eos_penalty_weight: float = key(
        0.0,
        "Weight of a loss on ending a text before min_sequence_length.",
        changes="length of generated text",
        unhonoured=NOT_BUILT,
        ge=0.0,
    )
    use_ema: bool = key(
        False,
        "Keeps a slowly moving average of the weights beside them, for evaluation.",
        changes="4 bytes of memory per parameter; smoother results",
    )
    ema_decay: float = key(
        0.999,
        "Memory of the average: 0.999 looks back about a thousand steps.",
        needs="training.use_ema",
        ge=0.0,
        lt=1.0,
    )
    eval_strategy: Literal["steps", "epoch", "no"] = key(
        "steps",
        "When to evaluate: every eval_steps, after each pass over the text, or never.",
        changes="whether you see overfitting",
    )
    eval_steps: Whole = key(
        100,
        "Evaluate on the held-out text every this many steps, and at the end; 0 only at the end.",
        unit="optimizer steps",
        ge=0,
    )
    early_stopping_patience: Whole | None = key(
        None,
        "Stop after this many evaluations without improvement; null never stops early.",
        unit="evaluations",
        changes="time and cost",
        ge=1,
    )
    early_stopping_threshold: float = key(
        0.0,
        "How much the metric has to improve to count as an improvement.",
        ignored="with early_stopping_patience: null",
        ge=0.0,
    )
    metric_for_best_model: str = key(
        "loss",
        "The metric of the held-out text that decides which checkpoint is best: loss or "
        "perplexity.",
        unhonoured="nothing else is measured on the held-out text; the loss decides",
        honoured=("loss", "eval_loss", "val_loss", "perplexity", "eval_perplexity"),
    )
    greater_is_better: bool = key(
        False,
        "Whether a larger metric_for_best_model is better; for a loss it is not.",
    )
    load_best_model_at_end: bool = key(
        False,
        "Goes back to the weights of the best evaluation when the training ends; they are saved "
        "for it.",
        changes="which weights you keep; a checkpoint for each evaluation that is the best so far",
    )
    save_strategy: Literal["steps", "epoch", "no"] = key(
        "steps",
        "When to save: every save_steps, after each pass over the text, or never.",
        changes="how much a crash can cost",
        unhonoured_values={
            "no": "the trainer saves at the end and when it is stopped, and nowhere else",
        },
    )
    save_steps: Whole = key(
        100,
        "Write a checkpoint every this many steps, and at the end; 0 only at the end.",
        unit="optimizer steps",
        changes="how much a crash can cost",
        ge=0,
    )
    save_total_limit: Whole = key(
        3,
        "How many verified checkpoints to keep; older ones are deleted. Two at least, because "
        "the newest may turn out damaged.",
        unit="checkpoints",
        changes="disk",
        ge=2,
    )
    logging_steps: Whole = key(
        1, "Write a row of metrics every this many steps.", unit="optimizer steps", ge=1
    )
    gradient_health: GradientHealthConfig = Field(default_factory=GradientHealthConfig)
    adaptive_lr: AdaptiveLrConfig = Field(default_factory=AdaptiveLrConfig)
    stability: StabilityConfig = Field(default_factory=StabilityConfig)
    loss_scaling: LossScalingConfig = Field(default_factory=LossScalingConfig)
    losses: LossesConfig = Field(default_factory=LossesConfig)
    mtp: MtpConfig = Field(default_factory=MtpConfig)
    gradient_surgery: GradientSurgeryConfig = Field(default_factory=GradientSurgeryConfig)
    dynamic_batching: DynamicBatchingConfig = Field(default_factory=DynamicBatchingConfig)
    progressive: ProgressiveConfig = Field(default_factory=ProgressiveConfig)
    lr_finder: LrFinderConfig = Field(default_factory=LrFinderConfig)
    compile: CompileConfig = Field(default_factory=CompileConfig)
