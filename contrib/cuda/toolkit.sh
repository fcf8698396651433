#!/usr/bin/env bash
# Puts what building with CUDA needs into a folder, from NVIDIA's packages on PyPI: 100 MB to fetch, 270 MB there, no GPU needed.
#   toolkit.sh FOLDER
# Of CUDA 13.0, since drivers refuse kernels that a newer compiler made; 13.0 needs driver 580 or newer.
set -euo pipefail
folder=${1:?toolkit.sh FOLDER}
packages=(nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96
    nvidia-cuda-cccl==13.0.85)
[ ! -e "$folder" ] || { echo "\`$folder\` exists" >&2; exit 1; }
mkdir -p "$(dirname "$folder")"
work=$(mktemp -d "$(dirname "$folder")/.cuda-XXXXXX")
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --no-deps --dest "$work" "${packages[@]}"
for wheel in "$work"/*.whl; do python3 -m zipfile -e "$wheel" "$work/unpacked"; done
chmod +x "$work"/unpacked/nvidia/cu13/{bin,nvvm/bin}/*
mv "$work/unpacked/nvidia/cu13" "$folder"
"$folder/bin/nvcc" --version | tail -n 1
