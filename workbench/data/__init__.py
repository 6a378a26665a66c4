"""From text to batches: corpus, split, tokens, order. No torch; numpy inside functions only."""

from __future__ import annotations
