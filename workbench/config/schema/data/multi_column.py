"""`data.multi_column`: records with several fields, such as question and answer."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, key


class MultiColumnConfig(Section):
    """Which fields are used, and how they become one text."""

    NEEDS = "data.multi_column.enabled"

    enabled: bool = key(
        False,
        "Makes each training text from several fields of a record.",
        changes="what the model learns",
    )
    column_names: list[str] | None = key(None, "Fields to use, in order; null takes all.")
    column_types: list[str] | None = key(
        None, "Kind of each field of column_names: text or numeric; null takes all for text."
    )
    column_roles: list[str] | None = key(
        None,
        "Role of each field of column_names: input, target or auxiliary. The loss counts targets "
        "only, and an auxiliary field is left out, unless a template names it; null counts all.",
    )
    combine_strategy: Literal["concatenate", "separate", "template"] = key(
        "concatenate",
        "How the fields become text: one text with a line break between them, a text of its own "
        "for each field, or as column_template says.",
    )
    column_template: str | None = key(
        None,
        "Pattern with field names in braces, such as Question: {question} Answer: {answer}.",
        ignored="unless combine_strategy is template",
    )
