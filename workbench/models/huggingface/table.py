"""The families of the Hugging Face hub that can be read and written.

To add one: a file beside the others that makes a `Family`, and its name here. An export takes the
first that can hold the network, so the plainer stand first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.models.huggingface.bert import BERT
from workbench.models.huggingface.deepseek import DEEPSEEK_V3
from workbench.models.huggingface.gpt2 import GPT2
from workbench.models.huggingface.gpt_neox import GPT_NEOX
from workbench.models.huggingface.gptj import GPTJ
from workbench.models.huggingface.llama import LLAMA
from workbench.models.huggingface.mistral import MISTRAL
from workbench.models.huggingface.mixtral import MIXTRAL
from workbench.models.huggingface.qwen import QWEN2, QWEN3, QWEN3_MOE
from workbench.models.huggingface.t5 import T5

if TYPE_CHECKING:
    from workbench.models.huggingface.family import Family

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        LLAMA,
        MISTRAL,
        QWEN2,
        QWEN3,
        MIXTRAL,
        QWEN3_MOE,
        DEEPSEEK_V3,
        GPT2,
        GPTJ,
        GPT_NEOX,
        BERT,
        T5,
    )
}
