"""The embedded engine: a Llama in PyTorch with a paged KV cache."""
