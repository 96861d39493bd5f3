"""Choose a pack's sampling by word error rate on validation texts: what is heard decides, not taste.

    python training/choose_sampling.py PACK texts.jsonl --temperature 0 --temperature 0.4 --top-p 0.9

Speaks the first texts with every combination through engine and codec (no MP3), has the recogniser of
`benchmarks/hearing.py` write down what it hears, and prints a line of JSON for each combination, best last.
"""

import dataclasses
import itertools
import json
import sys
from pathlib import Path

import click

from orpheus_batch.codec.snac import SnacCodec
from orpheus_batch.data import Boundary, Sampling, Segment
from orpheus_batch.engine.torch.engine import TorchEngine
from orpheus_batch.prompt import PromptBuilder
from orpheus_batch.quality.stream_checks import usable_token_ids
from orpheus_batch.voices import load_pack

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("pack_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("texts", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--num", type=int, default=60, show_default=True, help="Texts to speak.")
@click.option("--temperature", type=float, multiple=True, default=(0.0, 0.3, 0.5, 0.7), show_default=True)
@click.option("--top-p", type=float, multiple=True, default=(0.9,), show_default=True)
@click.option("--repetition-penalty", type=float, multiple=True, default=(1.0,), show_default=True)
def main(pack_dir: Path, texts: Path, num: int, **grid: tuple[float, ...]) -> None:
    """Try every combination of sampling settings on TEXTS, lines of {"text"}."""
    from hearing import count_errors, to_recogniser, transcribe

    pack = load_pack(str(pack_dir.resolve()))
    rows = [json.loads(line) for line in texts.read_text(encoding="utf-8").splitlines()[:num]]
    engine = TorchEngine(pack.language_model_dir, pack.layout)
    codec = SnacCodec(pack.codec_dir)
    results = []
    for temperature, top_p, penalty in itertools.product(*grid.values()):
        sampling = Sampling(temperature, top_p, penalty)
        builder = PromptBuilder(dataclasses.replace(pack, sampling=sampling))
        segments = [
            Segment(
                segment_id=f"{index:064x}",
                chapter_index=0,
                index=index,
                text=row["text"],
                voice=pack.default_voice,
                boundary=Boundary.SENTENCE,
                pause_after_s=0.0,
                start=0,
                end=0,
                seed=0,
            )
            for index, row in enumerate(rows)
        ]
        streams = sorted(engine.generate(builder.request(s) for s in segments), key=lambda s: s.segment_id)
        codes = [pack.layout.to_codes(usable_token_ids(s.token_ids, pack.layout)) for s in streams]
        waveforms = codec.decode(codes, [0] * len(codes))
        heard = transcribe([to_recogniser(w.samples) for w in waveforms])
        wrong, words = (counts.sum() for counts in count_errors([row["text"] for row in rows], heard))
        results.append(
            {
                "temperature": temperature,
                "top_p": top_p,
                "repetition_penalty": penalty,
                "wer": round(float(wrong / words), 4),
                "words": int(words),
                "not_stopped": sum(s.finish_reason != "stop" for s in streams),
            }
        )
        click.echo(json.dumps(results[-1]), err=True)
    for result in sorted(results, key=lambda r: -r["wer"]):
        click.echo(json.dumps(result))


if __name__ == "__main__":
    main()
