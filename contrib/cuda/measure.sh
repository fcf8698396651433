#!/usr/bin/env bash
# Measures a GPU: parity, the language model beside the card's memory and beside PyTorch, every other stage, a clone from text to
# sound, and what loading, unloading and releasing take and leave.
#   measure.sh [MODELS]      a checkpoint; examples/random_checkpoint writes one of the published size
#   STEPAUDIO_DEVICE=cpu measure.sh      goes through all of it without a GPU (small: for testing this script)
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
models=$(realpath -e "${1:-$root/tests/data/checkpoint}")
cd "$root"
export STEPAUDIO_MODELS=$models STEPAUDIO_DEVICE=${STEPAUDIO_DEVICE:-cuda}
features=() stages=()
if command -v nvcc >/dev/null; then features=(--features cuda); fi
if [ "$STEPAUDIO_DEVICE" = cpu ]; then stages=(speaker); fi
cargo build --locked --release "${features[@]}" --bin stepaudio
work=$(mktemp -d) daemon=''
export XDG_RUNTIME_DIR=$work XDG_CACHE_HOME=$work
stop() {
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
    wait
    rm -rf "$work"
}
trap stop EXIT
say() { printf '\n## %s\n' "$*"; }
run() { "$root/target/release/stepaudio" "$@"; }
seconds() { local TIMEFORMAT='%R s' && { time "$@" >/dev/null 2>&1; } 2>&1; }

say machine
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.mem --format=csv,noheader 2>/dev/null || echo "no GPU"
run doctor

say parity
if run doctor --golden tests/data/golden --models tests/data/checkpoint >"$work/rows"; then
    echo "all rows within their tolerance"
else
    grep ✗ "$work/rows"
fi

say the language model, 32 layers of random bf16 weights
cargo bench --locked "${features[@]}" --bench device 2>/dev/null
if [ "$STEPAUDIO_DEVICE" != cpu ]; then python3 benches/llm.py cuda || echo "PyTorch is not here"; fi

say the other stages: a voice of 6 s, a text of 10 s
cargo bench --locked "${features[@]}" --bench stages -- "${stages[@]}" 2>/dev/null

say a clone through a daemon: it loads, then it is ready, then it comes back from RAM
voice=(--voice tests/data/audio/lighthouse.flac --voice-text "What the recording says." --refresh --max-length 800)
text="Ten seconds of speech are about thirty words, so that this sentence has to go on for a while, and then for a while longer."
# The last word stands for the samples, which stay the same whichever process speaks.
clone() {
    local told
    told=$(run clone "$text" "${voice[@]}" -o "$work/out.wav" --force --json)
    echo "$told $(md5sum <"$work/out.wav" | cut -c 1-8)"
}
run serve >"$work/daemon.log" 2>&1 &
daemon=$!
until run gpu status --json 2>/dev/null | grep -q '"daemon":{'; do sleep 0.1; done
for turn in loading ready; do
    echo "$turn: $(clone)"
done
echo "first sound, when ready: $(seconds bash -c '"$@" | head -c 4800' - \
    "$root/target/release/stepaudio" clone "$text" "${voice[@]}" -o - --format pcm)"
echo "unload: $(seconds "$root/target/release/stepaudio" gpu unload)"
echo "restored: $(clone)"
echo "release: $(run gpu release --json)"
