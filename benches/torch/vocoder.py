"""The vocoder (HiFT): pitch, harmonic source, generator, inverse Fourier transform."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from common import normal, ready

RATES, KERNELS, DILATIONS = (8, 5, 3), (16, 11, 7), (1, 3, 5)


class Snake(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, width, 1))

    def forward(self, x):
        return x + (1.0 / (self.alpha + 1e-9)) * torch.sin(x * self.alpha).pow(2)


class ResidualBlock(nn.Module):
    def __init__(self, width, taps):
        super().__init__()
        self.pairs = nn.ModuleList(
            nn.Sequential(
                Snake(width),
                nn.Conv1d(width, width, taps, padding=d * (taps // 2), dilation=d),
                Snake(width),
                nn.Conv1d(width, width, taps, padding=taps // 2),
            )
            for d in DILATIONS
        )

    def forward(self, x):
        for pair in self.pairs:
            x = x + pair(x)
        return x


class Vocoder(nn.Module):
    def __init__(self):
        super().__init__()
        pitch = []
        for n in range(5):
            pitch += [nn.Conv1d(80 if n == 0 else 512, 512, 3, padding=1), nn.ELU()]
        self.pitch, self.classify = nn.Sequential(*pitch), nn.Linear(512, 1)
        self.mix = nn.Linear(9, 1)
        self.before, self.after = nn.Conv1d(80, 512, 7, padding=3), nn.Conv1d(64, 18, 7, padding=3)
        widths = (512, 256, 128, 64)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(a, b, k, r, (k - r) // 2) for a, b, k, r in zip(widths, widths[1:], KERNELS, RATES)
        )
        self.downs = nn.ModuleList(
            [nn.Conv1d(18, 256, 30, 15, 7), nn.Conv1d(18, 128, 6, 3, 1), nn.Conv1d(18, 64, 1)]
        )
        self.sources = nn.ModuleList(ResidualBlock(w, k) for w, k in zip(widths[1:], (7, 7, 11)))
        self.blocks = nn.ModuleList(nn.ModuleList(ResidualBlock(w, k) for k in (3, 7, 11)) for w in widths[1:])
        self.register_buffer("window", torch.hann_window(16))

    def source(self, f0):
        harmonics = f0[:, None] * torch.arange(1, 10) / 24000
        phases = (harmonics % 1).cumsum(0) * 2 * math.pi * 480
        phases = F.interpolate(phases.T[None], scale_factor=480, mode="linear")[0].T
        voiced = (f0 > 10).repeat_interleave(480)[:, None]
        noise = torch.where(voiced, 0.003, 0.1 / 3) * torch.randn(phases.shape)
        return torch.tanh(self.mix(0.1 * torch.sin(phases) * voiced + noise))[:, 0]

    def forward(self, mel):
        """[1, 80, frames] to 480 samples a frame."""
        f0 = self.classify(self.pitch(mel).transpose(1, 2))[0, :, 0].abs()
        spectrum = torch.stft(self.source(f0), 16, 4, window=self.window, return_complex=True)
        spectrum = torch.cat([spectrum.real, spectrum.imag])[None]
        x = self.before(mel)
        for n, (up, down, source, blocks) in enumerate(zip(self.ups, self.downs, self.sources, self.blocks)):
            x = up(F.leaky_relu(x, 0.1))
            if n == 2:
                x = F.pad(x, (1, 0), mode="reflect")
            x = x + source(down(spectrum))
            x = sum(block(x) for block in blocks) / 3
        x = self.after(F.leaky_relu(x))
        magnitude, phase = x[:, :9].exp().clamp(max=100), x[:, 9:].sin()
        wave = torch.istft(torch.polar(magnitude, phase), 16, 4, window=self.window)
        return wave.clamp(-0.99, 0.99)


def stage(frames):
    """Mel frames, 50 a second, to samples."""
    network, mel = ready(Vocoder()), normal(1, 80, frames)
    return lambda: network(mel)
