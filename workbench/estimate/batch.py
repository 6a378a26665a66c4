"""The batch identity: what one optimizer step sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from workbench.config.schema import Config


class Batch(NamedTuple):
    """Sequences and tokens of one optimizer step.

    Attributes:
        micro: Sequences per micro-batch per device.
        accumulation: Micro-batches per step.
        devices: Data-parallel degree.
        length: Tokens per sequence.
    """

    micro: int
    accumulation: int
    devices: int
    length: int

    @classmethod
    def of(cls, config: Config, devices: int = 1) -> Batch:
        """The batch of a config on `devices` data-parallel devices."""
        training = config.training
        return cls(
            training.batch_size,
            training.gradient_accumulation_steps,
            devices,
            config.data.max_length,
        )

    @property
    def sequences(self) -> int:
        """Sequences per optimizer step."""
        return self.micro * self.accumulation * self.devices

    @property
    def tokens(self) -> int:
        """Tokens per optimizer step."""
        return self.sequences * self.length

    def equation(self) -> str:
        """The identity with its numbers, as every face shows it."""
        return (
            f"{_many(self.micro, 'sequence')} × {_number(self.accumulation)} accumulation"
            f" × {_many(self.devices, 'device')}"
            f" = {_many(self.sequences, 'sequence')} × {_many(self.length, 'token')}"
            f" = {self.tokens:,} tokens per step"
        )


def _many(count: int, noun: str) -> str:
    return f"{_number(count)} {noun}" + ("" if count == 1 else "s")


def _number(count: int) -> str:
    """Thousands are set apart where there are enough digits to need it."""
    return f"{count:,}" if count >= 10_000 else str(count)
