"""What publishers ask of a file, as numbers: four presets, and any other from a YAML file.

A preset says how files are made and what they are held against afterwards. It measures nothing and writes
nothing. Sources of each number are named in ``docs/delivery.md``.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from orpheus_batch.audio.delivery.templates import check_template
from orpheus_batch.config import build, read_yaml
from orpheus_batch.errors import ConfigError

Format = Literal["mp3", "m4b", "flac", "opus", "wav"]

FORMATS: tuple[Format, ...] = ("mp3", "m4b", "flac", "opus", "wav")
LOSSLESS = ("flac", "wav")

FILE_NAME_FIELDS = ("number", "title", "book", "author")
CREDIT_FIELDS = ("title", "author", "narrator", "year")

_MP3_RATES_KBPS = {
    "low": (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    "high": (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_OPUS_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)


@dataclass(frozen=True, slots=True)
class Preset:
    """One publisher's wishes. Levels are dB full scale, of the whole file unless something else is said."""

    name: str = "custom"
    format: Format = "mp3"
    sample_rate_hz: int = 44_100
    channels: int = 1
    """1, or 2 with the same in both"""
    bitrate_kbps: int = 128
    """of lossy formats: what files are made with, and the least that passes"""
    constant_bitrate: bool = True
    """of MP3; other formats have none"""
    loudness: Literal["rms", "lufs"] = "rms"
    """rms: of all samples, pauses included; lufs: integrated, by EBU R 128"""
    target_db: float = -20.0
    """of the whole book"""
    min_db: float = -23.0
    max_db: float = -18.0
    peak: Literal["sample", "true"] = "sample"
    max_peak_db: float = -3.0
    """measured on the decoded file"""
    max_noise_floor_db: float | None = None
    """of every pause; null: not judged"""
    room_tone_db: float | None = -70.0
    """laid under everything; null: none"""
    allow_digital_silence: bool = False
    head_s: float = 0.75
    """before the first sound; what files are made with"""
    min_head_s: float = 0.0
    max_head_s: float = 60.0
    tail_s: float = 2.5
    """after the last sound, likewise"""
    min_tail_s: float = 0.0
    max_tail_s: float = 60.0
    max_file_s: float | None = 7200.0
    """a longer chapter becomes parts, cut after a sentence; null: never"""
    required_tags: str = "title, artist, album"
    """names, with commas between them; each must be there"""
    credits: bool = False
    """opening and closing credits as files of their own"""
    opening_credits: str = "{title}.\nWritten by {author}.\nNarrated by {narrator}."
    """a line with a field that is empty is left out"""
    closing_credits: str = (
        "You have been listening to {title}.\nWritten by {author}.\nNarrated by {narrator}.\nThe end."
    )
    retail_sample_s: float | None = None
    """longest sample from the first chapter on; null: none"""
    file_name: str = "{number} - {title}"
    """of a file, without its suffix"""
    policy: str = ""
    """what passing the numbers does not mean, in a line"""

    def __post_init__(self) -> None:
        """Check what a type alone does not say."""
        for ok, what in (
            (self.channels in (1, 2), "channels must be 1 or 2"),
            (8_000 <= self.sample_rate_hz <= 96_000, "sample_rate_hz must be in 8000..96000"),
            (8 <= self.bitrate_kbps <= 512, "bitrate_kbps must be in 8..512"),
            (self.min_db <= self.target_db <= self.max_db, "target_db must lie between min_db and max_db"),
            (-60 <= self.target_db <= -6, "target_db must be in -60..-6"),
            (-20 <= self.max_peak_db <= 0, "max_peak_db must be in -20..0"),
            (
                self.target_db < self.max_peak_db,
                f"a level of {self.target_db:g} dB can't be met under peaks of {self.max_peak_db:g} dB",
            ),
            (self.room_tone_db is None or -90 <= self.room_tone_db <= -50, "room_tone_db must be in -90..-50"),
            (
                0 <= self.min_head_s <= self.head_s <= self.max_head_s <= 60,
                "head_s must lie between min_head_s and max_head_s",
            ),
            (
                0 <= self.min_tail_s <= self.tail_s <= self.max_tail_s <= 60,
                "tail_s must lie between min_tail_s and max_tail_s",
            ),
            (
                self.max_file_s is None or 10 <= self.max_file_s <= 360_000,
                "max_file_s must be in 10..360000, or null",
            ),
            (
                self.retail_sample_s is None or 60 <= self.retail_sample_s <= 3600,
                "retail_sample_s must be in 60..3600, or null",
            ),
        ):
            if not ok:
                raise ConfigError(what)
        for template, name, fields in (
            (self.file_name, "file_name", FILE_NAME_FIELDS),
            (self.opening_credits, "opening_credits", CREDIT_FIELDS),
            (self.closing_credits, "closing_credits", CREDIT_FIELDS),
        ):
            check_template(template, name, fields)
        if "{number}" not in self.file_name:
            raise ConfigError("file_name needs {number}: two chapters may have one title")
        self._check_format()

    def _check_format(self) -> None:
        if self.format == "mp3":
            allowed = _MP3_RATES_KBPS["high" if self.sample_rate_hz >= 32_000 else "low"]
            if self.sample_rate_hz not in (16_000, 22_050, 24_000, 32_000, 44_100, 48_000):
                raise ConfigError(f"sample_rate_hz: no MP3 has {self.sample_rate_hz} Hz")
            if self.bitrate_kbps not in allowed:
                raise ConfigError(
                    f"bitrate_kbps: an MP3 at {self.sample_rate_hz} Hz can't have {self.bitrate_kbps}; it can "
                    f"have {', '.join(map(str, allowed))}"
                )
        if self.format == "opus" and self.sample_rate_hz not in _OPUS_RATES_HZ:
            raise ConfigError(f"sample_rate_hz: Opus has {', '.join(map(str, _OPUS_RATES_HZ))} Hz only")

    @property
    def tags(self) -> tuple[str, ...]:
        """The names in `required_tags`."""
        return tuple(tag.strip() for tag in self.required_tags.split(",") if tag.strip())

    def in_format(self, format_name: Format) -> "Preset":
        """Return this preset for another kind of file; what the kind can't have gives way.

        Raises:
            ConfigError: The bit rate does not go with it.
        """
        if format_name == self.format:
            return self
        rate = 48_000 if format_name == "opus" else self.sample_rate_hz
        constant = self.constant_bitrate and format_name == "mp3"
        return dataclasses.replace(self, format=format_name, sample_rate_hz=rate, constant_bitrate=constant)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return dataclasses.asdict(self)


PRESETS: dict[str, Preset] = {
    "acx": Preset(
        name="acx",
        bitrate_kbps=192,
        max_noise_floor_db=-60.0,
        min_head_s=0.5,
        max_head_s=1.0,
        min_tail_s=1.0,
        max_tail_s=5.0,
        credits=True,
        retail_sample_s=290.0,
        policy=(
            "ACX says, “your submitted audiobook must be narrated by a human unless otherwise authorized” "
            "(https://help.acx.com/s/article/what-are-the-acx-audio-submission-requirements): "
            "a synthetic voice can pass every number and be refused"
        ),
    ),
    "librivox": Preset(
        name="librivox",
        loudness="lufs",
        target_db=-18.0,
        min_db=-21.0,
        max_db=-16.0,
        max_peak_db=-1.0,
        min_head_s=0.5,
        max_head_s=1.0,
        tail_s=5.0,
        min_tail_s=4.5,
        max_tail_s=10.0,
        policy=(
            "LibriVox says, it “does not allow audio recordings […] made with artificial (nonhuman) intelligence "
            "technology” (https://wiki.librivox.org/index.php/LibriVox_and_Artificial_Intelligence_(AI)): "
            "a synthetic voice can pass every number and will be refused"
        ),
    ),
    "podcast": Preset(
        name="podcast",
        loudness="lufs",
        target_db=-16.0,
        min_db=-20.0,
        max_db=-14.0,
        peak="true",
        max_peak_db=-1.0,
        max_file_s=None,
        policy=(
            "Apple asks that what AI has made of a podcast be disclosed in its sound and its metadata "
            "(https://podcasters.apple.com/support/891-content-and-subscription-guidelines): the tags say it, so "
            "say it aloud too"
        ),
    ),
    "archive": Preset(
        name="archive",
        format="flac",
        sample_rate_hz=24_000,
        constant_bitrate=False,
        max_file_s=None,
        min_db=-26.0,
        max_db=-16.0,
    ),
}


def load_preset(name_or_file: str) -> Preset:
    """Return a preset by its name, or read one from a YAML file.

    A file has any keys of `Preset`; ``base: acx`` starts from a preset, anything else from defaults.

    Raises:
        ConfigError: No such preset or file, an unknown key, or a value out of range; says which.
    """
    if name_or_file in PRESETS:
        return PRESETS[name_or_file]
    file = Path(name_or_file)
    if not file.is_file():
        raise ConfigError(
            f"there is no delivery preset {name_or_file}: give {', '.join(PRESETS)}, or a YAML file's path"
        )
    tree = {"name": file.stem} | read_yaml(file)
    base = tree.pop("base", None)
    if base is not None:
        if base not in PRESETS:
            raise ConfigError(f"{file}: base must be one of {', '.join(PRESETS)}, not {base!r}")
        tree = PRESETS[base].to_dict() | tree
    try:
        return build(Preset, tree)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
