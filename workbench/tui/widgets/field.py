"""A line to type in that costs no new layout of the screen with every letter."""

from __future__ import annotations

from textual.widgets import Input


class Field(Input):
    """Textual's `Input`, as wide inside as it is outside.

    Textual arranges the whole screen anew when a widget's inner width changes, which for an `Input`
    is at every key: 7 of 25 ms at 140 x 40 (textual 8.2.8).
    """

    @property
    def content_width(self) -> int:
        """Cells of the text, and at least those of the field."""
        return max(super().content_width, self.size.width)
