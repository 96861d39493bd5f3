#!/usr/bin/env bash
# Everything there is to try and measure on one GPU, most important first, within twelve minutes.
#
#     benchmarks/gpu_session.sh LOG_DIR            # VLLM_SITE=DIR adds vLLM, unpacked there, as the peer
#
# Every step has a limit of its own, logs to LOG_DIR/<step>.log as it goes, and does not stop the next one if it
# fails; but without correct kernels no speed is worth having, so a failing kernel test is shouted about.
# LOG_DIR/summary.txt holds, for each step, exit code, seconds and its last line (of a benchmark, JSON).
# TINY=1 runs the same on a CPU in a few minutes: does the script itself work?
set -u
cd "$(dirname "$0")/.." || exit 1
log_dir=${1:?give a folder for the logs}
mkdir -p "$log_dir"
export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
python=${PYTHON:-python3}
tiny=${TINY:+--tiny}
budget_s=${BUDGET_S:-720}
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
step kernels 200 "$python" -m pytest -q -p no:cacheprovider tests/engine/test_kernels.py -k cuda ||
    echo "THE KERNELS ARE WRONG OR DID NOT RUN: no figure below is worth anything"
step frames 120 "$python" -m pytest -q -p no:cacheprovider tests/engine/test_frames.py
step bf16 150 "$python" benchmarks/orpheus_throughput.py $tiny --batch-sizes 1024
step kv_float8 100 "$python" benchmarks/orpheus_throughput.py $tiny --batch-sizes 1024 --kv float8
if [[ -n ${VLLM_SITE:-} ]]; then
    PYTHONPATH="$VLLM_SITE:$PWD" HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 \
        step peer_bf16 260 "$python" benchmarks/peer_vllm.py --batch-size 1024
fi
step batches 120 "$python" benchmarks/orpheus_throughput.py $tiny --batch-sizes 256,512,2048 --requests 2048
step codec 120 "$python" benchmarks/codec_modes.py $tiny
step profile 60 "$python" benchmarks/frame_profile.py $tiny
if [[ -n ${VLLM_SITE:-} ]]; then
    PYTHONPATH="$VLLM_SITE:$PWD" HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 \
        step peer_float8 260 "$python" benchmarks/peer_vllm.py --batch-size 1024 --float8
fi
step book 120 "$python" benchmarks/end_to_end.py samples/buster-bear-goes-fishing.txt
echo "after $(($(date +%s) - began)) s:"
cut -c1-200 "$log_dir/summary.txt"
