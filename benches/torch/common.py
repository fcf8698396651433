"""What the PyTorch side of the measurements shares: random inputs, and layers with their usual names."""

import math

import torch
from torch import nn
from torch.nn import functional as F


def normal(*shape, scale=1.0):
    return torch.randn(*shape) * scale


def ready(module):
    """The module for inference, with weights small enough that no value overflows."""
    return module.eval().requires_grad_(False)


def heads_first(x, heads):
    """[b, t, h * d] -> [b, h, t, d]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attend(q, k, v, mask=None):
    """Softmax attention of [b, h, t, d] -> [b, t, h * d]."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


def mel_filters(bands, bins):
    """Triangles are a matrix like any other here."""
    return torch.rand(bands, bins)


def whisper_log_mel(samples, bands):
    """As openai-whisper computes it: [bands, samples / 160]."""
    window = torch.hann_window(400)
    power = torch.stft(samples, 400, 160, window=window, return_complex=True)[..., :-1].abs() ** 2
    mel = (mel_filters(bands, 201) @ power).clamp(min=1e-10).log10()
    return (torch.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0


def filter_bank(samples):
    """Kaldi's features: [frames, 80]."""
    frames = samples.unfold(0, 400, 160)
    frames = frames - frames.mean(1, keepdim=True)
    frames = frames - 0.97 * F.pad(frames[:, :-1], (1, 0))
    spectrum = torch.fft.rfft(frames * torch.hamming_window(400, periodic=False), 512).abs() ** 2
    return (spectrum[:, :256] @ mel_filters(80, 256).T).clamp(min=1.2e-7).log()


class Block(nn.Module):
    """A pre-norm transformer layer with exact GELU, as in Whisper."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.value, self.out = (nn.Linear(width, width) for _ in range(3))
        self.key = nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        y = self.norm1(x)
        q, k, v = (heads_first(project(y), self.heads) for project in (self.query, self.key, self.value))
        x = x + self.out(attend(q, k, v))
        return x + self.mlp(self.norm2(x))


def sinusoids(positions, width):
    """Sines in even columns and cosines in odd ones."""
    speed = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    table = torch.zeros(len(positions), width)
    table[:, 0::2] = torch.sin(positions[:, None] * speed)
    table[:, 1::2] = torch.cos(positions[:, None] * speed)
    return table
