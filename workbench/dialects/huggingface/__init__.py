"""Hugging Face's config.json: the shape of a network.

Which families there are is in `workbench.config.huggingface`, which reads published weights too.
"""

from __future__ import annotations

from workbench.dialects.package import Package

DIALECT = Package("huggingface", "Hugging Face")
