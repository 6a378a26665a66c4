"""DeepSeek-V3 from 1 to 50 "B": JSON for its trainer, YAML for its alignment stages."""

from __future__ import annotations

from workbench.dialects.package import Package

DIALECT = Package("deepseek_v3", "DeepSeek-V3 1B to 50B")
