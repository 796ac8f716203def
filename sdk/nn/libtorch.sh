#!/usr/bin/env bash
# Sets up LibTorch 2.9.0 for the CPU in a folder, by default one in the user's cache, from PyPI (0.9 GB), and prints
# what to export before building with `--features perdura-nn/libtorch`. Where pytorch.org can be reached it is not
# needed: without LIBTORCH the build downloads LibTorch by itself.
#
#   eval "$(sdk/nn/libtorch.sh)" && cargo build --release --features perdura-nn/libtorch
set -euo pipefail

dir=$(realpath -m "${1:-${XDG_CACHE_HOME:-$HOME/.cache}/perdura/libtorch}")
if [ ! -e "$dir/lib/libtorch_cpu.so" ]; then
  wheels=$(mktemp -d)
  trap 'rm -rf "$wheels"' EXIT
  # The wheel's CPU library wants the CUDA runtime and its profiler, and nothing else, to be there.
  python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$wheels" \
    torch==2.9.0 nvidia-cuda-runtime-cu12==12.8.90 nvidia-cuda-cupti-cu12==12.8.90 >&2
  for wheel in "$wheels"/*.whl; do
    python3 -m zipfile -e "$wheel" "$dir/wheels"
  done
  mkdir -p "$dir/lib"
  torch="$dir/wheels/torch"
  # Without libtorch_cuda: linking it would ask for all of CUDA.
  for file in "$torch"/lib/lib{torch,torch_cpu,c10}.so "$torch"/lib/libgomp* \
    "$dir"/wheels/nvidia/cuda_runtime/lib/libcudart.so.* "$dir"/wheels/nvidia/cuda_cupti/lib/libcupti.so.*; do
    ln -sf "$file" "$dir/lib/"
  done
  ln -sfn "$torch/include" "$dir/include"
fi
echo "export LIBTORCH='$dir' LD_LIBRARY_PATH='$dir/lib'\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
