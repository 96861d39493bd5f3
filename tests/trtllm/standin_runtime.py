# How the stand-in behaves; `standin_writer.py` copies it. This is not TensorRT-LLM.
#
# Tokens come from the embedded engine of orpheus_batch, whose model this loads. What the library refuses, misreads or
# ignores in silence is refused, misread or ignored here too. The environment steers it:
#   TRTLLM_STANDIN_GPU=1         a GPU is there
#   TRTLLM_STANDIN_PACK          pack whose token layout the model speaks (builtin)
#   TRTLLM_STANDIN_LOG           file that gets a line of JSON for each LLM and each request
#   TRTLLM_STANDIN_FAULTS        JSON: rules that spoil, fail, hang or kill; see `Faults`
#   TRTLLM_STANDIN_KEEP_STOP=1   the end token stays in token_ids
#   TRTLLM_STANDIN_EXITS=1       loading ends the interpreter, and leaves a thread behind
import asyncio
import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tensorrt_llm._release import APPLIES_PENALTY, VERSION
from tensorrt_llm.executor.result import CompletionOutput
from tensorrt_llm.executor.utils import RequestError

IN_MPI_WORKER = "TRTLLM_STANDIN_MPI_WORKER"


def check_sampling(params):
    """What `SamplingParams` refuses."""
    if params.top_p is not None and not 0 <= params.top_p <= 1:
        raise ValueError(f"require 0 <= top_p <= 1, got top_p={params.top_p}")
    if params.top_k is not None and params.top_k < 0:
        raise ValueError(f"require top_k >= 0, got top_k={params.top_k}")
    if params.temperature is not None and params.temperature < 0:
        raise ValueError(f"require temperature >= 0, got temperature={params.temperature}")
    if params.n > 1 and is_greedy(params):
        raise ValueError("Greedy decoding in the LLM API does not allow multiple returns")


def is_greedy(params):
    """The library's rule."""
    unset = params.temperature is None and params.top_p is None and params.top_k is None
    return unset or params.temperature == 0 or params.top_k == 1 or params.top_p == 0


def initialise_mpi():
    """What importing the library does: with a launcher's variables MPI waits for ranks that nobody has started."""
    ranks = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
    left_over = sorted(name for name in ranks if name in os.environ)
    if left_over and not os.environ.get(IN_MPI_WORKER):
        raise RuntimeError(f"MPI_Init failed: this is one rank of many, says {', '.join(left_over)}")


def log(**entry):
    """Append a line to the log."""
    if os.environ.get("TRTLLM_STANDIN_LOG"):
        with Path(os.environ["TRTLLM_STANDIN_LOG"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, default=str) + "\n")


class Faults:
    """Rules ``{"kind", "every" or "at" or "prompt", "times"}``; "times" counts over all processes.

    Kinds: wrong_position, text_id, control_id, mid_frame_stop, ragged_end, timeout (all spoil a stream), error (fails
    the request), refuse (at submission), hang (never answers), die (kills the process), break (fails this request and
    all that are in flight or come later in this process, as a broken executor does).
    """

    def __init__(self):
        self._rules = json.loads(os.environ.get("TRTLLM_STANDIN_FAULTS", "[]"))

    def of(self, number, prompt):
        """Return the kinds that befall a request: number ``number`` of this process, from 1."""
        kinds = []
        for index, rule in enumerate(self._rules):
            hit = number % rule["every"] == 0 if "every" in rule else number == rule.get("at")
            if "prompt" in rule:
                hit = any(prompt[i : i + len(rule["prompt"])] == rule["prompt"] for i in range(len(prompt)))
            if hit and self._left(index, rule):
                kinds.append(rule["kind"])
        return kinds

    def _left(self, index, rule):
        if "times" not in rule:
            return True
        for time in range(rule["times"]):
            try:
                os.close(os.open(f"{rule['marks']}-{index}-{time}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            return True
        return False


class RequestOutput:
    """The handle of a request."""

    def __init__(self, request_id, prompt_token_ids):
        self.request_id = request_id
        self.prompt = None
        self.prompt_token_ids = prompt_token_ids
        self.outputs = [CompletionOutput(0)]
        self.context_logits = None
        self.mm_embedding_handle = None
        self.finished = False
        self._error = None
        self._done = threading.Event()
        self._aborted = False
        try:
            self._loop = asyncio.get_running_loop()
            self._answered = self._loop.create_future()
        except RuntimeError:
            self._loop = None

    def result(self, timeout=None):
        """Wait; the timeout is taken and ignored, as the library does."""
        self._done.wait()
        return self._finished()

    async def aresult(self):
        """Wait in the event loop that was there when the request was made."""
        assert self._loop is not None, "The asyncio event loop was not present during initialization"
        await self._answered
        return self._finished()

    def abort(self):
        """Ask for an early end."""
        self._aborted = True

    def aborted(self):
        """Whether that was asked."""
        return self._aborted

    def clear_logprob_params(self):
        """Nothing to clear."""

    def record_stats(self, output, stats=None):
        """Nothing to record."""

    def _finished(self):
        if self._error is not None:
            raise RequestError(self._error)
        return self

    def _answer(self, error=None):
        self._error = error
        self.finished = True
        self._done.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: self._answered.done() or self._answered.set_result(None))


class _BaseLLM:
    def __init__(
        self,
        model,
        tokenizer=None,
        tokenizer_mode="auto",
        skip_tokenizer_init=False,
        trust_remote_code=False,
        tensor_parallel_size=1,
        dtype="auto",
        revision=None,
        tokenizer_revision=None,
        **kwargs,
    ):
        from tensorrt_llm.llmapi import llm_args

        given = dict(kwargs, model=model, skip_tokenizer_init=skip_tokenizer_init)
        given |= {"tensor_parallel_size": tensor_parallel_size, "dtype": dtype}
        kind = getattr(llm_args, self._args_class)
        other = getattr(llm_args, "TrtLlmArgs", None)
        for name in kwargs:
            if name not in kind.model_fields:
                if other is not None and kind is not other and name in other.model_fields:
                    raise ValueError(
                        "The following arguments are specific to TensorRT backend and cannot be used with PyTorch "
                        f"backend: ['{name}']."
                    )
                raise ValueError(f"{type(self).__name__} got invalid argument: {name}")
        if not os.environ.get("TRTLLM_STANDIN_GPU"):
            raise RuntimeError("No CUDA GPUs are available")  # read while arguments are validated
        if os.environ.get("TRTLLM_STANDIN_EXITS"):
            threading.Thread(target=threading.Event().wait, daemon=False).start()
            sys.exit("the driver is too old")
        self.args = kind(**given)
        self._check(self.args)
        _start_mpi_workers(tensor_parallel_size)
        log(
            event="llm",
            version=VERSION,
            kind=type(self).__name__,
            arguments={name: _plain(value) for name, value in given.items()},
            environment={
                n: v
                for n, v in os.environ.items()
                if n.startswith(("CUDA_", "TLLM", "TRTLLM_NO", "SLURM", "OMPI", "PM", "RANK"))
            },
            pid=os.getpid(),
        )
        self.tokenizer = None if skip_tokenizer_init else tokenizer or str(model)
        self.llm_id = "stand-in"
        self._faults = Faults()
        self._num_requests = 0
        self._requests = queue.SimpleQueue()
        self._is_broken = False
        self._running = {}
        self._is_shut_down = False
        self._engine, self._layout = _embedded_engine(
            Path(model), self._folder(Path(model)), self.args.max_batch_size
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.shutdown()

    def __reduce__(self):
        raise RuntimeError("LLM can't be pickled.")

    def shutdown(self):
        """End."""
        self._is_shut_down = True
        self._requests.put("end")
        self._thread.join()

    def get_stats(self, timeout=2):
        """None are kept."""
        return []

    def generate(self, inputs, sampling_params=None, use_tqdm=True, **kwargs):
        """Submit all, await in order."""
        unbatched = not isinstance(inputs, list) or isinstance(inputs[0], int)
        prompts = [inputs] if unbatched else inputs
        params = sampling_params if isinstance(sampling_params, list) else [sampling_params] * len(prompts)
        outputs = [self.generate_async(p, s) for p, s in zip(prompts, params, strict=True)]
        results = [output.result() for output in outputs]
        return results[0] if unbatched else results

    def generate_async(self, inputs, sampling_params=None, lora_request=None, streaming=False, **kwargs):
        """Submit one request."""
        from tensorrt_llm.sampling_params import SamplingParams

        if self._is_shut_down:
            raise RuntimeError("LLM is shutting down")
        if isinstance(inputs, dict):
            inputs = inputs["prompt_token_ids"]
        if not isinstance(inputs, list) or not all(type(token) is int for token in inputs):
            raise TypeError(f"The inputs must be type str or list of int, but got {type(inputs)}")
        params = SamplingParams() if sampling_params is None else sampling_params
        if not isinstance(params, SamplingParams):
            raise TypeError(f"Expected a SamplingParams, but got {type(params)}")
        if params.end_id is None and self.tokenizer is None:
            raise ValueError(
                "tokenizer is required to initialize a default sampling_params, or end_id must be given"
            )
        if len(inputs) > self.args.max_num_tokens and not self.args.enable_chunked_prefill:
            raise ValueError(
                f"The prompt length ({len(inputs)}) exceeds max_num_tokens ({self.args.max_num_tokens})"
            )
        self._num_requests += 1
        kinds = self._faults.of(self._num_requests, inputs)
        log(
            event="request",
            number=self._num_requests,
            prompt=inputs,
            sampling=dataclasses.asdict(params),
            penalty=params.repetition_penalty if self._applies_penalty() else None,
            seed=params.seed if self._honours_seed() else None,
            faults=kinds,
        )
        if "die" in kinds:
            os.kill(os.getpid(), signal.SIGKILL)
        if "refuse" in kinds:
            raise ValueError("refused by a rule of the test")
        output = RequestOutput(self._num_requests, inputs)
        self._is_broken = self._is_broken or "break" in kinds
        if "error" in kinds or self._is_broken:
            output._answer("failed by a rule of the test")
        elif "hang" not in kinds:
            self._requests.put((output, params, kinds))
        return output

    def _run(self):
        for stream in self._engine.generate(self._pull()):
            output, params, kinds = self._running.pop(stream.attempt)
            completion = output.outputs[0]
            ids = [int(token) for token in stream.token_ids]
            reason = "length" if len(ids) > params.max_tokens or stream.finish_reason == "length" else "stop"
            ids = ids[: params.max_tokens]
            ids, reason = self._spoil(ids, reason, kinds)
            if reason == "stop" and os.environ.get("TRTLLM_STANDIN_KEEP_STOP"):
                ids.append(params.end_id)
            completion.token_ids = ids
            completion.finish_reason = reason
            output._answer("the executor is broken" if self._is_broken else stream.error or None)

    def _pull(self):
        from orpheus_batch.data import Sampling, TokenRequest

        while True:
            try:
                item = self._requests.get_nowait()
            except queue.Empty:
                yield None
                continue
            if item == "end":
                return
            output, params, _ = item
            self._running[output.request_id] = item
            penalty = params.repetition_penalty if self._applies_penalty() else None
            max_new_tokens = -(-params.max_tokens // 7) * 7
            yield TokenRequest(
                segment_id="",  # the embedded engine's noise is of segment and seed; here the seed alone decides
                attempt=output.request_id,
                prompt_token_ids=tuple(output.prompt_token_ids),
                max_new_tokens=max_new_tokens,
                expected_num_tokens=min(max_new_tokens, 7),
                sampling=Sampling(
                    temperature=0.0 if is_greedy(params) else params.temperature or 1.0,
                    top_p=params.top_p or 1.0,
                    repetition_penalty=penalty or 1.0,
                ),
                seed=(params.seed or 0) if self._honours_seed() else output.request_id,
            )

    def _spoil(self, ids, reason, kinds):
        layout, middle = self._layout, len(ids) // 14 * 7
        if "wrong_position" in kinds:
            ids[middle] = layout.position_start(3) + 1
        if "text_id" in kinds:
            ids[middle + 2] = 10
        if "control_id" in kinds:
            ids[middle + 4] = layout.prompt_suffix[-1]
        if "mid_frame_stop" in kinds:
            ids, reason = ids[: middle + 3], "stop"
        if "ragged_end" in kinds:
            ids, reason = ids[:-2], "length"
        return ids, "timeout" if "timeout" in kinds else reason


class LLM(_BaseLLM):
    """The PyTorch backend."""

    _args_class = "TorchLlmArgs"

    def _check(self, args):
        wanted = getattr(args, "sampler_type", "auto")
        if VERSION.startswith("1.4") and wanted == "TRTLLMSampler":
            raise ValueError("TRTLLMSampler was removed")

    def _folder(self, model):
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        if "pretrained_config" in config or "architecture" in config:
            raise ValueError(f"{model} is no Hugging Face checkpoint")
        return model

    def _sampler_is_trtllm(self):
        chosen = getattr(self.args, "sampler_type", None)
        return getattr(chosen, "value", chosen) == "TRTLLMSampler" or getattr(
            self.args, "enable_trtllm_sampler", False
        )

    def _applies_penalty(self):
        return APPLIES_PENALTY or self._sampler_is_trtllm()

    def _honours_seed(self):
        return self._sampler_is_trtllm()


class EngineLLM(_BaseLLM):
    """The TensorRT engine backend."""

    _args_class = "TrtLlmArgs"

    def _check(self, args):
        assert args.kv_cache_config.dtype == "auto", "kv_cache_config.dtype is not for the TensorRT backend"
        config = json.loads((Path(args.model) / "config.json").read_text(encoding="utf-8"))
        built = config["build_config"]
        for name in ("max_batch_size", "max_seq_len", "max_num_tokens"):
            if getattr(args, name) is not None and getattr(args, name) > built[name]:
                raise ValueError(f"{name} {getattr(args, name)} is larger than the engine's {built[name]}")
        if config["version"] != VERSION:
            raise RuntimeError(f"the engine was built by {config['version']}")

    def _folder(self, model):
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        folder = Path(tempfile.mkdtemp())
        (folder / "model.safetensors").symlink_to((model / "rank0.engine").resolve())
        (folder / "config.json").write_text(json.dumps(config["pretrained_config"]), encoding="utf-8")
        return folder

    def _applies_penalty(self):
        return True

    def _honours_seed(self):
        return True


def _embedded_engine(model, folder, max_batch_size):
    """Load the embedded engine; int8 in orpheus_batch's own form is refused, for the library can't read it."""
    from orpheus_batch.engine.torch.engine import TorchEngine
    from orpheus_batch.engine.trtllm.checkpoint import is_packed_int8
    from orpheus_batch.voices import load_pack

    if is_packed_int8(folder):
        raise KeyError(f"{model}: tensors 'NAME_scale' belong to no parameter of LlamaForCausalLM")
    layout = load_pack(os.environ.get("TRTLLM_STANDIN_PACK", "builtin")).layout
    return TorchEngine(
        folder, layout, device="cpu", precision="float32", max_batch_size=min(max_batch_size or 64, 64)
    ), layout


def _start_mpi_workers(tensor_parallel_size):
    """Run the main module again, as MPI's workers do unless everything stays in one process."""
    if os.environ.get(IN_MPI_WORKER):
        os._exit(13)
    if os.environ.get("TLLM_WORKER_USE_SINGLE_PROCESS") == "1" and tensor_parallel_size == 1:
        return
    main = getattr(sys.modules["__main__"], "__file__", None)
    if main is None:
        return
    script = f"import runpy; runpy.run_path({main!r}, run_name='__worker__')"
    environment = os.environ | {IN_MPI_WORKER: "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode == 13:
        raise RuntimeError(
            "An attempt has been made to start an LLM while its own worker was starting: put the main program "
            "under `if __name__ == '__main__':`"
        )


def _plain(value):
    return value.model_dump() if hasattr(value, "model_dump") else value
