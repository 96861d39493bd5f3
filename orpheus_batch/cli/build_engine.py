"""`orpheus-batch build-engine`: from a checkpoint to something TensorRT-LLM serves."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from orpheus_batch.cli import options


@click.command("build-engine", short_help="Build a TensorRT-LLM engine of a checkpoint.")
@click.argument("model_dir", metavar="MODEL_DIR", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), metavar="ENGINE_DIR", help="Gets the engine."
)
@click.option(
    "--model",
    "pack_name",
    metavar="PACK",
    help="Pack of the checkpoint: its texts' and streams' lengths make the limits.  [default: by the checkpoint]",
)
@click.option(
    "--max-batch-size",
    type=click.IntRange(1, 65_536),
    metavar="N",
    help="Sequences that run together.  [default: what the GPU's memory holds]",
)
@click.option("--max-num-tokens", type=click.IntRange(1), default=8192, show_default=True, help="Of a step.")
@click.option(
    "--max-chars", type=click.IntRange(20), metavar="N", help="Longest segment.  [default: the pack's]"
)
@click.option(
    "--quant", type=click.Choice(["none", "fp8"]), default="none", show_default=True, help="Of weights."
)
@click.option(
    "--kv-cache", type=click.Choice(["auto", "fp8"]), default="auto", show_default=True, help="Keys and values."
)
@click.option(
    "--tp", "tensor_parallel_size", type=click.IntRange(1, 64), default=1, show_default=True, help="GPUs."
)
@click.option(
    "--backend",
    type=click.Choice(["auto", "tensorrt", "pytorch"]),
    default="auto",
    show_default=True,
    help="tensorrt: an engine; pytorch: a checkpoint for the backend that builds none.",
)
@click.option(
    "--trtllm-examples",
    "examples",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="TensorRT-LLM's examples, if not where the release image has them.",
)
@click.option("--calib-dataset", metavar="NAME", help="For fp8 engines, instead of the library's own.")
@options.json_option
@options.verbosity_options
def build_engine(
    model_dir: Path, out: Path, pack_name: str | None, as_json: bool, quiet: bool, verbose: bool, **asked: Any
) -> None:
    """Build what `render --engine trtllm` loads fastest: an engine, or a prepared checkpoint.

    Up to TensorRT-LLM 1.3.0rc20 the checkpoint is converted and an engine is built; later releases have only the
    PyTorch backend, for which a folder with checkpoint, tokenizer and (with ModelOpt) fp8 weights is prepared.

    \b
      orpheus-batch build-engine models/orpheus-3b-0.1-ft -o engines/orpheus --max-batch-size 512
      orpheus-batch build-engine models/orpheus-3b-0.1-ft -o engines/fp8 --quant fp8 --kv-cache fp8
      orpheus-batch render book.txt -o out --engine trtllm --model orpheus-3b --model-dir engines/fp8 ...

    The same again is nothing to do; a build that fails or is stopped leaves nothing in ENGINE_DIR.
    """
    from orpheus_batch.engine.trtllm.build import BuildRequest, build_engine
    from orpheus_batch.voices import load_pack

    model_dir = model_dir.expanduser()
    pack = load_pack(pack_name or str(model_dir), model_dir)
    request = BuildRequest(target=out.expanduser().resolve(), **asked)
    result = build_engine(
        pack, request, (lambda line: None) if quiet else lambda line: click.echo(line, err=True)
    )
    if as_json:
        values = {**asdict(result.manifest), "built_now": result.built_now, "elapsed_s": result.elapsed_s}
        click.echo(json.dumps(values, indent=1))
    else:
        click.echo(str(request.target))
