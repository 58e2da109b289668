"""BPE trainers as line peers of the benchmarks (line_peer.py): `bpe_peer.py gigabpe|rustbpe|tokenizers`.

A peer answers these requests:

    threads N           0; each library uses all processors
    train VOCAB PATH    seconds of learning a vocabulary with <|endoftext|>, GPT-2's pattern and the 256 bytes
    peak                bytes: the most memory that this process has had
"""
import sys
import time

from line_peer import absent, peak, serve

PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
SEPARATOR = "<|endoftext|>"


def gigabpe():
    import gigabpe as library

    def train(vocab_size, path):
        start = time.perf_counter()
        library.train_bpe([path], vocab_size=vocab_size, special_tokens=[SEPARATOR], pretokenizer="bytelevel")
        return time.perf_counter() - start
    return train


def rustbpe():
    import rustbpe as library

    def train(vocab_size, path):
        """The trainer takes documents, so reading and splitting the file are not timed."""
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            documents = [document for document in file.read().split(SEPARATOR) if document]
        start = time.perf_counter()
        library.Tokenizer().train_from_iterator(iter(documents), vocab_size=vocab_size - 1, pattern=PATTERN)
        return time.perf_counter() - start
    return train


def tokenizers():
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    def train(vocab_size, path):
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=[SEPARATOR], show_progress=False,
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
        start = time.perf_counter()
        tokenizer.train([path], trainer)
        return time.perf_counter() - start
    return train


def answer(train, request):
    if request == "peak":
        return peak()
    if request.startswith("threads "):
        return 0
    kind, vocab_size, path = request.split(" ", 2)
    if kind != "train":
        raise ValueError("unknown request")
    return train(int(vocab_size), path)


def main():
    try:
        train = {"gigabpe": gigabpe, "rustbpe": rustbpe, "tokenizers": tokenizers}[sys.argv[1]]()
    except ImportError:
        absent()
    serve(lambda request: answer(train, request))


main()
