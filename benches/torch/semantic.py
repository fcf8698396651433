"""The semantic tokenizer (vq06): six Whisper-like layers at 25 Hz and the nearest of 4096 codes."""

import torch
from torch import nn
from torch.nn import functional as F

from common import Block, normal, ready, whisper_log_mel


class Tokenizer(nn.Module):
    def __init__(self, bands=128, width=1280, heads=20, layers=6, codes=4096):
        super().__init__()
        self.conv1 = nn.Conv1d(bands, width, 3, stride=2, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.positions = nn.Parameter(normal(1500, width, scale=0.1))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.codebook = nn.Parameter(normal(width, codes))

    def forward(self, mel):
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel[None])))).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        for block in self.blocks:
            x = block(x)
        x = F.normalize(x[0], dim=-1)
        distances = x.pow(2).sum(1, keepdim=True) - 2 * x @ self.codebook + self.codebook.pow(2).sum(0)
        return distances.argmin(-1)


def stage(samples):
    """16 kHz samples to codes."""
    network = ready(Tokenizer())
    return lambda: network(whisper_log_mel(samples, 128))
