"""Secrets are found where they are, and nothing else is blotted out."""

from __future__ import annotations

import pytest

from workbench.masking import Mask, secrets_of, shaped, telling


@pytest.mark.parametrize(
    "name",
    ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD",
     "GITHUB_TOKEN", "SECRET", "my_api_key", "SSH_PRIVATE_KEY", "GOOGLE_CREDENTIALS", "X_AUTHKEY"],
)  # fmt: skip
def test_telling_names(name: str) -> None:
    assert telling(name)


@pytest.mark.parametrize(
    "name",
    ["TOKENIZERS_PARALLELISM", "num_tokens", "MAX_TOKENS", "KEYBOARD",
     "PATH", "SECRETARY", "MONKEY", "OMP_NUM_THREADS", "KEY"],
)  # fmt: skip
def test_innocent_names(name: str) -> None:
    assert not telling(name)


@pytest.mark.parametrize(
    "text",
    ["hf_" + "a1" * 17, "sk-" + "a1" * 12, "ghp_" + "a1" * 18, "AKIA" + "A1" * 8,
     "xoxb-1234567890-ab", "https://me:pass@host/x", "-----BEGIN RSA PRIVATE KEY-----\nabc\n"],
)  # fmt: skip
def test_shapes_of_keys(text: str) -> None:
    assert shaped(f"before {text} after")
    assert text.rpartition("@")[0][-4:] + "@" not in Mask({}).text(f"x {text} y")


@pytest.mark.parametrize(
    "text",
    ["hf_run", "task-force-of-one", "risk-adjusted-return-on-capital-employed", "sk-small",
     "https://huggingface.co/a/b", "loss 1.5 lr 3e-5", "abcdef0123456789" * 3, "a:b@c", "12:30:45"],
)  # fmt: skip
def test_innocent_text(text: str) -> None:
    assert not shaped(text)
    assert Mask({}).text(text) == text


def test_values_of_secret_variables() -> None:
    environment = {
        "HF_TOKEN": "abcdefgh", "A_TOKEN": "true", "B_TOKEN": "/home/me/.cache/token", "HOME": "/x",
    }  # fmt: skip
    assert secrets_of(environment) == {"abcdefgh": "HF_TOKEN"}
    mask = Mask(environment)
    assert mask.text("xabcdefghx true /home/me/.cache/token") == "x***x true /home/me/.cache/token"
    assert mask.places(b"..abcdefgh..") == [(2, 10)]


def test_escaped_and_nested_secrets() -> None:
    mask = Mask({"A_PASSWORD": 'say "hi"\n!', "B_TOKEN": "abcdefgh", "C_TOKEN": "abcdefghij"})
    assert mask.text(r'{"x": "say \"hi\"\n!"}') == '{"x": "***"}'
    assert mask.text("abcdefghij") == "***"
