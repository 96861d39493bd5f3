"""Offline batch audiobook rendering: text in, chapter MP3s out.

The line that data follows is in `orpheus_batch.pipeline`; the types that travel on it are in
`orpheus_batch.data`. Importing this package loads neither torch nor transformers.
"""

__version__ = "0.1.0"
