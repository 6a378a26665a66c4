"""Ava Workbench: know before you train a language model."""

__version__ = "0.1.0"
