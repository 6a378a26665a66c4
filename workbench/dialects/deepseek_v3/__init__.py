"""DeepSeek-V3 from 1 to 50 "B": JSON for its trainer, YAML for its alignment stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.dialects.deepseek_v3.reading import SYSTEM, read, recognise

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.dialects.base import Foreign, Guess, Reading, Writing


class DeepSeekV3:
    """The dialect."""

    name = SYSTEM
    title = "DeepSeek-V3 1B to 50B"

    def recognise(self, foreign: Foreign) -> Guess | None:
        """How much a text looks like one of its files."""
        return recognise(foreign)

    def read(self, foreign: Foreign) -> Reading:
        """Understand a file: the main kind, the release's, alignment, data or sanitization."""
        return read(foreign)

    def write(self, config: Config, *, chosen: frozenset[str]) -> Writing:
        """Say a plan in the system's words."""
        from workbench.dialects.deepseek_v3.writing import write

        return write(config, chosen)


DIALECT = DeepSeekV3()
