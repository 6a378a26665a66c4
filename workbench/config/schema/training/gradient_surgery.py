"""`training.gradient_surgery`: gradients of several tasks that pull in different directions."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import NOT_BUILT, Section, key


class GradientSurgeryConfig(Section):
    """How conflicts between tasks are resolved."""

    UNHONOURED = NOT_BUILT
    NEEDS = "training.gradient_surgery.enabled"

    enabled: bool = key(
        False,
        "Removes from each task's gradient the part that works against another task's.",
        changes="one backward pass and one gradient per task",
    )
    method: Literal["pcgrad", "graddrop", "gradnorm", "cagrad", "mgda"] = key(
        "pcgrad",
        "How: pcgrad projects conflicts away, cagrad looks for the step that helps the worst task, "
        "mgda for one that hurts none.",
    )
    adaptive: bool = key(False, "Chooses the method anew from how strong the conflicts are.")
    multi_task: bool = key(
        False, "The data holds several tasks; without them there is nothing to resolve."
    )
