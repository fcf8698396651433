"""The speaker encoder (CAM++)."""

import torch
from torch import nn
from torch.nn import functional as F

from common import filter_bank, ready


class Residual(nn.Module):
    def __init__(self, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, (stride, 1), 1)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1)
        self.shortcut = nn.Conv2d(width, width, 1, (stride, 1)) if stride > 1 else nn.Identity()

    def forward(self, x):
        return (self.conv2(self.conv1(x).relu()) + self.shortcut(x)).relu()


class Dense(nn.Module):
    def __init__(self, width, dilation):
        super().__init__()
        self.norm, self.narrow = nn.BatchNorm1d(width), nn.Conv1d(width, 128, 1)
        self.local = nn.Conv1d(128, 32, 3, padding=dilation, dilation=dilation, bias=False)
        self.squeeze, self.excite = nn.Conv1d(128, 64, 1), nn.Conv1d(64, 32, 1)

    def forward(self, x):
        h = self.narrow(self.norm(x).relu()).relu()
        segments = F.avg_pool1d(h, 100, 100, ceil_mode=True).repeat_interleave(100, -1)[..., : h.shape[-1]]
        gate = self.excite(self.squeeze(h.mean(-1, keepdim=True) + segments).relu()).sigmoid()
        return torch.cat([x, self.local(h) * gate], 1)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Sequential(
            nn.Conv2d(1, 32, 3, 1, 1),
            nn.ReLU(),
            *(Residual(32, stride) for stride in (2, 1, 2, 1)),
            nn.Conv2d(32, 32, 3, (2, 1), 1),
            nn.ReLU(),
        )
        self.tdnn = nn.Conv1d(320, 128, 5, 2, 2)
        stages, width = [], 128
        for layers, dilation in ((12, 1), (24, 2), (16, 2)):
            stages += [Dense(width + 32 * n, dilation) for n in range(layers)]
            width += 32 * layers
            stages += [nn.BatchNorm1d(width), nn.ReLU(), nn.Conv1d(width, width // 2, 1)]
            width //= 2
        self.stages = nn.Sequential(*stages)
        self.dense = nn.Linear(2 * width, 192, bias=False)

    def forward(self, features):
        x = self.head(features.T[None, None]).flatten(1, 2)
        x = self.stages(self.tdnn(x).relu()).relu()
        return self.dense(torch.cat([x.mean(-1), x.std(-1)], -1))


def stage(samples):
    """16 kHz samples to an embedding."""
    network = ready(Encoder())

    def run():
        features = filter_bank(samples)
        return network(features - features.mean(0))

    return run
