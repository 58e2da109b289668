"""Gives tiktoken GPT-2's vocabulary from the course's fixtures, so that the tests need no network.

usage: tiktoken_cache.py FIXTURES CACHE

tiktoken looks for a file in the folder TIKTOKEN_CACHE_DIR before it downloads it. The file's name there is the SHA-1 of
its address, and tiktoken checks the SHA-256 of its bytes. The course's gpt2_vocab.json is that file, and its
gpt2_merges.txt lacks only the first line, the version.
"""

import hashlib
import pathlib
import sys

import tiktoken_ext.openai_public as public

fixtures, cache = map(pathlib.Path, sys.argv[1:])
asked = {}


def record(**arguments):
    asked.update(arguments)
    return {}


public.data_gym_to_mergeable_bpe_ranks = record
public.gpt2()
merges = (fixtures / "gpt2_merges.txt").read_bytes()
contents = {
    "vocab_bpe": merges if merges.startswith(b"#version") else b"#version: 0.2\n" + merges,
    "encoder_json": (fixtures / "gpt2_vocab.json").read_bytes(),
}
cache.mkdir(parents=True, exist_ok=True)
for name, data in contents.items():
    if hashlib.sha256(data).hexdigest() == asked[f"{name}_hash"]:
        address = asked[f"{name}_file"]
        (cache / hashlib.sha1(address.encode()).hexdigest()).write_bytes(data)
