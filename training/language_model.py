"""Train the voice's language model: a small Llama that writes audio codes after a prompt of characters.

    python training/language_model.py CODES_DIR... -o MODEL_DIR --minutes 12

Reads what `training/encode.py` wrote; writes ``model.safetensors`` (float16, Hugging Face's names),
``config.json``, ``layout.json`` and ``log.jsonl``. Stops after ``--minutes`` or ``--steps``; run again, it goes on
from its last checkpoint. All GPUs of the machine share each batch.

The loss at position p of the frame is over the codes that are legal there (and the stop, at p = 0 after the first
frame), which is what the engine samples from. Some audio tokens of the input are replaced by random ones, so that
the model learns to go on after a bad draw.
"""

import dataclasses
import json
import math
import os
import time
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from codec import progress, share
from safetensors.torch import save_file
from torch import nn

from orpheus_batch.pack_writer import character_layout, character_tokenizer, vocab_size
from orpheus_batch.tokens import TokenLayout

FRAME = 7
LEVEL_WEIGHTS = (2.0, 1.2, 1.0, 1.0, 1.2, 1.0, 1.0)
"""a wrong coarse code costs a syllable, a wrong fine one a little noise"""


def llama_config(layout: TokenLayout, hidden: int, layers: int, heads: int, kv_heads: int, ffn: int) -> dict:
    """Return a Hugging Face Llama ``config.json``."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": hidden // heads,
        "vocab_size": vocab_size(layout),
        "tie_word_embeddings": True,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "max_position_embeddings": 4096,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": layout.prompt_prefix[-1],
        "eos_token_id": layout.stop_id,
        "pad_token_id": 0,
        "torch_dtype": "float16",
    }


class Attention(nn.Module):
    """Grouped-query attention with rotary positions, as transformers' Llama has it."""

    def __init__(self, config: dict):
        super().__init__()
        hidden, self.head_dim = config["hidden_size"], config["head_dim"]
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.q_proj = nn.Linear(hidden, self.heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(hidden, self.kv_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(hidden, self.kv_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.head_dim, hidden, bias=False)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Attend causally within each row of [batch, length, hidden]."""
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, self.heads, self.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, -1))


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Apply rotary positions to [..., length, head_dim]; halves, not pairs, as Hugging Face's Llama."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return (x * cos + turned * sin).to(x.dtype)


class RMSNorm(nn.Module):
    """Llama's norm, worked out in float32 whatever comes in."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return [..., size] in the type of ``x``."""
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps) * self.weight).to(x.dtype)


class Block(nn.Module):
    """One layer, with dropout on what it adds."""

    def __init__(self, config: dict, dropout: float):
        super().__init__()
        hidden, ffn = config["hidden_size"], config["intermediate_size"]
        self.input_layernorm = RMSNorm(hidden, eps=config["rms_norm_eps"])
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(hidden, eps=config["rms_norm_eps"])
        self.mlp = nn.ModuleDict(
            {
                "gate_proj": nn.Linear(hidden, ffn, bias=False),
                "up_proj": nn.Linear(hidden, ffn, bias=False),
                "down_proj": nn.Linear(ffn, hidden, bias=False),
            }
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Return [batch, length, hidden]."""
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), cos, sin)).to(x.dtype)
        y = self.post_attention_layernorm(x)
        gated = F.silu(self.mlp["gate_proj"](y)) * self.mlp["up_proj"](y)
        return x + self.dropout(self.mlp["down_proj"](gated)).to(x.dtype)


class Llama(nn.Module):
    """The language model with the loss over legal codes."""

    def __init__(self, config: dict, layout: TokenLayout, dropout: float):
        super().__init__()
        self.layout = layout
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(config["vocab_size"], config["hidden_size"]),
                "layers": nn.ModuleList(Block(config, dropout) for _ in range(config["num_hidden_layers"])),
                "norm": RMSNorm(config["hidden_size"], eps=config["rms_norm_eps"]),
            }
        )
        self.dropout = nn.Dropout(dropout)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                deep = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(p, std=0.02 / (math.sqrt(2 * config["num_hidden_layers"]) if deep else 1.0))
        half = config["head_dim"] // 2
        angles = torch.outer(torch.arange(4096.0), config["rope_theta"] ** (-torch.arange(half) / half))
        self.register_buffer("cos", torch.cat([angles, angles], dim=-1).cos(), persistent=False)
        self.register_buffer("sin", torch.cat([angles, angles], dim=-1).sin(), persistent=False)

    def compile_parts(self) -> None:
        """Compile a layer and the loss, once for all shapes; the whole model would take minutes to compile."""
        for layer in self.model["layers"]:
            layer.compile(dynamic=True)
        self.loss = torch.compile(self.loss, dynamic=True)

    def forward(
        self, tokens: torch.Tensor, clean: torch.Tensor, prompt_length: torch.Tensor, num_frames: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weighted loss and the plain losses by position of the frame, stop last.

        Args:
            tokens: int64 [batch, length]: prompt, frames (some corrupted), padding.
            clean: The same uncorrupted: what is predicted.
            prompt_length: int64 [batch].
            num_frames: int64 [batch].
        """
        length = tokens.shape[1]
        x = self.dropout(self.model["embed_tokens"](tokens))
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))  # what moves between layers, in half the bytes
        cos, sin = self.cos[:length], self.sin[:length]
        for layer in self.model["layers"]:
            x = layer(x, cos, sin)
        return self.loss(self.model["norm"](x), clean, prompt_length, num_frames)

    def loss(
        self, hidden: torch.Tensor, clean: torch.Tensor, prompt_length: torch.Tensor, num_frames: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross entropy over the legal ids at each position of the frame."""
        batch, length, size = hidden.shape
        most = (length - 1) // FRAME + 1
        step = torch.arange(most * FRAME, device=hidden.device)
        predictor = (prompt_length[:, None] - 1 + step).clamp_max(length - 1)
        h = hidden.gather(1, predictor[..., None].expand(-1, -1, size)).view(batch, most, FRAME, size)
        target = clean.gather(1, (predictor + 1).clamp_max(length - 1)).view(batch, most, FRAME)
        frame = torch.arange(most, device=hidden.device)
        spoken = frame < num_frames[:, None]
        ends = frame == num_frames[:, None]
        layout, embed = self.layout, self.model["embed_tokens"].weight
        rows = embed[layout.audio_offset : layout.audio_end].view(FRAME, layout.codebook_size, size)
        code = target - layout.audio_offset - layout.codebook_size * torch.arange(FRAME, device=hidden.device)
        losses, total, weight_sum = [], hidden.new_zeros((), dtype=torch.float32), 0.0
        for p in range(FRAME):
            logits = (h[:, :, p] @ rows[p].to(h.dtype).T).float()
            wanted = torch.where(spoken, code[:, :, p], -100)
            if p == 0:
                stop = (h[:, :, 0] @ embed[layout.stop_id].to(h.dtype)).float()
                stop = stop.masked_fill(frame == 0, -1e4)
                logits = torch.cat([logits, stop[..., None]], dim=-1)
                wanted = torch.where(ends, layout.codebook_size, wanted)
            each = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none", ignore_index=-100)
            mean = each.sum() / num_frames.sum()
            losses.append(mean.detach())
            if p == 0:
                losses_stop = (each.view(batch, most) * ends).sum() / batch
                losses_stop = losses_stop.detach()
            total = total + LEVEL_WEIGHTS[p] * mean
            weight_sum += LEVEL_WEIGHTS[p]
        return total / weight_sum, torch.stack([*losses, losses_stop])


@dataclasses.dataclass
class Corpus:
    """Every sequence in one tensor on the device, so that a step waits for nothing from the host."""

    flat: torch.Tensor
    """int32: prompt, then frames, of one utterance after the other"""
    places: torch.Tensor
    """int64 [num, 3] on the device: start, prompt length, number of frames"""
    length: np.ndarray
    """tokens of each sequence, on the host; the stop is a target only"""


def load_corpus(
    codes_dirs: tuple[Path, ...],
    voice: str,
    alphabet: str,
    codebook_size: int,
    device: torch.device,
    max_length: int,
) -> Corpus:
    """Read codes and texts; sequences over ``max_length`` tokens are left out."""
    layout = character_layout(alphabet, codebook_size)
    vocab = character_tokenizer(alphabet)["model"]["vocab"]
    offsets = layout.audio_offset + codebook_size * np.arange(FRAME, dtype=np.int32)
    parts, start, prompt_length, num_frames, total = [], [], [], [], 0
    for codes_dir in codes_dirs:
        codes = np.load(codes_dir / "codes.npy").astype(np.int32) + offsets
        for line in (codes_dir / "codes.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            text = [vocab[c] for c in f"{voice}: {row['text']}" if c in vocab]
            prompt = [*layout.prompt_prefix, *text, *layout.prompt_suffix]
            if len(prompt) + FRAME * row["num_frames"] > max_length or row["num_frames"] < 1:
                continue
            frames = codes[row["start"] : row["start"] + row["num_frames"]].reshape(-1)
            parts += [np.asarray(prompt, dtype=np.int32), frames]
            start.append(total)
            prompt_length.append(len(prompt))
            num_frames.append(row["num_frames"])
            total += len(prompt) + len(frames)
    flat = torch.from_numpy(np.concatenate(parts)).to(device)
    places = np.stack([start, prompt_length, num_frames], axis=1)
    return Corpus(flat, torch.from_numpy(places).to(device), places[:, 1] + FRAME * places[:, 2])


def batches(corpus: Corpus, rows: np.ndarray, budget: int, rng: np.random.Generator, world: int) -> list:
    """Return an epoch: shuffled lists of rows, alike in length, ``world`` lists a step.

    Lengths are rounded up to 64, so that few shapes occur.
    """
    rows = rng.permutation(rows)
    order = rows[np.argsort(corpus.length[rows] + rng.uniform(-20, 20, len(rows)))]
    groups, first = [], 0
    while first < len(order):
        last = first + 1
        while last < len(order):
            longest = -(-int(corpus.length[order[last]] + 20) // 64) * 64
            if (last - first + 1) * longest > budget:
                break
            last += 1
        groups.append(order[first:last])
        first = last
    groups = [groups[i] for i in rng.permutation(len(groups))]
    return [groups[i : i + world] for i in range(0, len(groups) - world + 1, world)]


def make_batch(corpus: Corpus, rows: torch.Tensor, longest: int) -> tuple[torch.Tensor, ...]:
    """Return tokens [batch, length], prompt lengths and frame counts.

    Args:
        corpus: Where from.
        rows: int64 [batch], on the device.
        longest: Tokens of the longest of them.
    """
    length = -(-longest // 64) * 64
    start, prompt_length, num_frames = corpus.places[rows].unbind(1)
    step = torch.arange(length, device=rows.device)
    index = (start[:, None] + step).clamp_max(len(corpus.flat) - 1)
    inside = step < (prompt_length + FRAME * num_frames)[:, None]
    return torch.where(inside, corpus.flat[index], 0).long(), prompt_length, num_frames


def corrupt(
    tokens: torch.Tensor,
    prompt_length: torch.Tensor,
    num_frames: torch.Tensor,
    rate: float,
    layout: TokenLayout,
) -> torch.Tensor:
    """Replace a share ``rate`` of the audio tokens by random codes of the same position."""
    place = torch.arange(tokens.shape[1], device=tokens.device) - prompt_length[:, None]
    audio = (place >= 0) & (place < FRAME * num_frames[:, None])
    hit = audio & (torch.rand(tokens.shape, device=tokens.device) < rate)
    code = torch.randint(layout.codebook_size, tokens.shape, device=tokens.device)
    return torch.where(hit, layout.audio_offset + layout.codebook_size * (place % FRAME) + code, tokens)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument(
    "codes_dirs", type=click.Path(exists=True, file_okay=False, path_type=Path), nargs=-1, required=True
)
@click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--voice", default="heart", show_default=True)
@click.option("--alphabet", default=" !\"'(),-.:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
@click.option("--codebook-size", type=int, default=1024, show_default=True)
@click.option("--hidden", type=int, default=384, show_default=True)
@click.option("--layers", type=int, default=8, show_default=True)
@click.option("--heads", type=int, default=6, show_default=True)
@click.option("--kv-heads", type=int, default=2, show_default=True)
@click.option("--ffn", type=int, default=1024, show_default=True)
@click.option("--dropout", type=float, default=0.1, show_default=True)
@click.option("--corruption", type=float, default=0.05, show_default=True)
@click.option("--lr", type=float, default=2e-3, show_default=True)
@click.option("--budget", type=int, default=32_768, show_default=True, help="Tokens a step and GPU.")
@click.option("--max-length", type=int, default=1792, show_default=True, help="Longer sequences are left out.")
@click.option("--minutes", type=float, default=12.0, show_default=True)
@click.option("--steps", type=int, default=None, help="Stop after so many steps instead.")
@click.option("--held-out", type=int, default=256, show_default=True, help="Utterances for validation.")
@click.option("--compile/--no-compile", "compiled", default=False, show_default=True)
@click.option("--gpus", default=None, help="Such as 0,1; default: all.")
def main(codes_dirs: tuple[Path, ...], out: Path, gpus: str | None, **options) -> None:
    """Train the language model on all CODES_DIRS."""
    out.mkdir(parents=True, exist_ok=True)
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    world = max(1, torch.cuda.device_count())
    if world == 1:
        train(0, 1, codes_dirs, out, options, 0)
    else:
        port = 20_000 + os.getpid() % 20_000
        torch.multiprocessing.spawn(train, (world, codes_dirs, out, options, port), nprocs=world)


def train(rank: int, world: int, codes_dirs: tuple[Path, ...], out: Path, options: dict, port: int) -> None:
    """Run one process of the training; the first also logs and saves."""
    start = time.monotonic()
    if world > 1:
        torch.distributed.init_process_group(
            "nccl", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world
        )
    device = torch.device("cuda", rank) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.manual_seed(1)
    o = options
    layout = character_layout(o["alphabet"], o["codebook_size"])
    config = llama_config(layout, o["hidden"], o["layers"], o["heads"], o["kv_heads"], o["ffn"])
    model = Llama(config, layout, o["dropout"]).to(device)
    torch.manual_seed(1000 + rank)  # the same weights everywhere, different dropout and corruption
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=o["lr"], betas=(0.9, 0.95), fused=device.type == "cuda")
    corpus = load_corpus(codes_dirs, o["voice"], o["alphabet"], o["codebook_size"], device, o["max_length"])
    shuffled = np.random.default_rng(7).permutation(len(corpus.length))
    held_out, rows = shuffled[: o["held_out"]], shuffled[o["held_out"] :]
    state = {"step": 0, "elapsed": 0.0, "epoch": 0}
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        state = saved["state"]
    if o["compiled"]:
        model.compile_parts()
    log = (out / "log.jsonl").open("a", encoding="utf-8") if rank == 0 else None
    tokens_seen, recent, saved_at = 0, time.monotonic(), time.monotonic()
    done = 0.0
    while done < 1.0:
        epoch = batches(corpus, rows, o["budget"], np.random.default_rng(100 + state["epoch"]), world)
        mine = [group[rank] for group in epoch]
        on_device = torch.from_numpy(np.concatenate(mine)).to(device).split([len(rows) for rows in mine])
        for chosen, rows_there in zip(mine, on_device, strict=True):
            if world == 1 or state["step"] % 10 == 0:
                done = progress(state, start, o)
            if world > 1 and state["step"] % 10 == 0:
                flag = torch.tensor([done], device=device)
                torch.distributed.broadcast(flag, 0)
                done = flag.item()
            if done >= 1.0:
                break
            rate = o["lr"] * min(1.0, (state["step"] + 1) / 300)
            rate *= 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))
            for g in optimizer.param_groups:
                g["lr"] = rate
            longest = int(corpus.length[chosen].max())
            clean, prompt_length, num_frames = make_batch(corpus, rows_there, longest)
            tokens = corrupt(clean, prompt_length, num_frames, o["corruption"], layout)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss, parts = model(tokens, clean, prompt_length, num_frames)
            optimizer.zero_grad()
            loss.backward()
            share(world, [p.grad for p in model.parameters()], average=True)
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            state["step"] += 1
            tokens_seen += tokens.numel() * world
            if rank == 0 and state["step"] % 100 == 0:
                now = time.monotonic()
                row = {
                    "step": state["step"],
                    "epoch": state["epoch"],
                    "done": round(done, 3),
                    "tokens_s": round(tokens_seen / (now - recent)),
                    "loss": round(loss.item(), 4),
                    "parts": [round(x, 3) for x in parts.tolist()],
                    "grad": round(norm.item(), 3),
                }
                if state["step"] % 1000 == 0:
                    row["check"] = [round(x, 3) for x in check(model, corpus, held_out, device)]
                log.write(json.dumps(row) + "\n")
                log.flush()
                click.echo(json.dumps(row))
                tokens_seen, recent = 0, time.monotonic()
            if rank == 0 and time.monotonic() - saved_at > 90:
                save(out, model, optimizer, config, layout, state, start)
                saved_at = time.monotonic()
        state["epoch"] += 1
    if rank == 0:
        row = {"step": state["step"], "epoch": state["epoch"]}
        row["final_check"] = [round(x, 4) for x in check(model, corpus, held_out, device)]
        log.write(json.dumps(row) + "\n")
        click.echo(json.dumps(row))
        save(out, model, optimizer, config, layout, state, start)
    if world > 1:
        torch.distributed.destroy_process_group()


@torch.no_grad()
def check(model: Llama, corpus: Corpus, rows: np.ndarray, device: torch.device) -> list[float]:
    """Return the plain losses on held-out utterances, by position of the frame, stop last."""
    model.eval()
    order = rows[np.argsort(corpus.length[rows])]
    results = []
    for part in np.array_split(order, max(1, len(order) // 32)):
        there = torch.from_numpy(part).to(device)
        tokens, prompt_length, num_frames = make_batch(corpus, there, int(corpus.length[part].max()))
        mixed = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
        with mixed, torch.compiler.set_stance("force_eager"):
            results.append(model(tokens, tokens, prompt_length, num_frames)[1])
    model.train()
    return torch.stack(results).mean(dim=0).tolist()


def save(
    out: Path,
    model: Llama,
    optimizer: torch.optim.Optimizer,
    config: dict,
    layout: TokenLayout,
    state: dict,
    start: float,
) -> None:
    """Write the checkpoint and the model, each beside, then rename."""
    elapsed = state["elapsed"] + time.monotonic() - start
    beside = out / "checkpoint.part"
    torch.save(
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "state": state | {"elapsed": elapsed},
        },
        beside,
    )
    beside.replace(out / "checkpoint.pt")
    weights = {name: p.detach().half().cpu().contiguous() for name, p in model.state_dict().items()}
    save_file(weights, out / "model.part", metadata={"format": "pt"})
    (out / "model.part").replace(out / "model.safetensors")
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    (out / "layout.json").write_text(json.dumps(dataclasses.asdict(layout)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
