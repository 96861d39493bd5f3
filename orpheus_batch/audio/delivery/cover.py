"""A cover as files carry it: a picture that decodes, no larger than players want. It knows no tags."""

from orpheus_batch.audio.ffmpeg import run_ffmpeg
from orpheus_batch.audio.mp3 import cover_suffix
from orpheus_batch.errors import EncodeError

MAX_PIXELS = 1400
"""of the longer side; what is embedded in every chapter's file should not outweigh the sound"""


def prepare_cover(cover: bytes, name: str) -> bytes:
    """Return a picture as JPEG, scaled down where it is too large.

    Args:
        cover: JPEG or PNG.
        name: For messages.

    Raises:
        EncodeError: It is neither, or is damaged.
    """
    cover_suffix(cover, name)
    size = f"'min({MAX_PIXELS},iw)':'min({MAX_PIXELS},ih)'"
    filters = f"scale={size}:force_original_aspect_ratio=decrease:flags=lanczos+accurate_rnd,format=yuvj420p"
    args = ["-xerror", "-err_detect", "explode", "-f", "image2pipe", "-i", "pipe:0", "-frames:v", "1"]
    output = ["-vf", filters, "-q:v", "3", "-flags", "+bitexact", "-f", "mjpeg", "pipe:1"]
    try:
        picture = run_ffmpeg([*args, *output], stdin=cover, what=f"reading the cover {name}")
    except EncodeError as error:
        raise EncodeError(
            f"the cover {name} can't be decoded; save it anew as JPEG or PNG ({error})"
        ) from error
    if not picture:
        raise EncodeError(f"the cover {name} holds no picture; save it anew as JPEG or PNG")
    return picture
