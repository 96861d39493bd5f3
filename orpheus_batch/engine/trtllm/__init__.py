"""TensorRT-LLM as an engine: its own process, a window of requests, a watchdog. See ``docs/tensorrt-llm.md``."""
