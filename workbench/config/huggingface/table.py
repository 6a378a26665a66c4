"""The families of the Hugging Face hub whose configs can be read and written.

To add one: a file beside the others that makes its `Words`, and its name here. An export takes the
first that can hold the network, so the plainer stand first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.huggingface.bert import BERT
from workbench.config.huggingface.deepseek import DEEPSEEK_V3
from workbench.config.huggingface.gpt2 import GPT2
from workbench.config.huggingface.gpt_neox import GPT_NEOX
from workbench.config.huggingface.gptj import GPTJ
from workbench.config.huggingface.llama import LLAMA
from workbench.config.huggingface.mistral import MISTRAL
from workbench.config.huggingface.mixtral import MIXTRAL
from workbench.config.huggingface.qwen import QWEN2, QWEN3, QWEN3_MOE
from workbench.config.huggingface.t5 import T5

if TYPE_CHECKING:
    from workbench.config.huggingface.words import Words

WORDS: dict[str, Words] = {
    words.name: words
    for words in (
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
