#!/usr/bin/env bash
# Builds the program with `--features cuda` on a machine without CUDA: compiler and libraries are installed from PyPI
# under target/cuda-toolkit.
# Usage: scripts/check/cuda.sh [check|build]
# CUDA_COMPUTE_CAP is the compute capability to build for; the default is 80 (A100 and later). Needs python3 with pip.
set -euo pipefail
cd "$(dirname "$0")/../.."
toolkit=$PWD/target/cuda-toolkit
cuda=$toolkit/nvidia/cu13
version='13.2.*'
[ -x "$cuda/bin/nvcc" ] || python3 -m pip install --quiet --target "$toolkit" \
  "nvidia-cuda-nvcc==$version" "nvidia-nvvm==$version" "nvidia-cuda-crt==$version" "nvidia-cuda-cccl==$version" \
  "nvidia-cuda-runtime==$version" "nvidia-cuda-nvrtc==$version" nvidia-cublas nvidia-curand
# The wheels have the libraries only under their versioned names, but the linker looks for the short ones.
for library in "$cuda"/lib/lib*.so.*; do ln -sf "${library##*/}" "${library%%.so.*}.so"; done
export CUDA_HOME=$cuda CUDA_PATH=$cuda CUDA_ROOT=$cuda CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80}
export PATH=$cuda/bin:$PATH LIBRARY_PATH=$cuda/lib LD_LIBRARY_PATH=$cuda/lib
cargo "${1:-build}" --release --locked --features cuda
