"""Train the voice's codec: the `snac` package's own model, narrower, for one narrator.

    python training/codec.py SPEECH_DIR -o CODEC_DIR --minutes 10

Reads what `training/speak.py` wrote; writes ``config.json``, ``model.safetensors`` (encoder included, for
`training/encode.py`) and ``log.jsonl``. Stops after ``--minutes`` or ``--steps``; run again, it goes on from its
last checkpoint. All GPUs of the machine share each batch; without one it runs on CPU, slowly.

For the first tenth of the time nothing is quantised; then the codebooks start from what the encoder has learned to
say, each code the running mean of what is assigned to it, and codes that fall out of use are moved onto encodings
from the batch. The discriminators come in after two fifths of the time, when there is something to refine; with
``--start``, at once. Weights are averaged exponentially, and the average is what is kept.

``--keep-codes`` (with ``--start``) trains the decoder alone: what was encoded before stays valid, so that the language
model can be trained meanwhile. Its ``--decoder-dim`` may be larger than that of the codec it starts from.
"""

import functools
import json
import math
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import click
import codec_losses
import numpy as np
import torch
import torch.nn.functional as F
from audio_data import Speech, load_speech
from codec_losses import Discriminators, MultiScaleMelLoss
from codec_start import match_level, read_codec, start_codebooks, start_weights, take_weights
from codec_step import Step, share
from safetensors.torch import load_file, save_file
from torch import nn

COMMITMENT_WEIGHT = 0.1
CODE_DECAY = 0.98
"""of the running mean that each code is (VQ-VAE's, arXiv:1711.00937); by gradient, codes can't keep up"""
EMA_DECAY = 0.999
QUANTISED_FROM, CRITICS_FROM, CRITICS_RAMP = 0.1, 0.4, 0.1
"""shares of the time"""
RESTART_EVERY = 100
"""steps between moves of dead codes, until half of the time is gone"""


def codec_config(encoder_dim: int, decoder_dim: int, codebook_size: int) -> dict:
    """Return the arguments of `snac.SNAC` for a frame of 7 tokens and 2,048 samples at 24 kHz."""
    return {
        "sampling_rate": 24_000,
        "encoder_dim": encoder_dim,
        "encoder_rates": [2, 4, 8, 8],
        "decoder_dim": decoder_dim,
        "decoder_rates": [8, 8, 4, 2],
        "attn_window_size": None,
        "codebook_size": codebook_size,
        "codebook_dim": 8,
        "vq_strides": [4, 2, 1],
        "noise": True,
        "depthwise": True,
    }


class Generator(nn.Module):
    """SNAC with the losses of its quantiser, which the package leaves out."""

    def __init__(self, config: dict):
        super().__init__()
        import snac.layers
        from snac import SNAC

        snac.layers.snake = snake  # the package scripts its own; a plain function can be compiled
        self.snac = SNAC(**config)
        self.quantised = False
        self.keep_codes = False
        start_weights(self.snac)

    def freeze_codes(self) -> None:
        """Train nothing but the decoder from here on."""
        self.keep_codes = True
        self.snac.encoder.requires_grad_(False)
        self.snac.quantizer.requires_grad_(False)

    def compile_parts(self) -> None:
        """Fuse what an eager step spends most of its time on: snakes and depthwise convolutions.

        Each is compiled once for all shapes; the whole model would take minutes to compile.
        """
        import snac.layers

        torch._dynamo.config.force_parameter_static_shapes = False  # else once for every width
        codec_losses.distance = torch.compile(codec_losses.distance, dynamic=True)
        snac.layers.snake = torch.compile(snake, dynamic=True)
        shift_depthwise(self)

    def forward(self, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, list, list]:
        """Encode, quantise, decode.

        Args:
            audio: float32 [batch, num_samples], whole frames.

        Returns:
            The audio again, the quantiser's loss, and for each level the indices [batch * length] and the
            projected encodings [batch * length, codebook_dim] that they stand for.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.keep_codes):
            quantised, loss, indices, encodings = self.encode(audio)
        return self.snac.decoder(quantised)[:, 0], loss, indices, encodings

    def encode(self, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, list, list]:
        """Return what the decoder gets, [batch, latent, length], and the rest as `forward` has it."""
        residual = self.snac.encoder(audio[:, None])
        quantised, loss, indices, encodings = 0, audio.new_zeros(()), [], []
        for quantizer in self.snac.quantizer.quantizers:
            z = F.avg_pool1d(residual, quantizer.stride) if quantizer.stride > 1 else residual
            encoded = quantizer.in_proj(z)
            passed = encoded
            if self.quantised:
                code, index = quantizer.decode_latents(encoded)
                loss = loss + COMMITMENT_WEIGHT * F.mse_loss(encoded, code.detach())
                passed = encoded + (code - encoded).detach()
                indices.append(index.reshape(-1))
            z_q = quantizer.out_proj(passed).repeat_interleave(quantizer.stride, dim=-1)
            quantised = quantised + z_q
            residual = residual - z_q
            encodings.append(encoded.detach().transpose(1, 2).reshape(-1, encoded.shape[1]))
        return quantised, loss, indices, encodings


def snake(x: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Return x + sin(alpha x)^2 / alpha, as the package's own, for [batch, channels, length]."""
    return x + (alpha + 1e-9).reciprocal() * torch.sin(alpha * x).pow(2)


@functools.cache
def compiled_shift(padding: int, dilation: int) -> Callable[..., torch.Tensor]:
    """Return a depthwise convolution as a sum of shifted copies, compiled for any shape."""

    def shift(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        length = x.shape[-1] + 2 * padding - dilation * (weight.shape[-1] - 1)
        x = F.pad(x, (padding, padding))
        out = bias[:, None].expand(-1, length)
        for k in range(weight.shape[-1]):
            out = out + weight[:, 0, k, None] * x[..., k * dilation : k * dilation + length]
        return out

    return torch.compile(shift, dynamic=True)


class ShiftConv(nn.Module):
    """A depthwise convolution without cuDNN, whose kernels for it are slow; the weights stay those of ``conv``."""

    def __init__(self, conv: nn.Conv1d):
        super().__init__()
        self.conv = conv

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the convolution of [batch, channels, length]."""
        shift = compiled_shift(self.conv.padding[0], self.conv.dilation[0])
        return shift(x, self.conv.weight, self.conv.bias)


def shift_depthwise(module: nn.Module) -> None:
    """Put a `ShiftConv` in front of every depthwise convolution inside ``module``."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv1d) and child.groups == child.in_channels > 1:
            setattr(module, name, ShiftConv(child))
        else:
            shift_depthwise(child)


def plain_name(name: str) -> str:
    """Return the `snac` package's own name of a weight of `Generator`."""
    return re.sub(r"\.conv\.(bias|parametrizations)", r".\1", name.removeprefix("snac."))


class Crops:
    """Random pieces of speech, louder and softer by a little."""

    def __init__(self, speech: Speech, crop_samples: int, generator: torch.Generator):
        self.speech = speech
        self.crop_samples = crop_samples
        self.generator = generator
        device = speech.samples.device
        usable = [u for u in speech.utterances if u.num_samples >= crop_samples]
        self.starts = torch.tensor([u.start for u in usable], device=device)
        self.room = torch.tensor([u.num_samples - crop_samples for u in usable], device=device)
        self.chances = torch.tensor([float(u.num_samples) for u in usable], device=device)
        self.steps = torch.arange(crop_samples, device=device)

    def batch(self, size: int) -> torch.Tensor:
        """Return float32 [size, crop_samples]."""
        rows = torch.multinomial(self.chances, size, replacement=True, generator=self.generator)
        u = torch.rand(2, size, device=rows.device, generator=self.generator)
        starts = self.starts[rows] + (u[0] * (self.room[rows] + 1)).long()
        audio = self.speech.samples[starts[:, None] + self.steps].float() / 32768.0
        return audio * (0.7 + 0.45 * u[1])[:, None]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("speech_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--minutes", type=float, default=10.0, show_default=True, help="Stop after so long.")
@click.option("--steps", type=int, default=None, help="Stop after so many steps instead.")
@click.option("--batch", type=int, default=64, show_default=True, help="Crops a step, over all GPUs.")
@click.option("--crop-frames", type=int, default=8, show_default=True, help="Length of a crop, 85.33 ms each.")
@click.option("--encoder-dim", type=int, default=32, show_default=True)
@click.option("--decoder-dim", type=int, default=256, show_default=True)
@click.option("--codebook-size", type=int, default=1024, show_default=True)
@click.option("--lr", type=float, default=8e-4, show_default=True)
@click.option("--max-hours", type=float, default=None, help="Read at most so much speech.")
@click.option("--compile/--no-compile", "compiled", default=False, show_default=True)
@click.option(
    "--start",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="Go on from the weights of an earlier codec instead of none.",
)
@click.option(
    "--graph/--no-graph", default=True, show_default=True, help="Replay steps as a CUDA graph where possible."
)
@click.option(
    "--keep-codes", is_flag=True, help="With --start: the decoder alone; codes made before stay valid."
)
@click.option("--gpus", default=None, help="Such as 0,1; default: all.")
def main(speech_dir: Path, out: Path, gpus: str | None, **options) -> None:
    """Train the codec on SPEECH_DIR."""
    if options["keep_codes"] and options["start"] is None:
        raise click.UsageError("--keep-codes needs the codec that made them: --start CODEC_DIR")
    out.mkdir(parents=True, exist_ok=True)
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    world = max(1, torch.cuda.device_count())
    if world == 1:
        train(0, 1, speech_dir, out, options, 0)
    else:
        port = 20_000 + os.getpid() % 20_000
        torch.multiprocessing.spawn(train, (world, speech_dir, out, options, port), nprocs=world)


def train(rank: int, world: int, speech_dir: Path, out: Path, options: dict, port: int) -> None:
    """Run one process of the training; the first also logs and saves."""
    start = time.monotonic()
    if world > 1:
        torch.distributed.init_process_group(
            "nccl", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world
        )
    device = torch.device("cuda", rank) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.manual_seed(1)
    config = codec_config(options["encoder_dim"], options["decoder_dim"], options["codebook_size"])
    generator, critics = Generator(config), Discriminators()
    if options["start"] is not None:
        take_weights(generator.snac, read_codec(options["start"]))
        generator.quantised = True
        judged_before = options["start"] / "critics.safetensors"
        if judged_before.exists():
            critics.load_state_dict({k: v.float() for k, v in load_file(judged_before).items()})
    if options["compiled"]:
        generator.compile_parts()
    if options["keep_codes"]:
        generator.freeze_codes()
        torch.backends.cudnn.benchmark = True  # every step has the same shapes
    critics_from = CRITICS_FROM if options["start"] is None else 0.0
    for quantizer in generator.snac.quantizer.quantizers:
        quantizer.codebook.weight.requires_grad_(False)
    generator.to(device)
    critics.to(device, memory_format=torch.channels_last)
    mel_loss = MultiScaleMelLoss().to(device)
    train_step = Step(generator, critics, mel_loss, world, replayed=options["graph"])
    g_opt, d_opt = train_step.g_opt, train_step.d_opt
    speech = load_speech(speech_dir, device, options["max_hours"])
    num_held_out = max(1, min(64, len(speech.utterances) // 10))
    held_out, rest = speech.utterances[:num_held_out], speech.utterances[num_held_out:]
    noise = torch.Generator(device).manual_seed(100 + rank)
    crops = Crops(Speech(speech.samples, rest), options["crop_frames"] * 2048, noise)
    check = validation_batch(Speech(speech.samples, held_out), device)
    average = {k: v.detach().clone() for k, v in generator.state_dict().items()}
    state = {"step": 0, "elapsed": 0.0}
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        generator.load_state_dict(saved["generator"])
        critics.load_state_dict(saved["critics"])
        train_step.load(saved["g_opt"], saved["d_opt"])
        average = saved["average"]
        state = {"step": saved["step"], "elapsed": saved["elapsed"]}
        generator.quantised = saved["quantised"]
    elif options["start"] is None:
        match_level(generator, crops.batch(8))
        share(world, [p.data for p in generator.parameters()], average=True)
    log = (out / "log.jsonl").open("a", encoding="utf-8") if rank == 0 else None
    used = [torch.zeros(options["codebook_size"], device=device) for _ in config["vq_strides"]]
    codes = RunningCodes(generator, world)
    recent = time.monotonic()
    saved_at = recent
    batch = max(1, options["batch"] // world)
    live = generator.state_dict()
    while True:
        done = progress(state, start, options)
        if world > 1:  # all processes must stop at the same step
            flag = torch.tensor([done], device=device)
            torch.distributed.broadcast(flag, 0)
            done = flag.item()
        if done >= 1.0:
            break
        step = state["step"]
        rate = options["lr"] * min(1.0, (step + 1) / 200) * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))
        real = crops.batch(batch)
        if done > QUANTISED_FROM and not generator.quantised:
            start_codebooks(generator, [crops.batch(batch) for _ in range(12)])
            share(world, [p.data for p in generator.parameters()], average=True)
            generator.quantised = True
            codes = RunningCodes(generator, world)
            average = {k: v.detach().clone() for k, v in generator.state_dict().items()}
        ramp = min(1.0, max(0.0, done - critics_from + 1e-3) / CRITICS_RAMP) if done >= critics_from else 0.0
        record, indices, encodings = train_step(real, rate, ramp)
        state["step"] = step = step + 1
        with torch.no_grad():
            for level, index in enumerate(indices):
                used[level].index_add_(0, index, torch.ones_like(index, dtype=torch.float32))
            if generator.quantised and not generator.keep_codes:
                codes.update(indices, encodings)
            decay = min(EMA_DECAY, (1 + step) / (10 + step))
            floats = [(average[k], v) for k, v in live.items() if v.is_floating_point()]
            torch._foreach_lerp_([a for a, _ in floats], [v for _, v in floats], 1 - decay)
        record = dict(record)
        if step % RESTART_EVERY == 0 and generator.quantised:
            share(world, used, average=False)
            record["used"] = [int((u > 0).sum()) for u in used]
            record["perplexity"] = [round(perplexity(u)) for u in used]
            if done < 0.5 and not generator.keep_codes:
                codes.move_dead(average, used, encodings, noise)
            used = [torch.zeros_like(u) for u in used]
        if rank == 0 and step % RESTART_EVERY == 0:
            now = time.monotonic()
            row = {"step": step, "done": round(done, 3), "steps_s": round(RESTART_EVERY / (now - recent), 2)}
            row |= {k: round(float(v), 4) if torch.is_tensor(v) else v for k, v in record.items()}
            if step % (5 * RESTART_EVERY) == 0:
                row["check_mel"] = round(check_mel(generator, average, mel_loss, check), 4)
            log.write(json.dumps(row) + "\n")
            log.flush()
            click.echo(json.dumps(row))
            recent = time.monotonic()
        if rank == 0 and time.monotonic() - saved_at > 120:
            save_checkpoint(checkpoint, generator, critics, g_opt, d_opt, average, state, start)
            write_codec(out, config, average, critics)
            saved_at = time.monotonic()
    if rank == 0:
        row = {
            "step": state["step"],
            "final_check_mel": round(check_mel(generator, average, mel_loss, check), 4),
        }
        log.write(json.dumps(row) + "\n")
        click.echo(json.dumps(row))
        save_checkpoint(checkpoint, generator, critics, g_opt, d_opt, average, state, start)
        write_codec(out, config, average, critics)
    if world > 1:
        torch.distributed.destroy_process_group()


def write_codec(out: Path, config: dict, average: dict[str, torch.Tensor], critics: nn.Module) -> None:
    """Write the averaged codec, and beside it what ``--start`` lets its discriminators go on from."""
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    named = {
        "model": {plain_name(k): v for k, v in average.items()},
        "critics": critics.state_dict(),
    }
    for name, tensors in named.items():
        halves = {k: v.half().cpu().contiguous() for k, v in tensors.items()}
        beside = out / f"{name}.part"
        save_file(halves, beside, metadata={"format": "pt"})
        beside.replace(out / f"{name}.safetensors")


def progress(state: dict, start: float, options: dict) -> float:
    """Return how much of the training is done, 0 to 1."""
    if options["steps"] is not None:
        return state["step"] / options["steps"]
    return (state["elapsed"] + time.monotonic() - start) / (60 * options["minutes"])


class RunningCodes:
    """Codebooks as running means of what was assigned to each code, the same on every process."""

    def __init__(self, generator: Generator, world: int):
        self.world = world
        self.weights = [q.codebook.weight for q in generator.snac.quantizer.quantizers]
        self.counts = [torch.ones(len(w), 1, device=w.device) for w in self.weights]
        self.sums = [w.detach().clone() for w in self.weights]

    @torch.no_grad()
    def update(self, indices: list[torch.Tensor], encodings: list[torch.Tensor]) -> None:
        """Take in one batch: indices [num] and encodings [num, codebook_dim] of each level."""
        fresh = []
        for weight, index, encoded in zip(self.weights, indices, encodings, strict=True):
            ones = torch.ones(len(index), 1, device=weight.device)
            rows = torch.cat([encoded.float(), ones], dim=1)
            fresh.append(
                torch.zeros(len(weight), rows.shape[1], device=weight.device).index_add_(0, index, rows)
            )
        share(self.world, fresh, average=False)
        for level, new in enumerate(fresh):
            self.sums[level].mul_(CODE_DECAY).add_(new[:, :-1], alpha=1 - CODE_DECAY)
            self.counts[level].mul_(CODE_DECAY).add_(new[:, -1:], alpha=1 - CODE_DECAY)
            known = self.counts[level][:, 0] > 1e-3
            mean = self.sums[level] / self.counts[level].clamp_min(1e-3)
            self.weights[level][known] = mean[known]

    @torch.no_grad()
    def move_dead(
        self,
        average: dict[str, torch.Tensor],
        used: list[torch.Tensor],
        encodings: list[torch.Tensor],
        noise: torch.Generator,
    ) -> None:
        """Move codes that nothing has used lately onto encodings of this batch."""
        for level, weight in enumerate(self.weights):
            dead = used[level] < 2
            rows = torch.randint(len(encodings[level]), (len(dead),), generator=noise, device=dead.device)
            fresh = encodings[level][rows].float().contiguous()
            if self.world > 1:
                torch.distributed.broadcast(fresh, 0)
            weight[dead] = fresh[dead]
            self.sums[level][dead], self.counts[level][dead] = fresh[dead], 1.0
            average[f"snac.quantizer.quantizers.{level}.codebook.weight"][dead] = fresh[dead]


def perplexity(counts: torch.Tensor) -> float:
    """Return the effective number of codes in use: exp of the entropy."""
    p = counts / counts.sum().clamp_min(1)
    return math.exp(-(p * p.clamp_min(1e-12).log()).sum().item())


def validation_batch(speech: Speech, device: torch.device) -> torch.Tensor:
    """Return the first two seconds of each held-out utterance, float32 [num, 49152]."""
    pieces = []
    for u in speech.utterances:
        piece = speech.samples[u.start : u.start + min(u.num_samples, 49_152)].float() / 32768.0
        pieces.append(F.pad(piece, (0, 49_152 - len(piece))))
    return torch.stack(pieces).to(device)


@torch.no_grad()
def check_mel(
    generator: Generator, average: dict[str, torch.Tensor], mel_loss: nn.Module, audio: torch.Tensor
) -> float:
    """Return the mel loss of the averaged weights on held-out speech."""
    live = {k: v.clone() for k, v in generator.state_dict().items()}
    generator.load_state_dict(average)
    losses = [mel_loss(generator(part)[0], part).item() for part in audio.split(16)]
    generator.load_state_dict(live)
    return float(np.mean(losses))


def save_checkpoint(
    file: Path,
    generator: nn.Module,
    critics: nn.Module,
    g_opt: torch.optim.Optimizer,
    d_opt: torch.optim.Optimizer,
    average: dict[str, torch.Tensor],
    state: dict,
    start: float,
) -> None:
    """Write everything needed to go on, beside, then rename."""
    beside = file.with_suffix(".part")
    torch.save(
        {
            "generator": generator.state_dict(),
            "critics": critics.state_dict(),
            "g_opt": g_opt.state_dict(),
            "d_opt": d_opt.state_dict(),
            "average": average,
            "quantised": generator.quantised,
            "step": state["step"],
            "elapsed": state["elapsed"] + time.monotonic() - start,
        },
        beside,
    )
    beside.replace(file)


if __name__ == "__main__":
    main()
