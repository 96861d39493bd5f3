"""All findings in order; the costly ones only where the cheap ones leave a point."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from orpheus_batch.config import AsrConfig, Config
from orpheus_batch.doctor import checks
from orpheus_batch.doctor.findings import Finding, Status
from orpheus_batch.doctor.trial import LANGUAGE, Trial, run_trial
from orpheus_batch.engine.choose import choose_engine
from orpheus_batch.errors import ConfigError, OrpheusBatchError, RecogniserError
from orpheus_batch.pipeline.models import pack_of, resolve_device
from orpheus_batch.quality.recogniser import INSTALL, load_recogniser

MAX_WORD_ERROR_RATE = 0.2
"""of three sentences: more is not a slip of the recogniser's"""

Run = Callable[[Config], Trial]


def examine(config: Config, folder: Path, against: str | None = None) -> Iterator[Finding]:
    """Look at everything a render needs, then render three sentences.

    Args:
        config: Model, engine and everything else.
        folder: Where books would go.
        against: Another folder of the same language model, built at another precision, to be heard beside it.

    Yields:
        What was found, as it is found.

    Raises:
        ConfigError: The configuration names a pack or a voice that does not exist.
    """
    choice = choose_engine(config)
    pack = pack_of(config)
    found = [checks.check_machine()]
    yield found[0]
    for finding in (
        *checks.check_gpu(choice, config),
        checks.check_tensorrt_llm(choice),
        Finding("engine", Status.OK, str(choice)),
        checks.check_ffmpeg(),
        checks.check_disk(folder),
        checks.check_model(pack, choice, config),
        checks.check_codec(pack),
    ):
        found.append(finding)
        yield finding
    if any(finding.status is Status.WRONG for finding in found):
        yield Finding("trial", Status.NOTE, "not tried: something above is wrong", "mend that, and ask again")
        return
    recogniser = None
    try:
        if pack.language != LANGUAGE:
            raise ConfigError(f"the pack '{pack.name}' does not speak the language of the trial's sentences")
        recogniser = load_recogniser(AsrConfig("auto"), LANGUAGE, resolve_device(config.engine.device))
    except (ConfigError, RecogniserError) as error:
        remedy = (
            f"`{INSTALL}` to have the trial listened to" if pack.language == LANGUAGE else "listen to a render"
        )
        yield Finding("recogniser", Status.NOTE, str(error), remedy)

    def run(settings: Config) -> Trial:
        return run_trial(settings, recogniser)

    with contextlib.closing(recogniser) if recogniser else contextlib.nullcontext():
        yield from _trial("trial", config, run)
        if against is not None:
            other = dataclasses.replace(config, model=dataclasses.replace(config.model, model_dir=against))
            finding = checks.check_model(pack_of(other), choice, other)
            yield dataclasses.replace(finding, subject=f"model {Path(against).name}")
            if finding.status is not Status.WRONG:
                yield from _trial(f"trial of {Path(against).name}", other, run)


def _trial(name: str, config: Config, run: Run) -> Iterator[Finding]:
    try:
        trial = run(config)
    except OrpheusBatchError as error:
        yield Finding(name, Status.WRONG, str(error), "the message says what; -v shows where")
        return
    if trial.error:
        yield Finding(name, Status.WRONG, trial.error, "the message says what; -v shows where")
        return
    value = f"{trial.audio_s:.1f} s of speech, {trial.num_takes} takes, {trial.num_tokens} tokens"
    if trial.failures:
        remedy = (
            "a model or engine that makes such streams is not as it should be: try --engine torch beside it"
        )
        yield Finding(name, Status.WRONG, f"{value}; failed: {'; '.join(trial.failures)}", remedy)
    else:
        yield Finding(name, Status.OK, value)
    stages = (
        f"loading {trial.load_s:.1f} s, language model {trial.generate_s:.1f} s, codec {trial.decode_s:.1f} s"
    )
    speed = trial.num_tokens / trial.generate_s if trial.generate_s else 0.0
    stages += (
        f", the rest {trial.encode_s:.1f} s; {speed:.0f} tokens/s of three sentences, no measure of a batch"
    )
    yield Finding(f"{name}: time", Status.OK, stages)
    if trial.word_error_rate is None:
        return
    heard = f"{trial.word_error_rate:.0%} of words wrong to {trial.recogniser}"
    if trial.word_error_rate <= MAX_WORD_ERROR_RATE:
        yield Finding(f"{name}: heard", Status.OK, heard)
    else:
        remedy = (
            "listen to a render; the built-in voice is a small one (docs/voice.md), Orpheus-3B should do better"
        )
        yield Finding(f"{name}: heard", Status.NOTE, heard, remedy)
