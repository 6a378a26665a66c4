"""`python -m workbench.training.tracer`: a request on stdin, the answer on stdout, both JSON.

A request names a plan, ``{"config": …, "hardware": NAME}``, or holds the ``config.json`` of a
Hugging Face model. Faces ask through `workbench.estimate.tracing`, which keeps the answers.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import warnings
from typing import Any

from workbench.errors import WorkbenchError


def main() -> int:
    """Answer one request."""
    started = time.perf_counter()
    warnings.simplefilter("ignore")
    try:
        request = json.loads(sys.stdin.read())
        with contextlib.redirect_stdout(sys.stderr):
            answer = _answer(request)
    except WorkbenchError as error:
        answer = {"error": error.to_dict()}
    except Exception as error:  # noqa: BLE001 - whoever asked gets a sentence, whatever it is
        failed = WorkbenchError(
            "the tracer cannot run this",
            why=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
        )
        answer = {"error": failed.to_dict()}
    else:
        answer["seconds"] = round(time.perf_counter() - started, 2)
    sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if "error" in answer else 0


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    if "huggingface" in request:
        from workbench.training.tracer.huggingface import trace_model

        return trace_model(request)
    from workbench.config.schema import Config
    from workbench.hardware.devices import device
    from workbench.training.tracer.deep import trace_deep

    hardware = None if request["hardware"] is None else device(request["hardware"])
    return trace_deep(Config.model_validate(request["config"]), hardware)


if __name__ == "__main__":
    sys.exit(main())
