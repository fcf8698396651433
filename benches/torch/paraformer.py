"""The recogniser: the encoder in chunks of 600 ms, the token counter, and 16 decoder layers."""

import torch
from torch import nn
from torch.nn import functional as F

from common import attend, filter_bank, heads_first, ready
from linguistic import Encoder, low_frame_rate

# About as many as the other side finds in noise with random weights.
TOKENS_PER_SECOND = 10


class DecoderLayer(nn.Module):
    def __init__(self, width=512, inner=2048, heads=4):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width, 1e-12) for _ in range(3))
        self.widen, self.inner_norm = nn.Linear(width, inner), nn.LayerNorm(inner, 1e-12)
        self.narrow = nn.Linear(inner, width, bias=False)
        self.memory = nn.Conv1d(width, width, 11, groups=width, bias=False)
        self.q, self.kv, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)

    def forward(self, x, encoded):
        y = self.norm2(self.narrow(self.inner_norm(self.widen(self.norm1(x)).relu())))
        x = x + y + self.memory(F.pad(y.transpose(1, 2), (10, 0))).transpose(1, 2)
        k, v = (heads_first(y, self.heads) for y in self.kv(encoded).chunk(2, -1))
        return x + self.out(attend(heads_first(self.q(self.norm3(x)), self.heads), k, v))


class Recogniser(nn.Module):
    def __init__(self, vocabulary=8501):
        super().__init__()
        self.encoder = Encoder()
        self.counter = nn.Conv1d(512, 512, 3, padding=1)
        self.weigh = nn.Linear(512, 1)
        self.decoder = nn.ModuleList(DecoderLayer() for _ in range(16))
        self.norm, self.output = nn.LayerNorm(512, 1e-12), nn.Linear(512, vocabulary)

    def forward(self, features, tokens):
        encoded = self.encoder(features, new=10, after=5)  # [chunks, window, d]
        weights = self.weigh(self.counter(encoded.transpose(1, 2)).relu().transpose(1, 2)).sigmoid()
        rows = (encoded * weights).flatten(0, 1)[None]
        x = F.adaptive_avg_pool1d(rows.transpose(1, 2), tokens).transpose(1, 2)
        for layer in self.decoder:
            x = layer(x, rows)
        return self.output(self.norm(x)).log_softmax(-1).argmax(-1)


def stage(samples):
    """16 kHz samples to tokens."""
    network = ready(Recogniser())
    tokens = TOKENS_PER_SECOND * len(samples) // 16000
    return lambda: network(low_frame_rate(filter_bank(samples)), tokens)
