"""AWS's FSDP trainer: lists of flags, batch scripts with them, and manifests of Kubernetes.

A config of this system is a row of flags for ``train.py``. It stands alone in a text
(``models/llama2_7b.txt``), in a bash array of a Slurm script, or in the ``command:`` of a manifest
(PyTorchJob, HyperPodPyTorchJob). What stands around the flags is kept and put back.
"""

from __future__ import annotations

from workbench.dialects.package import Package

DIALECT = Package("aws_fsdp", "AWS FSDP (awsome-distributed-ai)")
