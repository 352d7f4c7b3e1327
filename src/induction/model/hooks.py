"""What a forward pass hands back (Record) and what it is made to do (Intervention)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

_LEAST = 1e-12  # attention that is left of a pattern, below which there is none

Site = Literal["resid_pre", "pattern", "z"]


@dataclass
class Record:
    """Collects activations of the sites and layers asked for.

    After a forward pass, `record["pattern", layer]` is [B, H, T query, T key],
    `record["z", layer]` (head outputs before W_O) is [B, H, T, K], and
    `record["resid_pre", layer]` is [B, T, D]. `layers` of None means every layer.
    """

    sites: Collection[Site]
    layers: Collection[int] | None = None
    values: dict[tuple[Site, int], Tensor] = field(default_factory=dict)

    def wants(self, site: Site, layer: int) -> bool:
        return site in self.sites and (self.layers is None or layer in self.layers)

    def put(self, site: Site, layer: int, value: Tensor) -> None:
        if self.wants(site, layer):
            self.values[site, layer] = value

    def __getitem__(self, key: tuple[Site, int]) -> Tensor:
        return self.values[key]


@dataclass(frozen=True)
class Intervention:
    """Changes to a forward pass.

    head_scale: layer → [B, H] or [H] factors on every head's output z; 0 removes a head.
    head_offset: layer → [B, H, T, K], or what broadcasts to it, added to z after scaling; with a
    factor of 0 it takes the place of a head's output.
    z: layer → [B, H, T, K] head outputs to use instead of the model's own, before the two above.
    patterns: layer → [B, H, T, T] attention patterns to use instead of the model's own.
    blocked: layer → [B, H, T query, T key], or what broadcasts to it: true where a head may not
    attend. What is left of its pattern is scaled to sum to 1 again; nothing left stays 0.
    first_head: layer → [B, T, T] pattern that its first head attends with, before `blocked`.
    start: (layer, [B, T, D]) residual stream to begin with at that layer, skipping those before.
    """

    head_scale: Mapping[int, Tensor] = field(default_factory=dict)
    head_offset: Mapping[int, Tensor] = field(default_factory=dict)
    z: Mapping[int, Tensor] = field(default_factory=dict)
    patterns: Mapping[int, Tensor] = field(default_factory=dict)
    blocked: Mapping[int, Tensor] = field(default_factory=dict)
    first_head: Mapping[int, Tensor] = field(default_factory=dict)
    start: tuple[int, Tensor] | None = None

    def attends_otherwise(self, layer: int) -> bool:
        """Whether `pattern` changes what a layer's heads attend to."""
        return layer in self.blocked or layer in self.first_head

    def pattern(self, layer: int, pattern_BHTT: Tensor) -> Tensor:
        """The pattern that goes on in place of the model's own."""
        clamped_BTT, blocked = self.first_head.get(layer), self.blocked.get(layer)
        if clamped_BTT is not None:
            pattern_BHTT = torch.cat([clamped_BTT[:, None], pattern_BHTT[:, 1:]], dim=1)
        if blocked is None:
            return pattern_BHTT
        left = pattern_BHTT.masked_fill(blocked, 0.0)
        return left / left.sum(dim=-1, keepdim=True).clamp(min=_LEAST)

    def head_output(self, layer: int, z_BHTK: Tensor) -> Tensor:
        """The z that goes on in place of the model's own."""
        factors, offset = self.head_scale.get(layer), self.head_offset.get(layer)
        if factors is not None:
            z_BHTK = z_BHTK * factors[..., None, None]
        return z_BHTK if offset is None else z_BHTK + offset
