"""Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1).

The keys and values of all heads are made from one short vector per token, the latent. Positions
cannot be turned inside it, so each query and key head has a second part that is turned, and all
heads share one turned key. Training makes keys and values and attends as usual. Generation keeps
only the latent and the turned key; for a single new token the matrices that would make keys and
values are absorbed into the query and the output (section 2.1.2), so they are never made.

Shapes: B batch, T new positions, S positions in the cache and new, D width, H heads, N features of
a head that know no position, P features that are turned, V width of a value head, R latent,
Q query latent.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from workbench.models.attend import attend
from workbench.models.linear import Linear
from workbench.models.norm import RMSNorm
from workbench.models.rope import rotate
from workbench.models.rope_scaling import yarn_mscale

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig
    from workbench.models.attention import KeyValueCache, Where

# DeepSeek's norms of the latents have this number, whatever the others have.
_EPS = 1e-6
_FP8 = torch.float8_e4m3fn
# Features that share one scale in the 8-bit cache, as in FlashMLA's layout.
_SCALED_TOGETHER = 128


class LatentAttention(nn.Module):
    """Attention whose keys and values come from a latent vector.

    Args:
        config: The shape of the model.

    Raises:
        ValueError: The turned features do not form pairs.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        mla = config.mla
        if mla.qk_rope_head_dim % 2:
            raise ValueError(
                f"model.mla.qk_rope_head_dim {mla.qk_rope_head_dim} must be even: rotary positions "
                "turn pairs"
            )
        self.heads = config.num_attention_heads
        self.nope, self.rope, self.value = (
            mla.qk_nope_head_dim,
            mla.qk_rope_head_dim,
            mla.v_head_dim,
        )
        self.rank, self.fp8_cache = mla.kv_lora_rank, mla.use_fp8_kv
        self.dropout = config.attention_dropout
        self.implementation = config.attention_implementation
        self.scale = score_scale(config)
        width, bias, out_bias = (
            config.hidden_size,
            config.attention_bias,
            config.attention_out_bias,
        )
        query = self.heads * (self.nope + self.rope)
        self.q_proj = Linear(width, query) if mla.q_lora_rank is None else None
        if mla.q_lora_rank is not None:
            self.q_a_proj = Linear(width, mla.q_lora_rank, bias=bias)
            self.q_a_norm = RMSNorm(mla.q_lora_rank, _EPS)
            self.q_b_proj = Linear(mla.q_lora_rank, query)
        self.kv_a_proj = Linear(width, self.rank + self.rope, bias=bias)
        self.kv_a_norm = RMSNorm(self.rank, _EPS)
        self.kv_b_proj = Linear(self.rank, self.heads * (self.nope + self.value))
        self.o_proj = Linear(
            self.heads * self.value, width, bias=bias if out_bias is None else out_bias
        )

    def forward(
        self, x_BTD: torch.Tensor, where: Where, cache: KeyValueCache | None = None
    ) -> torch.Tensor:
        """Attend; with a cache, also to the positions it holds."""
        batch, length, _ = x_BTD.shape
        if self.q_proj is None:
            q_BTQ = self.q_b_proj(self.q_a_norm(self.q_a_proj(x_BTD)))
        else:
            q_BTQ = self.q_proj(x_BTD)
        q_BTHK = q_BTQ.view(batch, length, self.heads, -1)
        latent_BTR, k_BTP = self.kv_a_proj(x_BTD).split((self.rank, self.rope), dim=-1)
        latent_BTR, k_BT1P = self.kv_a_norm(latent_BTR), k_BTP[:, :, None]
        q_nope_BTHN, q_rope_BTHP = q_BTHK.split((self.nope, self.rope), dim=-1)
        if where.rotary is not None:
            q_rope_BTHP = rotate(q_rope_BTHP, where.rotary)
            k_BT1P = rotate(k_BT1P, where.rotary)
        if cache is None:
            y_BTHV = self._expanded(q_nope_BTHN, q_rope_BTHP, latent_BTR, k_BT1P, where)
        else:
            latent_BSR, k_BS1P = self._remember(cache, latent_BTR, k_BT1P)
            way = self._absorbed if length == 1 and where.sight.mask is None else self._expanded
            y_BTHV = way(q_nope_BTHN, q_rope_BTHP, latent_BSR, k_BS1P, where)
        return self.o_proj(y_BTHV.reshape(batch, length, -1))  # type: ignore[no-any-return]

    def _expanded(
        self,
        q_nope_BTHN: torch.Tensor,
        q_rope_BTHP: torch.Tensor,
        latent_BSR: torch.Tensor,
        k_BS1P: torch.Tensor,
        where: Where,
    ) -> torch.Tensor:
        """Make the keys and values of every head, and attend as usual."""
        kv_BSHX = self.kv_b_proj(latent_BSR).view(*latent_BSR.shape[:2], self.heads, -1)
        k_nope_BSHN, v_BSHV = kv_BSHX.split((self.nope, self.value), dim=-1)
        k_BSHP = k_BS1P.expand(-1, -1, self.heads, -1)
        return attend(
            torch.cat((q_nope_BTHN, q_rope_BTHP), dim=-1),
            torch.cat((k_nope_BSHN, k_BSHP), dim=-1),
            v_BSHV,
            where.sight,
            scale=self.scale,
            dropout=self.dropout if self.training else 0.0,
            implementation=self.implementation,
        )

    def _absorbed(
        self,
        q_nope_BTHN: torch.Tensor,
        q_rope_BTHP: torch.Tensor,
        latent_BSR: torch.Tensor,
        k_BS1P: torch.Tensor,
        _where: Where,
    ) -> torch.Tensor:
        """One query that sees everything: compare it with the latents themselves."""
        weight_HXR = self.kv_b_proj.weight.to(latent_BSR.dtype).view(self.heads, -1, self.rank)
        key_HNR, value_HVR = torch.split(weight_HXR, [self.nope, self.value], dim=1)
        q_BTHR = torch.einsum("bthn,hnr->bthr", q_nope_BTHN, key_HNR)
        score_BHTS = torch.einsum("bthr,bsr->bhts", q_BTHR, latent_BSR)
        score_BHTS = score_BHTS + torch.einsum("bthp,bsp->bhts", q_rope_BTHP, k_BS1P[:, :, 0])
        weight_BHTS = (score_BHTS.float() * self.scale).softmax(dim=-1).to(latent_BSR.dtype)
        y_BTHR = torch.einsum("bhts,bsr->bthr", weight_BHTS, latent_BSR)
        return torch.einsum("bthr,hvr->bthv", y_BTHR, value_HVR)

    def _remember(
        self, cache: KeyValueCache, latent_BTR: torch.Tensor, k_BT1P: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put the new positions into the cache and take all of them out: latents, turned keys."""
        latent_BT1R = latent_BTR[:, :, None]
        if not self.fp8_cache:
            latent_BS1R, k_BS1P = cache.append(latent_BT1R, k_BT1P)
            return latent_BS1R[:, :, 0], k_BS1P
        code_BT1R, scale_BT1G = quantise(latent_BT1R)
        # The scales lie behind the turned key, which stays as it is.
        rest_BT1Y = torch.cat((k_BT1P.float(), scale_BT1G), dim=-1)
        code_BS1R, rest_BS1Y = cache.append(code_BT1R, rest_BT1Y)
        k_BS1P, scale_BS1G = torch.split(rest_BS1Y, [self.rope, scale_BT1G.shape[-1]], dim=-1)
        latent_BS1R = dequantise(code_BS1R, scale_BS1G).to(latent_BTR.dtype)
        return latent_BS1R[:, :, 0], k_BS1P.to(latent_BTR.dtype)


def score_scale(config: ModelConfig) -> float:
    """What the scores are multiplied by: 1 / sqrt(N + P), sharpened for stretched positions.

    With ``rope_scaling.mscale_all_dim`` DeepSeek divides cosine and sine by a factor, so that only
    the turned part would lose it, and multiplies all scores by its square instead.
    """
    mla, scaling = config.mla, config.rope_scaling
    scale = 1 / math.sqrt(mla.qk_nope_head_dim + mla.qk_rope_head_dim)
    if config.position_embedding_type == "rope" and scaling.type == "yarn":
        scale *= yarn_mscale(scaling.factor, scaling.mscale_all_dim or 0.0) ** 2
    return scale


def quantise(x_R: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """8-bit codes of the last dimension and the fp32 scale of each 128 of them."""
    parts = torch.split(x_R.float(), _SCALED_TOGETHER, dim=-1)
    largest = torch.finfo(_FP8).max
    scales = [part.abs().amax(dim=-1, keepdim=True).clamp(min=1e-12) / largest for part in parts]
    codes = [
        (part / scale).clamp(-largest, largest).to(_FP8)
        for part, scale in zip(parts, scales, strict=True)
    ]
    return torch.cat(codes, dim=-1), torch.cat(scales, dim=-1)


def dequantise(code_R: torch.Tensor, scale_G: torch.Tensor) -> torch.Tensor:
    """The numbers that the codes stand for, fp32."""
    repeated_R = scale_G.repeat_interleave(_SCALED_TOGETHER, dim=-1)[..., : code_R.shape[-1]]
    return code_R.float() * repeated_R
