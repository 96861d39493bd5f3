"""A TensorRT-LLM process played by a fake, and an engine over it."""

import time

from orpheus_batch.data import Sampling, TokenRequest
from orpheus_batch.engine.trtllm.engine import TrtllmEngine
from orpheus_batch.engine.trtllm.llm_calls import LlmSettings
from orpheus_batch.pack_writer import character_layout
from orpheus_batch.testing import TINY_ALPHABET

LAYOUT = character_layout(TINY_ALPHABET, 64)
SAMPLING = Sampling(temperature=0.6, top_p=0.9, repetition_penalty=1.1)
READY = {"event": "ready", "version": "0", "backend": "pytorch", "sampler": "fake", "applies_penalty": True}
SETTINGS = LlmSettings(
    model="m",
    backend="pytorch",
    dtype="auto",
    stop_id=LAYOUT.stop_id,
    repetition_penalty=1.1,
    max_batch_size=4,
    max_seq_len=512,
    max_num_tokens=8192,
    tensor_parallel_size=1,
    enable_chunked_prefill=True,
    load_format="auto",
    sampler_type="auto",
    kv_cache_config={},
    scheduler_config={},
    cuda_graph_config=None,
    extra_llm_args={},
)


class FakeWorker:
    """A process that answers at once, as ``behave`` says: "ok", "die", "hang", "fail", "refuse", "fatal", a message."""

    num_started = 0
    log = "nowhere"

    def __init__(self, behave, honours_seed=True):
        type(self).num_started += 1
        self._behave = behave
        self._answers = [READY | {"honours_seed": honours_seed}]
        self.ended = False
        self.num_unanswered = self.most_unanswered = 0

    def send(self, message):
        if message["op"] != "generate" or self.ended:
            return
        self.num_unanswered += 1
        self.most_unanswered = max(self.num_unanswered, self.most_unanswered)
        what = self._behave(message)
        if what == "die":
            self._answers.append(what)
        elif what == "fail":
            self._answers.append({"event": "failed", "id": message["id"], "error": "RequestError: no"})
        elif what == "refuse":
            self._answers.append(
                {"event": "failed", "id": message["id"], "error": "TypeError: no", "refused": True}
            )
        elif what == "fatal":
            self._answers.append({"event": "fatal", "error": "MemoryError: host"})
        elif isinstance(what, dict):
            self._answers.append({"event": "result", "id": message["id"], **what})
        elif what == "ok":
            frames = [LAYOUT.position_start(p) + message["id"] % 64 for p in range(7)] * 5
            self._answers.append(
                {"event": "result", "id": message["id"], "token_ids": frames, "finish_reason": "stop"}
            )

    def receive(self, timeout_s):
        if not self._answers:
            time.sleep(0.002)
            return []
        if self._answers[0] == "die":
            self.ended = True
            self._answers.clear()
            return []
        self.num_unanswered -= 1
        return [self._answers.pop(0)]

    def log_tail(self):
        return "last words"

    def exit_description(self):
        return "signal SIGKILL"

    def stop(self, timeout_s):
        self.ended = True

    def kill(self):
        self.ended = True

    def forget(self):
        self.log = "removed"


def make(behave, honours_seed=True, **options):
    FakeWorker.num_started = 0
    workers = []

    def spawn(environment):
        workers.append(FakeWorker(behave, honours_seed))
        return workers[-1]

    engine = TrtllmEngine(SETTINGS, spawn=spawn, **options)
    engine.workers = workers
    return engine


def requests(num, **more):
    for i in range(num):
        yield TokenRequest(f"s{i}", (5, 6, 7 + i), 70, 35, SAMPLING, seed=i, attempt=2, **more)


def by_id(streams):
    return {stream.segment_id: stream for stream in streams}
