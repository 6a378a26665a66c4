"""What a section and a key are: the one place where a key's meaning is written down.

Every key of the schema is declared with `key(...)`: default, range, unit, meaning, what it changes,
when it is ignored, and why today's trainer does not honour it. Form help, notebook tooltips,
`ava config explain`, the JSON Schema and the documentation are all read from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Mapping


class Section(BaseModel):
    """A mapping of the config tree. Unknown keys are refused; values never change once checked.

    A subclass may speak for all its keys at once:

    Attributes:
        UNHONOURED: Why today's trainer honours none of them.
        NEEDS: The key that has to be on for them to matter, as in ``key(needs=…)``; it may be one
            of them.
    """

    # Building a validator for each section and again for the root would double the import time; the
    # root builds once, when it is first used.
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True
    )

    UNHONOURED: ClassVar[str | None] = None
    NEEDS: ClassVar[str | None] = None


def key(
    default: Any,
    meaning: str,
    *,
    unit: str | None = None,
    changes: str | None = None,
    ignored: str | None = None,
    needs: str | None = None,
    unhonoured: str | None = None,
    unhonoured_values: Mapping[str, str] | None = None,
    honoured: tuple[str | int, ...] = (),
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    max_length: int | None = None,
) -> Any:
    """Declare one key.

    Args:
        default: The value when no layer sets the key: what the trainer does by itself.
        meaning: What it is, in one or two plain sentences.
        unit: What one of it is: ``tokens``, ``sequences``, ``optimizer steps``, ``bytes``.
        changes: What moves when it moves: memory, speed, quality, files.
        ignored: When the value has no effect, for example ``with num_experts: 1``.
        needs: Path of a switch that has to be on for the value to have an effect, or
            ``path=word`` for a choice that has to be made.
        unhonoured: Why today's trainer does not honour the key, as a clause after a colon.
        unhonoured_values: The same for single values of an otherwise honoured choice.
        honoured: With `unhonoured`, the values (of a list: the items) that are honoured all the
            same.
        ge: Smallest value, included.
        gt: Smallest value, excluded.
        le: Largest value, included.
        lt: Largest value, excluded.
        max_length: Longest text.
    """
    told: dict[str, Any] = {
        "unit": unit,
        "changes": changes,
        "ignored": ignored,
        "needs": needs,
        "unhonoured": unhonoured,
        "unhonoured-values": dict(unhonoured_values) if unhonoured_values else None,
        "honoured": list(honoured),
    }
    return Field(
        default,
        description=meaning,
        json_schema_extra={f"x-{name}": value for name, value in told.items() if value},
        ge=ge,
        gt=gt,
        le=le,
        lt=lt,
        max_length=max_length,
    )


def _integral(value: Any) -> Any:
    """Accept 5e8 where a whole number is meant; leave everything else for pydantic to refuse."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError("no count is that large")
    return value


_LARGEST = 10**18  # beyond it a product of three keys is no float any more


Whole = Annotated[int, BeforeValidator(_integral)]
"""A whole number that may be written as ``5e8``."""

ONE_DEVICE = "the trainer runs on one device so far"
NOT_BUILT = "the trainer has no code for it"
"""Reasons that many keys share."""
