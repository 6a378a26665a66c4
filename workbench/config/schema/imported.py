"""`imported`: what another system's config said that has no place here."""

from __future__ import annotations

from typing import Any

from workbench.config.schema.base import Section, key


class ImportedConfig(Section):
    """Read by no trainer; `ava import` writes it, so that `ava export` loses nothing."""

    system: str | None = key(
        None,
        "The other system, such as deepspeed; null where the config is no import.",
        changes="what ava export writes back; not the training",
        max_length=80,
    )
    source: str | None = key(
        None,
        "The file that was imported.",
        changes="nothing; it says where the values come from",
        max_length=4096,
    )
    keys: dict[str, Any] = key(
        {},
        "Keys of that file that the workbench has no key for, nested as they stood there.",
        changes="what ava export writes back; not the training",
    )
    others: dict[str, Any] = key(
        {},
        "The same keys of files of further systems that were imported along, by system.",
        changes="what ava export writes back; not the training",
    )
