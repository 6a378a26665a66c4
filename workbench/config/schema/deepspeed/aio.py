"""`deepspeed.aio`: reading from and writing to NVMe drives."""

from __future__ import annotations

from workbench.config.schema.base import Section, Whole, key


class AioConfig(Section):
    """Without effect unless something is offloaded to NVMe."""

    NEEDS = "deepspeed.enabled"

    block_size: Whole = key(
        1_048_576,
        "Bytes of one request to the NVMe drive.",
        unit="bytes",
        changes="speed of the drive",
        ge=1,
    )
    queue_depth: Whole = key(
        8,
        "Requests to the NVMe drive that are under way at once.",
        unit="requests",
        changes="speed of the drive",
        ge=1,
    )
    thread_count: Whole = key(
        1, "Threads per device that make requests to the NVMe drive.", unit="threads", ge=1
    )
    single_submit: bool = key(
        False, "Makes requests to the NVMe drive one by one instead of in batches."
    )
    overlap_events: bool = key(True, "Makes new requests to the NVMe drive while others finish.")
