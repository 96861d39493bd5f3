"""Put a trained language model and codec together as a model pack.

    python training/make_pack.py MODEL_DIR CODEC_DIR -o orpheus_batch/packs/builtin --model-card card.md

    python training/make_pack.py orpheus_batch/packs/builtin CODEC_DIR -o orpheus_batch/packs/builtin

The second puts another decoder into a pack, for the same codes.

Matrices of the language model are stored as int8 with a scale a row (``--float16`` keeps them whole), the codec's
decoder and quantiser as float16; the encoder stays out. The length model is fitted to the training codes.
"""

import dataclasses
import json
import shutil
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import load_file, save_file

from orpheus_batch.data import Sampling
from orpheus_batch.pack_writer import quantize_int8, write_pack
from orpheus_batch.voices import load_pack


def fit_length(codes_dir: Path) -> tuple[float, float]:
    """Return base tokens and tokens a character: least squares on relative errors.

    Weighted by the inverse of the length, so that headings count as much as long sentences.
    """
    rows = [json.loads(line) for line in (codes_dir / "codes.jsonl").read_text(encoding="utf-8").splitlines()]
    chars = np.array([len(row["text"]) for row in rows], dtype=float)
    tokens = np.array([7.0 * row["num_frames"] for row in rows])
    design = np.stack([1.0 / tokens, chars / tokens], axis=1)
    base, per_char = np.linalg.lstsq(design, np.ones(len(rows)), rcond=None)[0]
    return float(base), float(per_char)


def without_encoder(codec: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return what decoding needs, float16."""
    return {k: v.half().contiguous() for k, v in codec.items() if not k.startswith("encoder.")}


def replace_decoder(pack_dir: Path, codec_dir: Path, out: Path) -> None:
    """Copy a pack with the decoder of another codec, whose codes must mean the same."""
    before = load_file(pack_dir / "codec" / "model.safetensors")
    codec = without_encoder(load_file(codec_dir / "model.safetensors"))
    books = [k for k in before if k.endswith("codebook.weight")]
    if any(not torch.allclose(before[k].float(), codec[k].float(), atol=1e-3) for k in books):
        raise click.ClickException(
            f"{codec_dir} has other codes than {pack_dir}: it needs a language model of its own"
        )
    if out.resolve() != pack_dir.resolve():
        shutil.copytree(pack_dir, out, dirs_exist_ok=True)
    shutil.copyfile(codec_dir / "config.json", out / "codec" / "config.json")
    save_file(codec, out / "codec" / "model.safetensors", metadata={"format": "pt"})
    load_pack(str(out.resolve()))  # raises if it can't be read back
    click.echo(
        json.dumps({"pack": str(out), "codec_bytes": (out / "codec" / "model.safetensors").stat().st_size})
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("codec_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--codes", type=click.Path(exists=True, file_okay=False, path_type=Path), default=None)
@click.option("--base-tokens", type=float, default=40.0, help="Length model, where --codes is not given.")
@click.option("--tokens-per-char", type=float, default=5.3)
@click.option("--name", default="builtin", show_default=True)
@click.option("--voice", default="heart", show_default=True)
@click.option("--temperature", type=float, default=0.4, show_default=True)
@click.option("--top-p", type=float, default=0.95, show_default=True)
@click.option("--repetition-penalty", type=float, default=1.0, show_default=True)
@click.option("--min-chars", type=int, default=40, show_default=True)
@click.option("--max-chars", type=int, default=200, show_default=True)
@click.option("--alphabet", default=" !\"'(),-.:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
@click.option("--float16", is_flag=True, help="Do not quantise the language model.")
@click.option("--model-card", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None)
def main(model_dir: Path, codec_dir: Path, out: Path, codes: Path | None, model_card: Path | None, **o) -> None:
    """Write the pack that MODEL_DIR and CODEC_DIR make; MODEL_DIR may be a pack, of which all but the codec is kept."""
    if (model_dir / "pack.json").is_file():
        replace_decoder(model_dir, codec_dir, out)
        return
    layout = json.loads((model_dir / "layout.json").read_text(encoding="utf-8"))
    weights = load_file(model_dir / "model.safetensors")
    weights = {k: v.half() for k, v in weights.items()} if o["float16"] else quantize_int8(weights)
    codec = load_file(codec_dir / "model.safetensors")
    base, per_char = fit_length(codes) if codes else (o["base_tokens"], o["tokens_per_char"])
    config = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
    sampling = Sampling(o["temperature"], o["top_p"], o["repetition_penalty"])
    pack = {
        "format_version": 1,
        "name": o["name"],
        "description": "One English narrator of our own in Orpheus's shape; runs on two CPU cores.",
        "language": "en",
        "licence": "Apache-2.0; see MODEL_CARD.md",
        "layout": layout,
        "language_model": "language_model",
        "codec": "codec",
        "voices": [{"name": o["voice"], "language": "en", "description": "woman, American English, synthetic"}],
        "default_voice": o["voice"],
        "sampling": dataclasses.asdict(sampling),
        "segment_limits": {"min_chars": o["min_chars"], "max_chars": o["max_chars"]},
        "length": {"base_tokens": round(base, 2), "tokens_per_char": round(per_char, 4), "max_ratio": 1.7},
        "alphabet": o["alphabet"],
        "tags": [],
    }
    codec_config = json.loads((codec_dir / "config.json").read_text(encoding="utf-8"))
    decoder = without_encoder(codec)
    write_pack(out, pack, config, weights, codec_config, decoder)
    if model_card is not None:
        (out / "MODEL_CARD.md").write_text(model_card.read_text(encoding="utf-8"), encoding="utf-8")
    load_pack(str(out.resolve()))  # raises if it can't be read back
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    click.echo(json.dumps({"pack": str(out), "bytes": size, "length": pack["length"]}))


if __name__ == "__main__":
    main()
