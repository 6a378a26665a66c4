"""The config.json of Hugging Face's models and ``model``: one into the other, without torch.

    configs.config_from_hf   config.json as keys of ``model``
    configs.hf_config        ``model`` as config.json

``table.WORDS`` lists the families; one file per family says how. Their tensors are in
`workbench.models.huggingface`.
"""
