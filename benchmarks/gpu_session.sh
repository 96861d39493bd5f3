#!/usr/bin/env bash
# Everything there is to try and measure on one GPU, most important first, within 25 minutes.
#
#     benchmarks/gpu_session.sh LOG_DIR            # VLLM_SITE=DIR adds vLLM, unpacked there, as the peer
#
# Every step has a limit of its own, logs to LOG_DIR/<step>.log as it goes, and does not stop the next one if it
# fails; but without correct kernels no speed is worth having, so a failing kernel test is shouted about.
# LOG_DIR/summary.txt holds, for each step, exit code, seconds and its last line (of a benchmark, JSON).
# benchmarks/plot_throughput.py draws docs/throughput.png from the logs.
# TINY=1 runs the same on a CPU in a few minutes: does the script itself work?
set -u
cd "$(dirname "$0")/.." || exit 1
log_dir=${1:?give a folder for the logs}
mkdir -p "$log_dir"
export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
python=${PYTHON:-python3}
tiny=${TINY:+--tiny}
budget_s=${BUDGET_S:-1500}
began=$(date +%s)
: >"$log_dir/summary.txt"

step() { # name, limit in seconds, command
    local name=$1 limit=$2 left started rc
    shift 2
    left=$((budget_s - $(date +%s) + began))
    if ((left < 15)); then
        echo "$name: left out, no time" | tee -a "$log_dir/summary.txt"
        return
    fi
    ((limit > left)) && limit=$left
    started=$(date +%s)
    timeout "$limit" "$@" >"$log_dir/$name.log" 2>&1
    rc=$?
    echo "$name: exit $rc after $(($(date +%s) - started)) s: $(tail -n 1 "$log_dir/$name.log" | cut -c1-3000)" |
        tee -a "$log_dir/summary.txt"
    ((rc == 0)) || tail -n 25 "$log_dir/$name.log"
    return $rc
}

if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$log_dir/gpu.txt"
fi
throughput() { # name, limit in seconds, options
    local name=$1 limit=$2
    shift 2
    step "$name" "$limit" "$python" benchmarks/orpheus_throughput.py $tiny "$@"
}

peer() { # name, options
    local name=$1
    shift
    [[ -n ${VLLM_SITE:-} ]] || return 0
    PYTHONPATH="$VLLM_SITE:$PWD" HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 \
        step "$name" 340 "$python" benchmarks/peer_vllm.py --batch-size 1024 "$@"
}

peers_sharing() { # under MPS, so that one's kernels run beside another's; without it they take turns
    [[ -n ${VLLM_SITE:-} ]] || return 0
    export CUDA_MPS_PIPE_DIRECTORY=$log_dir/mps CUDA_MPS_LOG_DIRECTORY=$log_dir/mps
    mkdir -p "$CUDA_MPS_PIPE_DIRECTORY"
    nvidia-cuda-mps-control -d || echo "no MPS here" | tee -a "$log_dir/summary.txt"
    for count in 2 3; do
        peer "peer_float8_$count" --float8 --processes "$count"
    done
    echo quit | nvidia-cuda-mps-control
    unset CUDA_MPS_PIPE_DIRECTORY CUDA_MPS_LOG_DIRECTORY
}

float8=(--weights float8 --kv float8)
[[ -n $tiny ]] && float8=() # there is none on a CPU

step kernels 200 "$python" -m pytest -q -p no:cacheprovider tests/engine/test_kernels.py tests/codec/test_fused.py \
    tests/codec/test_codec_precision.py -k cuda ||
    echo "THE KERNELS ARE WRONG OR DID NOT RUN: no figure below is worth anything"
step frames 120 "$python" -m pytest -q -p no:cacheprovider tests/engine/test_frames.py
throughput bf16 150 --batch-sizes 1024
peer peer_bf16
throughput float8 150 --batch-sizes 1024 "${float8[@]}"
peer peer_float8 --float8
peers_sharing
step codec 120 "$python" benchmarks/codec_modes.py $tiny
step book 170 "$python" benchmarks/book_on_gpu.py $tiny
step book_float8 150 "$python" benchmarks/book_on_gpu.py $tiny "${float8[@]}"
throughput batches 150 --batch-sizes 128,256,512,1536 --requests 2048
throughput batches_float8 120 --batch-sizes 128,256,512,1536 --requests 2048 "${float8[@]}"
step profile 60 "$python" benchmarks/frame_profile.py $tiny
[[ -n $tiny ]] || step picture 60 "$python" benchmarks/plot_throughput.py "$log_dir"/*.log -o "$log_dir/throughput.png"
step book_blocks 150 "$python" benchmarks/book_on_gpu.py $tiny --deterministic --block-size 1024
echo "after $(($(date +%s) - began)) s:"
cut -c1-200 "$log_dir/summary.txt"
