"""The flow: conformer, up-sampling conformer, and ten steps of the diffusion transformer with guidance."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from common import attend, heads_first, normal, ready, sinusoids

WIDTH, HEADS, MEL = 512, 8, 80


class RelativeAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.position = nn.Linear(WIDTH, WIDTH, bias=False)
        self.u, self.w = nn.Parameter(normal(HEADS, 1, 64)), nn.Parameter(normal(HEADS, 1, 64))

    def forward(self, x, positions):
        q, k, v = (heads_first(project(x), HEADS) for project in (self.q, self.k, self.v))
        p = heads_first(self.position(positions), HEADS)
        by_position = (q + self.w) @ p.transpose(-1, -2)
        b, h, t, n = by_position.shape
        shifted = F.pad(by_position, (1, 0)).view(b, h, n + 1, t)[:, :, 1:].view(b, h, t, n)[..., : n // 2 + 1]
        scores = ((q + self.u) @ k.transpose(-1, -2) + shifted) / 8
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Conformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, 1e-12), nn.LayerNorm(WIDTH, 1e-12)
        self.attention = RelativeAttention()
        self.feed_forward = nn.Sequential(nn.Linear(WIDTH, 2048), nn.SiLU(), nn.Linear(2048, WIDTH))

    def forward(self, x, positions):
        x = x + self.attention(self.norm1(x), positions)
        return x + self.feed_forward(self.norm2(x))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5121, WIDTH // 2)
        self.embed, self.up_embed = (nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH)) for _ in range(2))
        self.look, self.settle = nn.Conv1d(WIDTH, WIDTH, 4), nn.Conv1d(WIDTH, WIDTH, 3)
        self.upsample = nn.Conv1d(WIDTH, WIDTH, 5)
        self.layers = nn.ModuleList(Conformer() for _ in range(6))
        self.up_layers = nn.ModuleList(Conformer() for _ in range(4))
        self.norm, self.project = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, MEL)

    def forward(self, rows):
        x = self.embed(self.table(rows).flatten(1)[None]) * WIDTH**0.5
        y = F.leaky_relu(self.look(F.pad(x.transpose(1, 2), (0, 3))))
        x = x + self.settle(F.pad(y, (2, 0))).transpose(1, 2)
        x = run(self.layers, x)
        x = self.upsample(F.pad(x.transpose(1, 2).repeat_interleave(2, -1), (4, 0))).transpose(1, 2)
        x = run(self.up_layers, self.up_embed(x) * WIDTH**0.5)
        return self.project(self.norm(x))


def run(layers, x):
    distances = torch.arange(x.shape[1] - 1, -x.shape[1], -1)
    positions = sinusoids(distances, WIDTH)[None]
    for layer in layers:
        x = layer(x, positions)
    return x


class CausalConv(nn.Conv1d):
    def forward(self, x):
        return super().forward(F.pad(x, (self.kernel_size[0] - 1, 0)))


class Transposed(nn.Module):
    """Runs a module on the last two dimensions exchanged."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x.transpose(1, 2)).transpose(1, 2)


class DiTBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.q_norm, self.k_norm = nn.LayerNorm(64), nn.LayerNorm(64)
        self.norm = nn.LayerNorm(WIDTH, 1e-6, elementwise_affine=False)
        self.conv = nn.Sequential(
            CausalConv(WIDTH, WIDTH, 3), Transposed(nn.LayerNorm(WIDTH)), nn.Mish(), CausalConv(WIDTH, WIDTH, 3)
        )
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 2048), nn.GELU(approximate="tanh"), nn.Linear(2048, WIDTH))
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(WIDTH, 9 * WIDTH))

    def attend(self, x):
        q, k, v = (heads_first(project(x), HEADS) for project in (self.q, self.k, self.v))
        return self.out(attend(self.q_norm(q), self.k_norm(k), v))

    def forward(self, x, time):
        m = self.modulation(time)[:, None].chunk(9, -1)
        x = x + m[2] * self.attend(self.norm(x) * (1 + m[1]) + m[0])
        y = self.norm(x) * (1 + m[7]) + m[6]
        x = x + m[8] * self.conv(y.transpose(1, 2)).transpose(1, 2)
        return x + m[5] * self.mlp(self.norm(x) * (1 + m[4]) + m[3])


class DiT(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(256, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        self.project = nn.Linear(4 * MEL, WIDTH)
        self.blocks = nn.ModuleList(DiTBlock() for _ in range(16))
        self.norm = nn.LayerNorm(WIDTH, 1e-6, elementwise_affine=False)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(WIDTH, 2 * WIDTH))
        self.last = nn.Linear(WIDTH, MEL)

    def forward(self, x, condition, time):
        speed = torch.exp(torch.arange(128) * (-math.log(10000.0) / 128)) * 1000
        time = self.time(torch.cat([torch.cos(time * speed), torch.sin(time * speed)])[None])
        h = self.project(torch.cat([x.expand(2, -1, -1), condition], -1))
        for block in self.blocks:
            h = block(h, time)
        shift, scale = self.modulation(time)[:, None].chunk(2, -1)
        return self.last(self.norm(h) * (1 + scale) + shift)


def stage(prompt, spoken, steps=10):
    """A voice of `prompt` and `spoken` rows of codes, 25 a second, to mel frames."""
    encoder, estimator, project = ready(Encoder()), ready(DiT()), ready(nn.Linear(192, MEL))
    rows = torch.stack([torch.randint(0, 1024, (prompt + spoken,)), torch.randint(1025, 5121, (prompt + spoken,))], 1)
    speaker, mel, noise = normal(192), normal(2 * prompt, MEL), normal(1, 2 * (prompt + spoken), MEL)
    times = [1 - math.cos(math.pi / 2 * k / steps) for k in range(steps + 1)]

    def sample():
        mu = encoder(rows)
        voice = project(F.normalize(speaker, dim=0)).expand_as(mu)
        known = F.pad(mel, (0, 0, 0, 2 * spoken))[None]
        condition = torch.cat([mu, voice, known], -1)
        condition = torch.cat([condition, torch.zeros_like(condition)])
        x = noise
        for now, then in zip(times, times[1:]):
            given, free = estimator(x, condition, torch.tensor(now)).chunk(2)
            x = x + (then - now) * (1.7 * given - 0.7 * free)
        return x[:, 2 * prompt :]

    return sample
