"""Translators behind one interface: texts, a language and another language in, as many texts out.

`Apertium` works by rules, offline, from the system's packages. `Marian` is the neural alternative
for who is online: its models come from the Hugging Face Hub.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar, Protocol

import torch

from ..assistant import models

INSTALL = "apt-get install apertium apertium-eng-spa"


class TranslatorMissing(RuntimeError):
    """There is no translator here; the message says how to get one."""


class Translator(Protocol):
    """What `augmenters.back_translation` takes."""

    def __call__(self, texts: list, source: str, target: str) -> list:
        """The texts in another language; languages by their three letters, such as "eng"."""


def apertium_missing():
    """Why Apertium cannot translate here, with the mend; "" if it can."""
    if shutil.which("apertium") is None:
        return f"Apertium is not installed: {INSTALL}"
    modes = subprocess.run(["apertium", "-l"], capture_output=True, text=True).stdout
    if not {"eng-spa", "spa-eng"} <= set(modes.split()):
        return f"Apertium has no English-Spanish: {INSTALL}"
    return ""


class Apertium:
    """Apertium, all texts in one process. Raises `TranslatorMissing` where it or its languages are not installed."""

    def __call__(self, texts, source, target):
        if reason := apertium_missing():
            raise TranslatorMissing(reason)
        if not texts:
            return []
        # A blank line is where Apertium lets no rule reach across; a text of its own has none.
        lines = [" ".join(text.replace("\0", " ").split()) for text in texts]
        run = subprocess.run(
            ["apertium", "-u", f"{source}-{target}"], input="\n\n".join(lines) + "\n", capture_output=True, text=True
        )
        if run.returncode:
            raise RuntimeError(f"apertium {source}-{target} failed: {run.stderr.strip() or 'without a word'}")
        translated = [line.strip() for line in re.split(r"\n[ \t]*\n", run.stdout.rstrip("\n"))]
        if len(translated) != len(lines):
            raise RuntimeError(f"apertium made {len(translated)} texts of {len(lines)}: a text holds what it splits at")
        return translated


class Marian:
    """MarianMT, for one pair of languages in both directions.

    names: {(source, target): name on the Hub, or a folder}. A name that is not on this machine is
    downloaded, which needs `HF_HUB_OFFLINE=0`. Raises `TranslatorMissing` if it cannot be loaded.
    Source: Junczys-Dowmunt et al. 2018; Tiedemann & Thottingal 2020, OPUS-MT.
    """

    NAMES: ClassVar = {("eng", "spa"): "Helsinki-NLP/opus-mt-en-es", ("spa", "eng"): "Helsinki-NLP/opus-mt-es-en"}

    def __init__(self, names=None, beams=4, batch_size=16):
        self.names, self.beams, self.batch_size, self._loaded = dict(names or self.NAMES), beams, batch_size, {}

    def __call__(self, texts, source, target):
        tokenizer, model = self._load(source, target)
        made = []
        for start in range(0, len(texts), self.batch_size):
            batch = tokenizer(list(texts[start : start + self.batch_size]), return_tensors="pt", padding=True,
                              truncation=True, max_length=model.config.max_position_embeddings)  # fmt: skip
            with torch.inference_mode():
                ids = model.generate(**batch.to(model.device), num_beams=self.beams, do_sample=False)
            made += tokenizer.batch_decode(ids, skip_special_tokens=True)
        return made

    def _load(self, source, target):
        if (source, target) not in self.names:
            known = ", ".join("-".join(pair) for pair in self.names)
            raise ValueError(f"source and target must be one of {known}; got {source}-{target}")
        if (source, target) not in self._loaded:
            from transformers import MarianMTModel, MarianTokenizer

            name = self.names[source, target]
            local = Path(name).is_dir()
            try:
                model = MarianMTModel.from_pretrained(name, local_files_only=local)
                tokenizer = MarianTokenizer.from_pretrained(name, local_files_only=local)
            except OSError as error:
                raise TranslatorMissing(
                    f"{name} is neither on this machine nor can it be fetched ({str(error).splitlines()[0]}): "
                    "set HF_HUB_OFFLINE=0 and be online, or use Apertium"
                ) from None
            self._loaded[source, target] = tokenizer, model.to(models.device()).eval()
        return self._loaded[source, target]
