"""The schema of a training run: one section per file, one root.

A section's file has the section's path: `training.gradient_health` is
``training/gradient_health.py``.
"""

from __future__ import annotations

from pydantic import Field

from workbench.config.schema.base import Section
from workbench.config.schema.checkpointing import CheckpointingConfig
from workbench.config.schema.data import DataConfig
from workbench.config.schema.deepspeed import DeepspeedConfig
from workbench.config.schema.evaluation import EvaluationConfig
from workbench.config.schema.fsdp import FsdpConfig
from workbench.config.schema.imported import ImportedConfig
from workbench.config.schema.logging import LoggingConfig
from workbench.config.schema.lora import LoraConfig
from workbench.config.schema.model import ModelConfig
from workbench.config.schema.parallel import ParallelConfig
from workbench.config.schema.quantization import QuantizationConfig
from workbench.config.schema.rag import RagConfig
from workbench.config.schema.rlhf import RlhfConfig
from workbench.config.schema.run import RunConfig
from workbench.config.schema.training import TrainingConfig

__all__ = [
    "CheckpointingConfig",
    "Config",
    "DataConfig",
    "DeepspeedConfig",
    "EvaluationConfig",
    "FsdpConfig",
    "ImportedConfig",
    "LoggingConfig",
    "LoraConfig",
    "ModelConfig",
    "ParallelConfig",
    "QuantizationConfig",
    "RagConfig",
    "RlhfConfig",
    "RunConfig",
    "Section",
    "TrainingConfig",
]


class Config(Section):
    """Everything a run is, section by section."""

    model: ModelConfig = Field(default_factory=ModelConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    data: DataConfig = Field(default_factory=DataConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    run: RunConfig = Field(default_factory=RunConfig)
    parallel: ParallelConfig = Field(default_factory=ParallelConfig)
    deepspeed: DeepspeedConfig = Field(default_factory=DeepspeedConfig)
    fsdp: FsdpConfig = Field(default_factory=FsdpConfig)
    checkpointing: CheckpointingConfig = Field(default_factory=CheckpointingConfig)
    logging: LoggingConfig = Field(default_factory=LoggingConfig)
    lora: LoraConfig = Field(default_factory=LoraConfig)
    rlhf: RlhfConfig = Field(default_factory=RlhfConfig)
    quantization: QuantizationConfig = Field(default_factory=QuantizationConfig)
    rag: RagConfig = Field(default_factory=RagConfig)
    imported: ImportedConfig = Field(default_factory=ImportedConfig)
