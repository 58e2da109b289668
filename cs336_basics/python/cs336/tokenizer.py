"""Text to token ids and back: tokenizer/encode/tokenizer.h and encoder.h."""

from __future__ import annotations

import ctypes
import os
import warnings
from ctypes import byref, c_void_p
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from . import _library as c
from ._arguments import Path, SpecialTokens, Text, kind, natural, special_bytes, text_view, utf8, vocabulary
from ._arguments import text_field as field_of
from ._library import lib
from ._names import value_of
from ._threads import interruptible

# From this length on, a text is worth several threads: encode_text() gives each of them chunks of 512 KiB.
LONG_TEXT = 1 << 20
# What the cache of an encoder may take. One that stays with the Tokenizer serves many texts; one for a stream should fit
# the memory that the course allows for streaming 5 MB, 1 MB.
KEPT_CACHE, STREAM_CACHE = 8 << 20, 256 << 10
# Bytes of a stream that are encoded at a time: their ids are in memory together.
PIECE = 1 << 16

# Paths that C takes for a stream. What is mapped into memory or read again must be a file.
STANDARD_OUTPUT = (b"-", b"/dev/stdout")

APPEND_TO_LIST = ctypes.cast(lib.token_list_sink, c_void_p)
APPEND_TO_FILE = ctypes.cast(lib.token_writer_sink, c_void_p)


class _Handle:
    """A tokenizer of C. Each object that uses it refers to the handle, and the last one frees it."""

    def __init__(self) -> None:
        self.tokenizer = c_void_p()  # NULL until C has made it

    def __del__(self, destroy: Any = lib.tokenizer_destroy) -> None:
        destroy(self.tokenizer)


class _Encoder:
    """An encoder of C, and the list to which it appends ids. One thread at a time may use it."""

    def __init__(self, handle: _Handle, cache_bytes: int) -> None:
        self._handle, self._encoder, self._ids = handle, c_void_p(), c.TokenList()
        lib.encoder_create_small(
            byref(self._encoder), handle.tokenizer, cache_bytes, APPEND_TO_LIST, byref(self._ids)
        )

    def feed(self, text: c.ByteString) -> None:
        lib.encoder_feed(self._encoder, text.bytes, text.length)

    def finish(self) -> None:
        lib.encoder_finish(self._encoder)

    def take(self) -> npt.NDArray[np.int32]:
        """Returns a copy of the ids so far. The list keeps its memory for the next ones."""
        ids = np.empty(self._ids.count, np.int32)
        ctypes.memmove(c.address(ids), self._ids.ids, ids.nbytes)
        self._ids.count = 0
        return ids

    def __del__(self, destroy: Any = lib.encoder_destroy, deinit: Any = lib.token_list_deinit) -> None:
        destroy(self._encoder)
        deinit(byref(self._ids))


class Tokenizer:
    """A byte-level BPE tokenizer, as the course's problem tokenizer describes it.

    Any number of threads may use a Tokenizer at the same time.
    """

    def __init__(
        self,
        vocab: Dict[int, bytes],
        merges: Sequence[Tuple[bytes, bytes]],
        special_tokens: Optional[SpecialTokens] = None,
        pattern: str = "gpt2",
    ) -> None:
        """Makes a tokenizer from what `train_bpe` returns.

        vocab           the bytes of each token by id; the ids are 0 to n - 1
        merges          pairs of tokens, in the order in which they were learned
        special_tokens  texts that are one token each. Those that the vocabulary lacks get the next ids, in this order
        pattern         how text is split into pre-tokens, as `train_bpe` did: "gpt2" or "gpt4"
        """
        special = special_bytes(special_tokens)
        with c.bpe_model(*vocabulary(vocab, merges), special) as model:
            self._create(model, special, pattern)

    @classmethod
    def from_files(
        cls,
        vocab: Path,
        merges: Path,
        special_tokens: Optional[SpecialTokens] = None,
        pattern: str = "gpt2",
    ) -> Tokenizer:
        """Loads GPT-2's pair of files, vocab.json and merges.txt, as `cs336 train-bpe` writes them. They do not name their
        pattern."""
        self, model = cls.__new__(cls), c.BPEModel()
        special = special_bytes(special_tokens)
        files = c.path_bytes(vocab, "vocab"), c.path_bytes(merges, "merges")
        try:
            lib.bpe_model_read(byref(model), *files, c.byte_strings(special), len(special))
            self._create(model, special, pattern)
        finally:
            lib.bpe_model_deinit(byref(model))
            lib.memory_give_back()  # the files' JSON was larger than the tokenizer
        return self

    @classmethod
    def from_file(
        cls,
        path: Path,
        special_tokens: Optional[SpecialTokens] = None,
        pattern: Optional[str] = None,
    ) -> Tokenizer:
        """Loads a tokenizer from one file: Hugging Face's tokenizer.json, whose added tokens are special tokens, or a rank
        file of tiktoken.

        special_tokens  further special tokens
        pattern         "gpt2" or "gpt4", for a rank file that does not say which; None: what the file says

        A warning says what a tokenizer.json asks for beyond the ids of a text, which is left out.
        """
        self, handle = cls.__new__(cls), _Handle()
        special = special_bytes(special_tokens)
        asked = c.CONSTANTS["PATTERN_UNKNOWN"] if pattern is None else value_of("pattern_names", pattern, "pattern")
        lib.tokenizer_load_file(byref(handle.tokenizer), c.path_bytes(path), asked, c.byte_strings(special), len(special))
        self._own(handle, special)
        index = 0
        while note := lib.bpe_model_note(self._model(), index):
            warnings.warn(f"{os.fsdecode(path)}: {note.decode()}", stacklevel=2)
            index += 1
        return self

    def _create(self, model: c.BPEModel, special: List[bytes], pattern: str) -> None:
        """Lets C make the tokenizer from a copy of a model."""
        model.pattern = value_of("pattern_names", pattern, "pattern")
        handle = _Handle()
        lib.tokenizer_create(byref(handle.tokenizer), byref(model), c.byte_strings(special), len(special))
        self._own(handle, special)

    def _own(self, handle: _Handle, special: List[bytes]) -> None:
        self._handle, self._tokenizer = handle, handle.tokenizer
        self._special = special  # those that the caller has named; the file may have others
        self._encoders: List[_Encoder] = []  # those that no thread uses at the moment

    def save(self, path: Path, merges: Optional[Path] = None) -> None:
        """Writes the whole tokenizer to one file, for `from_file` and the program's --tokenizer: a tokenizer.json, or a rank
        file if the name ends in .tiktoken, which has neither the pattern nor the special tokens.

        merges  None, or the merges.txt of GPT-2's pair of files, for `from_files` and the program's --vocab and --merges;
                `path` is the vocab.json then
        """
        if merges is not None:
            lib.bpe_model_write(self._model(), c.path_bytes(path, "vocab"), c.path_bytes(merges, "merges"))
            return
        target = c.path_bytes(path)
        if target in STANDARD_OUTPUT:
            raise ValueError(f"save: path is {os.fspath(path)!r}, expected the path of a file")
        writer = c.FileWriter()
        try:
            lib.file_create(byref(writer), target)
            lib.tokenizer_file_write(byref(writer), self._model())
            lib.file_commit(byref(writer))
        finally:
            lib.file_abandon(byref(writer))

    def _model(self) -> Any:
        """Returns the address of the BPEModel, which is the first field of C's Tokenizer."""
        return ctypes.cast(self._tokenizer, ctypes.POINTER(c.BPEModel))

    # A tokenizer never changes, so a copy of it is itself.

    def __copy__(self) -> Tokenizer:
        return self

    def __deepcopy__(self, _memo: Any) -> Tokenizer:
        return self

    def __reduce__(self) -> Any:
        raise TypeError("a Tokenizer cannot be pickled, because C holds it: load it from its files in the other process")

    # ---- the vocabulary ----

    @property
    def vocab_size(self) -> int:
        """The number of ids, special ones included; they are below it. A file may skip some: see `has_token`."""
        return int(lib.tokenizer_vocab_size(self._tokenizer))

    def token(self, token_id: int) -> bytes:
        """Returns the bytes of a token."""
        return self.decode_bytes([token_id])

    def find(self, token: Union[str, bytes]) -> Optional[int]:
        """Returns the id of a special token with this text, else the lowest id of a token with these bytes, or None."""
        found = int(lib.tokenizer_find(self._tokenizer, c.byte_string(utf8("token", token))))
        return found if found >= 0 else None

    @property
    def document_end(self) -> Optional[int]:
        """The id of the token between documents: <|endoftext|>, or None if the vocabulary lacks it; with a tokenizer of
        llama2.c the token that begins a text and ends it."""
        found = int(lib.tokenizer_document_end(self._tokenizer))
        return found if found >= 0 else None

    def has_token(self, count: Optional[int] = None) -> npt.NDArray[np.bool_]:
        """Returns by id whether it has a token: a tokenizer.json or a rank file may skip some ids.

        count  of ids, such as the vocab_size of a model, which may have more of them; None: those of the vocabulary
        """
        marks = np.empty(self.vocab_size if count is None else natural("count", count, 2**31), np.bool_)
        lib.tokenizer_find_tokens(c.address(marks), marks.size, self._tokenizer)
        return marks

    # ---- text to ids ----

    def encode(self, text: Text) -> npt.NDArray[np.int32]:
        """Returns the ids of a text. A text of 1 MiB or more is encoded by several threads (`set_threads`).

        text  a str, which is encoded as UTF-8, or any bytes, malformed UTF-8 too; bytes are read where they are
        """
        view = text_view(text)
        if view.length >= LONG_TEXT:
            return self._encode_long(view)
        try:
            encoder = self._encoders.pop()
        except IndexError:
            encoder = _Encoder(self._handle, KEPT_CACHE)
        encoder.feed(view)  # after a failure the encoder is not kept
        encoder.finish()
        ids = encoder.take()
        self._encoders.append(encoder)
        return ids

    def _encode_long(self, text: c.ByteString) -> npt.NDArray[np.int32]:
        def encode(stop: ctypes.c_int) -> npt.NDArray[np.int32]:
            ids, config = c.TokenList(), c.EncodeConfig(stop=ctypes.addressof(stop))
            try:
                lib.encode_text(self._tokenizer, text, APPEND_TO_LIST, byref(ids), byref(config))
                return c.take_ids(ids)
            finally:
                lib.token_list_deinit(byref(ids))  # take_ids() has left an empty list

        return interruptible(encode)

    def encode_iterable(self, texts: Iterable[Text]) -> Iterator[int]:
        """Yields the ids of texts that follow each other without a border, such as the lines of an open file: they are
        those of the whole text. Memory does not grow with the text."""
        try:
            each = None if isinstance(texts, (bytes, bytearray, memoryview)) else iter(texts)
        except TypeError:
            each = None
        if each is None:
            raise TypeError(f"texts is {kind(texts)}, expected an iterable of texts; encode() takes one text")
        return self._encode_each(each)

    def _encode_each(self, texts: Iterator[Text]) -> Iterator[int]:
        encoder = _Encoder(self._handle, STREAM_CACHE)
        for text in texts:
            view = text_view(text, "a text of the iterable")
            for begin in range(0, view.length, PIECE):
                encoder.feed(c.ByteString(view.bytes + begin, min(PIECE, view.length - begin)))
                yield from encoder.take().tolist()
        encoder.finish()
        yield from encoder.take().tolist()

    def encode_file(
        self, path: Path, output: Path, text_field: Optional[str] = None
    ) -> npt.NDArray[np.unsignedinteger]:
        """Encodes a text file with all threads and writes the ids to `output`, as `cs336 encode` does: NumPy's format if
        the name ends in .npy, else raw uint16 (uint32 above 65 536 tokens) with OUTPUT.json beside them.

        path        the text, also .gz and .zst; "-" is standard input. It need not fit into memory
        output      is replaced once all of it is written
        text_field  the file is JSON Lines: each line is an object, and its field of this name a document. After each
                    document comes <|endoftext|>, or the first of the special_tokens if others were given only

        Returns the ids of the file, which numpy maps into memory and reads when they are used. After a Ctrl-C `output` is as
        it was before, or complete if all was written when the signal came.
        """
        source, target = c.path_bytes(path), c.path_bytes(output, "output")
        if target in STANDARD_OUTPUT:
            raise ValueError(f"encode_file: output is {os.fspath(output)!r}, expected the path of a file")
        if os.path.exists(path) and os.path.exists(output) and os.path.samefile(path, output):
            raise ValueError(f"encode_file: {os.fspath(output)}: cannot write: it is also the input")

        field = field_of(text_field, self._special, [source])
        if field.name is not None and self.encode(field.ending).size != 1:
            raise ValueError(
                f"encode_file: the tokenizer has no special token {field.ending.decode(errors='replace')}, which text_field "
                "puts after each document; name the token that it has between documents in special_tokens"
            )

        def encode(stop: ctypes.c_int) -> None:
            writer, config = c.TokenWriter(), c.EncodeConfig(stop=ctypes.addressof(stop))
            lib.token_writer_create(byref(writer), target, self.vocab_size)
            try:
                with c.input_texts([source], field) as texts:
                    lib.encode_input(self._tokenizer, texts.items, APPEND_TO_FILE, byref(writer), byref(config))
                lib.token_writer_commit(byref(writer))
            finally:
                lib.token_writer_abandon(byref(writer))

        interruptible(encode)
        name = os.fsdecode(output)
        if name.endswith(".npy"):
            ids: npt.NDArray[np.unsignedinteger] = np.load(name, mmap_mode="r")
            return ids
        dtype = np.dtype("<u2" if self.vocab_size <= 1 << 16 else "<u4")
        if os.path.getsize(name) == 0:  # nothing to map
            return np.empty(0, dtype)
        return np.memmap(name, dtype, mode="r")

    # ---- ids to text ----

    def decode_bytes(self, ids: npt.ArrayLike) -> bytes:
        """Returns the exact bytes of the tokens."""
        return self._decode_after(-1, ids)

    def _decode_after(self, previous: int, ids: npt.ArrayLike) -> bytes:
        """Returns the bytes of tokens that follow the id `previous`, or none if it is -1: a tokenizer of llama2.c leaves
        out the blank behind the token that begins a text."""
        array = c.token_ids(ids)
        if array.ndim != 1:
            raise ValueError(f"ids has {array.ndim} dimensions, expected 1")
        text = c.ByteList()
        try:
            lib.tokenizer_decode_after(self._tokenizer, byref(text), previous, c.address(array), array.size)
            return c.view_bytes(text)
        finally:
            lib.byte_list_deinit(byref(text))

    def decode(self, ids: npt.ArrayLike, errors: str = "replace") -> str:
        """Returns the text of the tokens. Ids may cut a character in two: `errors` says what becomes of malformed UTF-8,
        as in bytes.decode()."""
        return self.decode_bytes(ids).decode("utf-8", errors)
