"""`rag`: retrieval-augmented generation: passages looked up for each text."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import NOT_BUILT, Section, Whole, key


class RagConfig(Section):
    """Where passages come from, how they are found, and how they enter the model."""

    UNHONOURED = NOT_BUILT
    NEEDS = "rag.enabled"

    enabled: bool = key(
        False,
        "Looks up passages for each text and lets the model read them.",
        changes="memory and time per step with the number of passages",
    )
    knowledge_base_path: str | None = key(
        None, "Folder of the passages that can be looked up.", changes="what can be looked up"
    )
    retrieval_corpus_path: str | None = key(
        None, "Passages to train the retrieval on; null takes knowledge_base_path."
    )
    max_retrieved_docs: Whole = key(
        5,
        "Passages that are looked up for each text.",
        unit="passages",
        changes="memory and time per step",
        ge=1,
    )
    rag_fusion_type: Literal["attention", "concatenate", "gate", "weighted"] = key(
        "attention",
        "How passages enter: concatenate puts them before the text, attention lets "
        "cross-attention layers read them.",
        changes="sequence length, or parameters",
    )
    encoder_dim: Whole = key(
        768, "Width of the encoder that turns passages into vectors.", unit="features", ge=1
    )
    retrieval_dim: Whole = key(
        256,
        "Length of the vectors that are compared.",
        unit="features",
        changes="size of the index: passages x this x 4 bytes",
        ge=1,
    )
    retrieval_batch_size: Whole = key(64, "Texts that are looked up at once.", unit="texts", ge=1)
    similarity_threshold: float = key(
        0.0, "Passages less similar than this are left out.", ge=-1.0, le=1.0
    )
    use_faiss_index: bool = key(
        False,
        "Looks up through a FAISS index instead of comparing with every passage.",
        changes="speed with millions of passages",
    )
    faiss_index_type: Literal["Flat", "IVF", "HNSW"] = key(
        "Flat",
        "Kind of that index: Flat is exact, the others are faster and miss a few passages.",
        needs="rag.use_faiss_index",
    )
    rerank_retrieved: bool = key(
        False, "Sorts what was found by a second, slower model.", changes="time per step"
    )
    use_advanced_retrieval: bool = key(
        False, "Searches by words and by vectors and merges the results.", changes="time per step"
    )
    include_retrieval_targets: bool = key(
        False, "The data names the right passages, which the retrieval is trained towards."
    )
    generation_loss_weight: float = key(
        1.0, "Weight of the ordinary loss beside that of the retrieval.", ge=0.0
    )
    retrieval_loss_weight: float = key(
        0.0, "Weight of the retrieval's own loss beside the ordinary one.", ge=0.0
    )
