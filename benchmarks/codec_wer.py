"""How much of the words the codec alone costs: the teacher's speech, as it is and encoded and decoded.

    python benchmarks/codec_wer.py SPEECH_DIR training/weights/codec --num 200

SPEECH_DIR is what `training/speak.py` made of a held-out book. The codec's folder must hold its encoder. Recogniser
and normaliser are those of `hearing.py`. Prints one line of JSON: the word error rate of both, each with its 95 %
bootstrap interval over utterances.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from about import about
from hearing import HEARD_WITH, count_errors, to_recogniser, transcribe, word_error_rate

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))


@torch.inference_mode()
def through_codec(codec: torch.nn.Module, samples: np.ndarray) -> np.ndarray:
    """Return float32 [num_samples] at 24 kHz, encoded, quantised and decoded."""
    whole = np.pad(samples, (0, -len(samples) % 2048))
    return codec(torch.from_numpy(whole)[None, None])[0][0, 0, : len(samples)].numpy()


def main() -> None:
    """Measure the teacher and the codec on the same utterances."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("speech", type=Path, help="a folder that training/speak.py made")
    parser.add_argument("codec", type=Path, help="a folder of training/codec.py, its encoder included")
    parser.add_argument("--num", type=int, default=200, help="utterances, in the order of the index")
    args = parser.parse_args()
    from audio_data import load_speech
    from encode import load_codec

    started = time.monotonic()
    torch.manual_seed(0)  # SNAC's decoder adds noise
    codec = load_codec(args.codec, torch.device("cpu"))
    speech = load_speech(args.speech)
    utterances = speech.utterances[: args.num]
    audio: dict[str, list[np.ndarray]] = {"teacher": [], "codec": []}
    for u in utterances:
        samples = speech.samples[u.start : u.start + u.num_samples].numpy().astype(np.float32) / 32768
        for name, version in (("teacher", samples), ("codec", through_codec(codec, samples))):
            audio[name].append(to_recogniser(version))
    result = {"benchmark": "codec_wer", "speech": args.speech.name, "utterances": len(utterances)}
    for name, versions in audio.items():
        wrong, words = count_errors([u.text for u in utterances], transcribe(versions))
        result[f"{name}_wer"], result[f"{name}_wer_95"] = word_error_rate(wrong, words)
        result["words"] = int(words.sum())
    result |= {**HEARD_WITH, **about(), "wall_s": round(time.monotonic() - started, 1)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
