"""What is left of a LoRA run: a folder that peft loads, beside the checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.models.huggingface import UnsupportedError, save_adapter
from workbench.runs.files import explain

if TYPE_CHECKING:
    from workbench.training.session import Session

FOLDER = "adapter"


def export_adapter(session: Session) -> None:
    """Write the adapters as they are now. All processes take part.

    The last checkpoint has them too, so a disk that has no room for this is no reason to fail.
    """
    if not session.config.lora.enabled:
        return
    config = session.config
    with session.engine.whole_model() as model:
        if model is None:
            return
        try:
            save_adapter(
                model,
                config.lora,
                session.run.path / FOLDER,
                base=config.model.pretrained_path,
            )
        except UnsupportedError as error:
            session.report.line(f"adapter    stays in the checkpoints: {error}", "warning")
        except OSError as error:
            session.report.line(f"adapter    could not be written: {explain(error)}", "error")
        else:
            session.report.line(f"adapter    {FOLDER}/, for peft")
