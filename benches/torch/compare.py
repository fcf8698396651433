"""Times every stage but the language model in PyTorch and in stepaudio, taking turns on the same cores.

    pip install torch transformers
    OMP_PROC_BIND=true OMP_PLACES=cores python benches/torch/compare.py [--rounds 5] [STAGE ..]

Both sides have random weights at the published dimensions, f32, and all cores. The PyTorch side are plain modules of the
same shapes, written for this comparison; Whisper is the class of transformers.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch

import flow
import linguistic
import paraformer
import semantic
import speaker
import vocoder
from common import normal

PROMPT_ROWS, SPOKEN_ROWS = 6 * 25, 10 * 25
ROOT = Path(__file__).resolve().parents[2]


def noise(seconds):
    return normal(16000 * seconds, scale=0.2)


def whisper_tokens(count):
    import whisper

    return whisper.stage(30, count)


STAGES = {
    "linguistic": lambda: linguistic.stage(noise(6)),
    "semantic": lambda: semantic.stage(noise(6)),
    "speaker": lambda: speaker.stage(noise(6)),
    "encoder": lambda: flow.stage(PROMPT_ROWS, SPOKEN_ROWS, steps=1),
    "flow": lambda: flow.stage(PROMPT_ROWS, SPOKEN_ROWS),
    "vocoder": lambda: vocoder.stage(2 * SPOKEN_ROWS),
    "paraformer": lambda: paraformer.stage(noise(30)),
    "whisper-encoder": lambda: whisper_tokens(1),
    "whisper": lambda: whisper_tokens(50),
}


def seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def product_rate(size=2048):
    """Multiplications and additions a second of PyTorch's f32 matrix product, the floor's measure."""
    a, b = normal(size, size), normal(size, size)
    return 2 * size**3 / min(seconds(lambda: a @ b) for _ in range(10))


class Ours:
    """The bench of the repository, which runs a stage whenever it is asked."""

    def __init__(self, program):
        build = ["cargo", "bench", "--quiet", "--locked", "--bench", "stages", "--"]
        command = [*([program] if program else build), "--on-request"]
        # PyTorch's threads are bound to their cores, this one too; the program shall have them all.
        cores = range(os.cpu_count())
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )

    def run(self, name):
        print(name, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait()


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--program", help="the bench `stages`, where it is built already")
    parser.add_argument("stages", nargs="*", choices=[*STAGES, []], help="all by default")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    ours = Ours(arguments.program)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {product_rate() / 1e9:.0f} GFLOP/s")
    print(f"{'stage':<16}{'PyTorch':>10}{'ours':>10}{'ratio':>7}")
    for name in arguments.stages or STAGES:
        run = STAGES[name]()
        run(), ours.run(name)
        theirs, own = zip(*((seconds(run), ours.run(name)) for _ in range(arguments.rounds)))
        theirs, own = median(theirs), median(own)
        print(f"{name:<16}{theirs * 1e3:>7.0f} ms{own * 1e3:>7.0f} ms{theirs / own:>7.2f}", flush=True)
        del run
    ours.end()
    peaks = (resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print("peak memory of all that was loaded: PyTorch {:.1f} GiB, ours {:.1f} GiB".format(*peaks))


if __name__ == "__main__":
    sys.exit(main())
