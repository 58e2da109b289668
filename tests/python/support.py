"""What the tests of the Python package share: texts, the C program, and plain implementations to compare with."""

import os
import pathlib
import random
import re
import signal
import subprocess
import tempfile
import time
import unittest

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = str(ROOT / os.environ.get("CS336", "build/cs336"))
END = "<|endoftext|>"

# GPT-2's pattern for Python's own re, whose \w is letters, numbers and _: for texts without marks such as U+0301.
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+"""

TEXTS = [
    "",
    "a",
    " ",
    "\n\n  \t the cat's hat, they'll see: 12 345 x_y",
    "Grüße aus Köln — die Straße ist naß.",
    "🙃 emoji, 中文 und ελληνικά\r\n",
    f"one{END}two{END}{END} three {END}\n",
    "the the the the then there their",
]


def program(*arguments):
    """Runs the C program. Returns what it printed on standard output, as bytes."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True)
    if done.returncode != 0:
        raise AssertionError(f"cs336 {' '.join(map(str, arguments))}: {done.stderr.decode()}")
    return done.stdout


def words(count, seed=1):
    """Returns a text of random words of a small language, in lines, with a document's end now and then."""
    draw = random.Random(seed)
    syllables = ["ba", "ke", "ti", "lo", "mu", "sha", "ren", "ö", "st", "ing", "ed", "'s", "-", "7"]
    lines = []
    for _ in range(count // 8):
        line = " ".join("".join(draw.choices(syllables, k=draw.randint(1, 5))) for _ in range(8))
        lines.append(line + (f".\n{END}\n" if draw.random() < 0.02 else ".\n"))
    return "".join(lines)


def try_program(*arguments):
    """Runs the C program, which should fail. Returns its last line on standard error."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode == 0:
        raise AssertionError(f"cs336 {' '.join(map(str, arguments))} did not fail")
    return done.stderr.splitlines()[-1]


class TemporaryFiles(unittest.TestCase):
    """Tests with a folder for their files."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, name, text):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path


# ---- byte-pair encoding, as the handout describes it -----------------------------------------------------------------


def segments(text, special_tokens):
    """Splits a text at special tokens, which are kept; the longest one counts where several begin."""
    if not special_tokens:
        return [text]
    longest_first = sorted(special_tokens, key=len, reverse=True)
    return re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text)


def plain_train(text, vocab_size, special_tokens):
    """Learns a vocabulary by counting all pairs anew for each merge. Specials come first, then the bytes in the order of
    GPT-2's alphabet: those that print before the others."""
    printing = [*range(33, 127), *range(161, 173), *range(174, 256)]
    order = printing + [byte for byte in range(256) if byte not in printing]
    vocab = [token.encode() for token in special_tokens] + [bytes([byte]) for byte in order]
    counts = {}
    for segment in segments(text, special_tokens):
        if segment in special_tokens:
            continue
        for pretoken in re.findall(PATTERN, segment):
            counts[pretoken] = counts.get(pretoken, 0) + 1
    split = {pretoken: [bytes([byte]) for byte in pretoken.encode()] for pretoken in counts}
    merges = []
    while len(vocab) < vocab_size:
        pairs = {}
        for pretoken, count in counts.items():
            for pair in zip(split[pretoken], split[pretoken][1:]):
                pairs[pair] = pairs.get(pair, 0) + count
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        vocab.append(b"".join(best))
        split = {pretoken: join(parts, best) for pretoken, parts in split.items()}
    return dict(enumerate(vocab)), merges


def join(parts, pair):
    """Replaces a pair from left to right, without overlap."""
    result, i = [], 0
    while i < len(parts):
        both = tuple(parts[i : i + 2]) == pair
        result.append(b"".join(pair) if both else parts[i])
        i += 2 if both else 1
    return result


def plain_encode(vocab, merges, special_tokens, text):
    """Returns the ids of a text: in each pre-token, each merge is applied everywhere before the next one."""
    ids = {}
    for index, token in sorted(vocab.items()):
        ids.setdefault(token, index)
    known, result = {}, []
    for segment in segments(text, special_tokens):
        if segment in special_tokens:
            result.append(ids[segment.encode()])
            continue
        for pretoken in re.findall(PATTERN, segment):
            if pretoken not in known:
                parts = [bytes([byte]) for byte in pretoken.encode()]
                for pair in merges:
                    parts = join(parts, pair)
                known[pretoken] = [ids[part] for part in parts]
            result += known[pretoken]
    return result


# ---- the Transformer, in float64 -------------------------------------------------------------------------------------


def norm(x, gain, eps):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * gain


def rotate(x, theta):
    """RoPE: rotates the pair of numbers (2k, 2k + 1) of position p by p / theta^(2k/d). x (..., positions, d)."""
    positions, d = x.shape[-2:]
    angle = np.arange(positions)[:, None] / theta ** (np.arange(0, d, 2) / d)
    rotated = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angle)
    return np.stack((rotated.real, rotated.imag), -1).reshape(x.shape)


def attend(q, k, v):
    """Causal attention. All (..., positions, d)."""
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    scores = np.where(np.tri(q.shape[-2], dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


def plain_logits(weights, config, ids):
    """Returns the logits (..., seq, vocab_size) of a model whose weights have PyTorch's names, as the handout has it."""
    w = {name: array.astype(np.float64) for name, array in weights.items()}

    def normed(name, x):
        return norm(x, w[name], config.norm_eps)

    def attention(i, x):
        q, k, v = (
            np.swapaxes((x @ w[f"layers.{i}.attn.{name}_proj.weight"].T).reshape(*x.shape[:-1], config.num_heads, -1), -2, -3)
            for name in "qkv"
        )
        if config.position == "rope":
            q, k = rotate(q, config.rope_theta), rotate(k, config.rope_theta)
        heads = np.swapaxes(attend(q, k, v), -2, -3)
        return heads.reshape(x.shape) @ w[f"layers.{i}.attn.output_proj.weight"].T

    def feed_forward(i, x):
        up = x @ w[f"layers.{i}.ffn.w1.weight"].T
        hidden = up / (1 + np.exp(-up))
        if config.ffn == "swiglu":
            hidden = hidden * (x @ w[f"layers.{i}.ffn.w3.weight"].T)
        return hidden @ w[f"layers.{i}.ffn.w2.weight"].T

    x = w["token_embeddings.weight"][ids]
    for i in range(config.num_layers):
        for branch, gain in ((attention, f"layers.{i}.ln1.weight"), (feed_forward, f"layers.{i}.ln2.weight")):
            if config.norm == "pre":
                x = x + branch(i, normed(gain, x))
            elif config.norm == "post":
                x = normed(gain, x + branch(i, x))
            else:
                x = x + branch(i, x)
    if config.norm != "none":
        x = normed("ln_final.weight", x)
    return x @ w["token_embeddings.weight" if config.tie_embeddings else "lm_head.weight"].T


def status_in_fork(check):
    """Runs check() in a forked process. Returns the exit status: 0 if it returned True. After 30 seconds the child is
    killed, and the status is not 0."""
    child = os.fork()
    if child == 0:
        os._exit(0 if check() else 1)
    for _ in range(3000):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]
