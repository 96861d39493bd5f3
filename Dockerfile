# orpheus-batch on NVIDIA's TensorRT-LLM release image: docs/tensorrt-llm.md says how to use it.
#
#   docker build -t orpheus-batch .
#   docker run --rm --gpus all --ipc=host -v "$PWD:/work" orpheus-batch doctor --engine trtllm
#
# No model is in it. The ffmpeg that comes with the Python package imageio-ffmpeg is a GPL build, run as a program.
# This file has not been built yet: no machine of the project reaches NVIDIA's registry.
ARG TENSORRT_LLM=1.2.1
FROM nvcr.io/nvidia/tensorrt-llm/release:${TENSORRT_LLM}

WORKDIR /opt/orpheus-batch
COPY pyproject.toml setup.cfg README.md LICENSE ./
COPY orpheus_batch orpheus_batch
COPY tests tests

# Whatever the image has stays as it is: torch, numpy and transformers are what TensorRT-LLM was built with. A package
# that wants another version of them fails here instead of breaking the engine later.
RUN python3 -m pip freeze --all | grep '==' | grep -v ' @ ' > /tmp/image.txt \
 && python3 -m pip install --no-cache-dir -c /tmp/image.txt '.[test]' \
 && python3 -m pip freeze --all | grep -E '^(torch|numpy|transformers|tensorrt_llm|tensorrt-llm)==' > /tmp/after.txt \
 && grep -E '^(torch|numpy|transformers|tensorrt_llm|tensorrt-llm)==' /tmp/image.txt | diff - /tmp/after.txt

ENV TRTLLM_NO_USAGE_STATS=1
WORKDIR /work
ENTRYPOINT ["orpheus-batch"]
