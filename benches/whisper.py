"""Times Whisper of transformers at the dimensions of large-v3-turbo with random weights, as `benches/whisper.rs` does.

    pip install torch transformers
    OMP_NUM_THREADS=2 OMP_PROC_BIND=true OMP_PLACES=cores python benches/whisper.py
"""

import time

import numpy
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

CONFIG = WhisperConfig(
    vocab_size=51866,
    num_mel_bins=128,
    d_model=1280,
    encoder_layers=32,
    encoder_attention_heads=20,
    encoder_ffn_dim=5120,
    decoder_layers=4,
    decoder_attention_heads=20,
    decoder_ffn_dim=5120,
)
PROMPT = [50258, 50259, 50360, 50364]


@torch.inference_mode()
def transcribe(model, features, samples, count):
    """From samples to `count` tokens, greedy, with a cache."""
    mel = features(samples, sampling_rate=16000, return_tensors="pt").input_features
    states = model.model.encoder(mel)
    ids, cache = torch.tensor([PROMPT]), None
    for _ in range(count):
        output = model(encoder_outputs=states, decoder_input_ids=ids, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        ids = output.logits[:, -1:, :700].argmax(-1)


def main():
    samples = numpy.random.default_rng(0).normal(0, 0.2, 16000 * 30).astype(numpy.float32)
    features = WhisperFeatureExtractor(feature_size=128)
    model = WhisperForConditionalGeneration(CONFIG).eval()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for count in (1, 50):
        transcribe(model, features, samples, count)
        times = []
        for _ in range(3):
            start = time.perf_counter()
            transcribe(model, features, samples, count)
            times.append(time.perf_counter() - start)
        print(f"{count:>2} tokens: fastest {min(times):.2f} s, median {sorted(times)[1]:.2f} s")


if __name__ == "__main__":
    main()
