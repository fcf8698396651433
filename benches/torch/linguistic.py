"""The encoder of the streaming Paraformer (vq02 and the recogniser's): 50 SANM layers, all chunks in one batch."""

import torch
from torch import nn
from torch.nn import functional as F

from common import attend, filter_bank, heads_first, normal, ready


class Layer(nn.Module):
    def __init__(self, width, inner=512, heads=4):
        super().__init__()
        self.heads, self.same = heads, width == inner
        self.norm1, self.norm2 = nn.LayerNorm(width, 1e-12), nn.LayerNorm(inner, 1e-12)
        self.qkv, self.out = nn.Linear(width, 3 * inner), nn.Linear(inner, inner)
        self.memory = nn.Conv1d(inner, inner, 11, padding=5, groups=inner, bias=False)
        self.feed_forward = nn.Sequential(nn.Linear(inner, 2048), nn.ReLU(), nn.Linear(2048, inner))

    def forward(self, x, kept, back, mask):
        """x [chunks, window, width]; a chunk sees the `kept` rows of each of the `back` chunks before it."""
        q, k, v = self.qkv(self.norm1(x)).chunk(3, -1)

        def with_past(y):
            past = F.pad(y[:, :kept], (0, 0, 0, 0, back, 0)).unfold(0, back, 1)[:-1]  # [chunks, kept, d, back]
            return torch.cat([past.permute(0, 3, 1, 2).flatten(1, 2), y], 1)

        q, k, v_heads = (heads_first(y, self.heads) for y in (q, with_past(k), with_past(v)))
        memory = self.memory(v.transpose(1, 2)).transpose(1, 2) + v
        y = self.out(attend(q, k, v_heads, mask)) + memory
        x = x + y if self.same else y
        return x + self.feed_forward(self.norm2(x))


class Encoder(nn.Module):
    def __init__(self, layers=50):
        super().__init__()
        self.layers = nn.ModuleList(Layer(560 if n == 0 else 512) for n in range(layers))
        self.norm = nn.LayerNorm(512, 1e-12)

    def forward(self, features, new, after, back=4):
        """features [rows, 560], `new` rows a chunk behind `after` rows that it shares with the one before."""
        rows = F.pad(features, (0, 0, after, -len(features) % new))
        x = rows.unfold(0, new + after, new).transpose(1, 2) * 512**0.5
        chunks = torch.arange(len(x))
        seen = torch.arange(-back, 0)[None] + chunks[:, None] >= 0
        past = seen.repeat_interleave(new, 1)
        mask = torch.cat([past, torch.ones(len(x), new + after, dtype=torch.bool)], 1)[:, None, None]
        for layer in self.layers:
            x = layer(x, new, back, mask)
        return self.norm(x)


def low_frame_rate(features):
    """Seven frames side by side, every sixth: [rows, 560]."""
    return features.unfold(0, 7, 6).transpose(1, 2).flatten(1)


def stage(samples):
    """16 kHz samples to codes."""
    encoder, codebook = ready(Encoder()), normal(1024, 512)

    def run():
        encoded = encoder(low_frame_rate(filter_bank(samples)), new=4, after=5)[:, -4:].flatten(0, 1)
        return torch.cdist(encoded, codebook).argmin(-1)

    return run
