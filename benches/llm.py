"""The language model's shapes in PyTorch with random weights, beside `cargo bench --bench llm`.

OMP_PROC_BIND=true OMP_PLACES=cores python benches/llm.py [THREADS]
python benches/llm.py cuda

Prints tokens a second as the published 32 layers would give them, for decoding behind 500 positions and for prompts.
"""

import math
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

HIDDEN, INNER, HEADS, GROUPS, SIZE, LAYERS, ANSWERS = 3072, 8192, 48, 4, 64, 32, 5121


class Layer(nn.Module):
    """Grouped attention with a penalty on the root of the distance, and a gated layer."""

    def __init__(self):
        super().__init__()
        linear = lambda inputs, outputs: nn.Linear(inputs, outputs, bias=False)
        self.project = linear(HIDDEN, (HEADS + 2 * GROUPS) * SIZE)
        self.output = linear(HIDDEN, HIDDEN)
        self.expand, self.contract = linear(HIDDEN, 2 * INNER), linear(INNER, HIDDEN)
        self.first, self.second = nn.RMSNorm(HIDDEN), nn.RMSNorm(HIDDEN)

    def forward(self, x, penalties, cache, known):
        n = x.shape[0]
        rows = self.project(self.first(x)).view(n, HEADS + 2 * GROUPS, SIZE).transpose(0, 1)
        queries, keys, values = rows.split([HEADS, GROUPS, GROUPS])
        cache[0][:, known : known + n], cache[1][:, known : known + n] = keys, values
        keys, values = (part[:, : known + n].unsqueeze(0) for part in cache)
        mixed = F.scaled_dot_product_attention(
            queries.unsqueeze(0), keys, values, attn_mask=penalties, enable_gqa=True
        )
        x = x + self.output(mixed[0].transpose(0, 1).reshape(n, HIDDEN))
        gate, up = self.expand(self.second(x)).chunk(2, -1)
        return x + self.contract(F.silu(gate) * up)


def slopes():
    full = 2 ** math.floor(math.log2(HEADS))
    first = [2 ** (-8 * k / full) for k in range(1, full + 1)]
    rest = [2 ** (-4 * k / full) for k in range(1, 2 * (HEADS - full), 2)]
    return torch.tensor(first + rest).view(HEADS, 1, 1)


def penalties(known, n, dtype):
    queries = torch.arange(known, known + n).view(n, 1)
    distances = queries - torch.arange(known + n).view(1, -1)
    rows = -slopes() * distances.clamp(min=0).sqrt()
    return rows.masked_fill(distances < 0, -math.inf).to(dtype).unsqueeze(0)


def seconds(work, times):
    wait = torch.cuda.synchronize if torch.get_default_device().type == "cuda" else lambda: None
    work()
    spent = []
    for _ in range(times):
        wait()
        start = time.perf_counter()
        work()
        wait()
        spent.append(time.perf_counter() - start)
    return min(spent)


def measure(dtype, layers):
    model = nn.ModuleList(Layer() for _ in range(layers)).to(dtype)
    head = nn.Linear(HIDDEN, ANSWERS, bias=False).to(dtype)
    scale = LAYERS / layers
    room = [[torch.zeros(GROUPS, 2600, SIZE, dtype=dtype) for _ in range(2)] for _ in range(layers)]

    def step(n, known, last_only):
        x, rows = torch.randn(n, HIDDEN).to(dtype), penalties(known, n, dtype)
        for layer, cache in zip(model, room):
            x = layer(x, rows, cache, known)
        return head(x[-1:] if last_only else x)

    one = seconds(lambda: step(1, 500, False), 7) * scale
    print(f"{dtype}: decode {1 / one:.2f} tokens/s", flush=True)
    for n in (500, 2000):
        whole = seconds(lambda: step(n, 0, True), 1) * scale
        print(f"{dtype}: prompt of {n}: {whole:.2f} s, {n / whole:.0f} tokens/s", flush=True)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    if sys.argv[1:] == ["cuda"]:
        torch.set_default_device("cuda")
        measure(torch.bfloat16, LAYERS)
    else:
        torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
        for dtype, layers in ((torch.bfloat16, 8), (torch.float32, 4)):
            measure(dtype, layers)
