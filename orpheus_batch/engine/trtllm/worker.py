"""The process in which TensorRT-LLM lives: one model, from the first import to the last breath.

Started by `orpheus_batch.engine.trtllm.process` with two pipes: requests come in, results go out, a line of JSON
each. Standard output and error are the library's to write on. When the pipe of requests closes, wherever in a line,
the parent is gone, and this process takes itself and its children down with it.

It knows the library's calls; it does not know books, voices or retakes. It must stay importable without effect:
MPI workers run the main module again.
"""

import asyncio
import dataclasses
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from orpheus_batch.engine.trtllm.features import check_penalty, choose_sampler, read_features
from orpheus_batch.engine.trtllm.llm_calls import LlmSettings, llm_arguments, prompt_argument, request_arguments
from orpheus_batch.engine.trtllm.process_tree import kill_tree
from orpheus_batch.errors import EngineError, OrpheusBatchError

Send = Callable[[dict[str, Any]], None]


class Server:
    """An `LLM` that answers requests as they come.

    Args:
        settings: What to load.
        send: Takes what goes to the parent.
    """

    def __init__(self, settings: LlmSettings, send: Send):
        self._settings = settings
        self._send = send
        self._in_flight: dict[int, Any] = {}
        features = read_features(settings.backend)
        self._sampler = choose_sampler(features, settings.sampler_type)
        check_penalty(self._sampler, features, settings.repetition_penalty)
        arguments = llm_arguments(settings, features, self._sampler)
        self._llm = _load(arguments, settings.backend)
        from tensorrt_llm import SamplingParams

        self._sampling_params = SamplingParams
        send(
            {
                "event": "ready",
                "version": features.version,
                "backend": features.backend,
                "sampler": self._sampler.name,
                "applies_penalty": self._sampler.applies_penalty,
                "honours_seed": self._sampler.honours_seed,
                "llm_arguments": {name: value for name, value in arguments.items() if name != "model"},
            }
        )

    async def serve(self, incoming: "asyncio.Queue[dict[str, Any]]") -> None:
        """Answer until told to stop; each request in a task of its own, so that one's failure is its alone."""
        tasks: set[asyncio.Task[None]] = set()
        while (message := await incoming.get())["op"] != "stop":
            if message["op"] == "cancel":
                for output in list(self._in_flight.values()):
                    output.abort()
                continue
            task = asyncio.create_task(self._answer(message))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def close(self) -> None:
        """Free the model."""
        self._llm.shutdown()

    async def _answer(self, message: dict[str, Any]) -> None:
        number = message["id"]
        is_submitted = False
        try:
            arguments = request_arguments(
                message["sampling"],
                max_tokens=message["max_tokens"],
                seed=message["seed"],
                stop_id=self._settings.stop_id,
                ignore_eos=message["ignore_eos"],
                honours_seed=self._sampler.honours_seed,
            )
            output = self._llm.generate_async(
                prompt_argument(message["prompt"]), self._sampling_params(**arguments)
            )
            is_submitted = True
            self._in_flight[number] = output
            await output.aresult()
            completion = output.outputs[0]
            answer = {
                "event": "result",
                "id": number,
                "token_ids": [int(token_id) for token_id in completion.token_ids or ()],
                "finish_reason": completion.finish_reason,
            }
        except (
            Exception,
            asyncio.CancelledError,
        ) as error:  # what the library says of one request is of that one
            answer = {"event": "failed", "id": number, "error": f"{type(error).__name__}: {error}"}
            answer["refused"] = not is_submitted and isinstance(error, (TypeError, ValueError))
        finally:
            self._in_flight.pop(number, None)
        self._send(answer)


def _load(arguments: dict[str, Any], backend: str) -> Any:
    """Make the `LLM`; configuration dictionaries become the library's classes, which check their fields.

    Raises:
        EngineError: The library refuses an argument, or can't load the model.
    """
    from tensorrt_llm import llmapi

    if backend == "tensorrt":
        from tensorrt_llm._tensorrt_engine import LLM
    else:
        from tensorrt_llm import LLM

    kinds = {"kv_cache_config": "KvCacheConfig", "scheduler_config": "SchedulerConfig"}
    kinds["cuda_graph_config"] = "CudaGraphConfig"
    made = dict(arguments)
    try:
        for name, kind in kinds.items():
            if made.get(name) is not None:
                values = dict(made[name])
                if "capacity_scheduler_policy" in values:
                    policies = llmapi.CapacitySchedulerPolicy
                    values["capacity_scheduler_policy"] = getattr(policies, values["capacity_scheduler_policy"])
                made[name] = getattr(llmapi, kind)(**values)
        return LLM(**made)
    except Exception as error:  # CUDA, MPI, pydantic and the library each raise their own
        raise EngineError(f"TensorRT-LLM could not load the model: {type(error).__name__}: {error}") from error


def _read_lines(fd: int, deliver: Callable[[dict[str, Any]], None]) -> None:
    """Deliver messages until the parent is gone, then end this process and all that it has started."""
    try:
        with os.fdopen(fd, "rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):  # else the parent was killed while it wrote
                    deliver(json.loads(line))
    finally:
        kill_tree(os.getpid())


def _write_lines(fd: int, outgoing: "queue.SimpleQueue[dict[str, Any]]") -> None:
    with os.fdopen(fd, "w", encoding="utf-8") as lines:
        while (message := outgoing.get())["event"] != "end":
            lines.write(json.dumps(message, default=str) + "\n")
            lines.flush()


def main(read_fd: int, write_fd: int) -> int:
    """Load what the first message asks for and serve; returns the exit code."""
    for fd in (read_fd, write_fd):
        os.set_inheritable(fd, False)  # a grandchild that held them would hide this process's death
    outgoing: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    incoming: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    writer = threading.Thread(target=_write_lines, args=(write_fd, outgoing), daemon=True)
    writer.start()
    threading.Thread(target=_read_lines, args=(read_fd, incoming.put), daemon=True).start()
    code = 0
    try:
        first = incoming.get()
        server = Server(LlmSettings(**first["settings"]), outgoing.put)
        asyncio.run(_serve(server, incoming))
        server.close()
    except OrpheusBatchError as error:
        outgoing.put({"event": "fatal", "error": str(error)})
        code = 1
    except BaseException as error:  # CUDA, MPI and Python itself, `SystemExit` too: the parent must hear of it
        traceback.print_exc()
        outgoing.put({"event": "fatal", "error": f"TensorRT-LLM ended with {type(error).__name__}: {error}"})
        code = 1
    outgoing.put({"event": "end"})
    writer.join()
    return code


async def _serve(server: Server, incoming: "queue.SimpleQueue[dict[str, Any]]") -> None:
    """Carry messages from the reading thread into the event loop and serve."""
    loop = asyncio.get_running_loop()
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def carry() -> None:
        while True:
            message = incoming.get()
            loop.call_soon_threadsafe(messages.put_nowait, message)
            if message["op"] == "stop":
                return

    threading.Thread(target=carry, daemon=True).start()
    await server.serve(messages)


def probe() -> dict[str, Any]:
    """Return what the installed library can do, for people; loads no model.

    Raises:
        EngineError: It can't be imported.
    """
    features = read_features("pytorch")
    sampler = choose_sampler(features)
    return {"version": features.version, **dataclasses.asdict(sampler)}


if __name__ == "__main__":
    if sys.argv[1:] == ["--probe"]:
        try:
            print(json.dumps(probe()))
        except EngineError as problem:
            print(json.dumps({"error": str(problem)}))
    else:
        status = main(int(sys.argv[1]), int(sys.argv[2]))
        sys.stdout.flush()
        os._exit(status)  # the library's threads may never end by themselves
