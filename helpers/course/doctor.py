"""Is this machine ready? One line a requirement, and the mend for each that fails."""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from pathlib import Path

from ..assistant import cache, corpus, models

ROOT = Path(__file__).resolve().parents[2]
NEEDED_GB = {"disk": 3, "memory": 4}


def report():
    """Print [OK], [--] (optional, missing) or [FAIL] for each requirement. True if nothing failed."""
    ready = True
    for name, check, optional in CHECKS:
        try:
            state, detail = True, check()
        except Exception as error:  # whatever is wrong with a machine is what the doctor is for
            state, detail = False, f"{error}"
        label = "OK" if state else "--" if optional else "FAIL"
        ready = ready and label != "FAIL"
        print(f"[{label:^4}] {name}: {detail}")
    print("Ready." if ready else "Not ready: mend what is marked FAIL, and run the doctor again.")
    return ready


def _python():
    if sys.version_info < (3, 11):
        raise RuntimeError(f"{platform.python_version()} is too old; the course needs 3.11 or newer")
    return platform.python_version()


def _packages():
    wrong = []
    for name, version in re.findall(
        r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE
    ):
        try:
            here = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            here = "missing"
        if here != version:
            wrong.append(f"{name} {version} (here: {here})")
    if wrong:
        shown = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise RuntimeError(f"{shown}. Mend: make install, or pip install -r requirements.txt")
    return "as locked"


def _corpus():
    changes = corpus.changes()
    if changes:
        raise RuntimeError("; ".join(changes) + ". Numbers may differ from the course's. Mend: make install")
    return f"{len(corpus.load_documents()):,} documents, the course's own"


def _encoder():
    return f"all-MiniLM-L6-v2, {models.encoder().get_embedding_dimension()} dimensions"


def _language_model():
    lm = models.language_model()
    return f"SmolLM2-135M-Instruct, context of {lm.context:,} tokens"


def _cache():
    folder = cache.folder()
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise RuntimeError(f"{folder} cannot be written to. Mend: make it writable, or set HELPERS_CACHE")
    free = shutil.disk_usage(folder).free / 1e9
    if free < NEEDED_GB["disk"]:
        raise RuntimeError(f"{free:.1f} GB free at {folder}, {NEEDED_GB['disk']} GB needed")
    return f"{folder}, {free:.0f} GB free"


def _memory():
    import psutil

    available = psutil.virtual_memory().available / 1e9
    if available < NEEDED_GB["memory"]:
        raise RuntimeError(f"{available:.1f} GB available, {NEEDED_GB['memory']} GB needed: close something")
    return f"{available:.0f} GB available"


def _program(name, package):
    if shutil.which(name) is None:
        raise RuntimeError(f"not installed; some numbers are then not measured here. Mend: apt-get install {package}")
    return shutil.which(name)


# (name, check that returns a detail or raises, whether the course runs without it)
CHECKS = (
    ("Python", _python, False),
    ("packages", _packages, False),
    ("corpus", _corpus, False),
    ("encoder", _encoder, False),
    ("language model", _language_model, False),
    ("cache folder", _cache, False),
    ("memory", _memory, False),
    ("back-translation (lesson 03)", lambda: _program("apertium", "apertium apertium-eng-spa"), True),
    ("Redis server (lesson 05)", lambda: _program("redis-server", "redis-server"), True),
)
