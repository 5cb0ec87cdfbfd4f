"""The assistant's library: documents, labels and questions made from installed docstrings.

Nothing is downloaded. The five libraries that the learner has just installed are read
through their public modules; every object with a docstring becomes one `Document`.
Everything here is deterministic: the same library versions give the same documents,
labels, questions and splits, and `fingerprint` says which library changed if they do not.
"""

import importlib
import importlib.metadata
import inspect
import json
import math
import platform
import random
import re
import warnings
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from . import cache

# Public modules only. Left out on purpose: numpy.distutils, sklearn.externals, torch.ao,
# torch.fx, and whatever starts with an underscore.
MODULES = {
    "numpy": """numpy numpy.char numpy.exceptions numpy.fft numpy.lib.scimath numpy.lib.stride_tricks
        numpy.linalg numpy.ma numpy.polynomial numpy.polynomial.chebyshev numpy.polynomial.hermite
        numpy.polynomial.hermite_e numpy.polynomial.laguerre numpy.polynomial.legendre
        numpy.polynomial.polynomial numpy.random numpy.rec numpy.strings numpy.testing""",
    "scipy": """scipy.cluster.hierarchy scipy.cluster.vq scipy.constants scipy.datasets scipy.differentiate
        scipy.fft scipy.fftpack scipy.integrate scipy.interpolate scipy.io scipy.io.wavfile scipy.linalg
        scipy.ndimage scipy.optimize scipy.signal scipy.signal.windows scipy.sparse scipy.sparse.csgraph
        scipy.sparse.linalg scipy.spatial scipy.spatial.distance scipy.spatial.transform scipy.special
        scipy.stats scipy.stats.contingency scipy.stats.mstats scipy.stats.qmc scipy.stats.sampling""",
    "pandas": """pandas pandas.api.extensions pandas.api.indexers pandas.api.types pandas.api.typing
        pandas.errors pandas.plotting pandas.testing pandas.tseries.frequencies pandas.tseries.offsets""",
    "sklearn": """sklearn sklearn.base sklearn.calibration sklearn.cluster sklearn.compose sklearn.covariance
        sklearn.cross_decomposition sklearn.datasets sklearn.decomposition sklearn.discriminant_analysis
        sklearn.dummy sklearn.ensemble sklearn.exceptions sklearn.feature_extraction
        sklearn.feature_extraction.image sklearn.feature_extraction.text sklearn.feature_selection
        sklearn.frozen sklearn.gaussian_process sklearn.gaussian_process.kernels sklearn.impute
        sklearn.inspection sklearn.isotonic sklearn.kernel_approximation sklearn.kernel_ridge
        sklearn.linear_model sklearn.manifold sklearn.metrics sklearn.metrics.cluster
        sklearn.metrics.pairwise sklearn.mixture sklearn.model_selection sklearn.multiclass
        sklearn.multioutput sklearn.naive_bayes sklearn.neighbors sklearn.neural_network
        sklearn.pipeline sklearn.preprocessing sklearn.random_projection sklearn.semi_supervised
        sklearn.svm sklearn.tree sklearn.utils sklearn.utils.class_weight sklearn.utils.extmath
        sklearn.utils.graph sklearn.utils.multiclass sklearn.utils.random sklearn.utils.sparsefuncs
        sklearn.utils.validation""",
    "torch": """torch torch.amp torch.autograd torch.autograd.functional
        torch.distributions torch.fft torch.func torch.futures torch.hub torch.jit torch.linalg
        torch.masked torch.multiprocessing torch.nested torch.nn torch.nn.functional torch.nn.init
        torch.nn.parallel torch.nn.utils torch.nn.utils.parametrizations torch.nn.utils.prune
        torch.nn.utils.rnn torch.optim torch.optim.lr_scheduler torch.optim.swa_utils torch.package
        torch.profiler torch.quasirandom torch.random torch.serialization torch.signal.windows
        torch.sparse torch.special torch.testing torch.utils.benchmark torch.utils.checkpoint
        torch.utils.data torch.utils.dlpack""",
}
LIBRARIES = tuple(MODULES)


DISTRIBUTION = {"sklearn": "scikit-learn"}  # where the package to install has another name
FINGERPRINT = Path(__file__).with_name("corpus_fingerprint.json")  # of the locked versions


@dataclass(frozen=True)
class Document:
    """One public object: what the assistant may look up.

    `held_out` is a sentence of the docstring that no index ever contains; the described
    questions are made from it. `body` is the rest of the docstring, without that sentence.
    """

    name: str  # qualified: "sklearn.linear_model.Ridge"
    library: str
    kind: str  # "class", "function" or "method"
    group: str  # a class with its methods, or the functions of a module
    signature: str  # "(alpha=1.0, *, tol=0.0001)", or "" where none can be read
    defaults: tuple  # ((parameter, repr of its default), ...), literal defaults only
    summary: str  # first paragraph
    body: str
    held_out: str

    @property
    def text(self):
        """What is indexed: qualified name, signature, first paragraph."""
        return f"{self.name}{self.signature}\n{self.summary}"


@lru_cache(maxsize=1)
def load_documents():
    """All documents, sorted by name: a tuple of `Document`.

    Read from the cache if the five libraries and this module are unchanged since.
    """
    depends_on = [versions(), platform.python_version(), Path(__file__).read_text("utf-8")]
    rows = cache.data("corpus", depends_on, lambda: [asdict(document) for document in read_documents()])
    return tuple(Document(**{**row, "defaults": tuple(map(tuple, row["defaults"]))}) for row in rows)


def read_documents():
    """Read the documents from the installed libraries: import, collect, drop duplicates, sort."""
    entries = {}
    for module in " ".join(MODULES.values()).split():  # all before the first is read: scipy edits numpy's docstrings
        _imported(module)
    for library, modules in MODULES.items():
        for module in modules.split():
            for name, kind, group, obj in _public_objects(library, module):
                parts = _parts(obj)
                if parts is None:
                    continue
                signature, defaults, summary, rest = parts
                same = (library, summary, *rest)
                if same not in entries or _shorter(name, entries[same][0]):
                    entries[same] = (name, library, kind, group, signature, defaults, summary, rest)
    occurrences = Counter(sentence for *_, rest in entries.values() for sentence in set(_prose_sentences(rest)))
    documents = []
    for name, *others, rest in entries.values():
        held_out = _held_out_sentence(name, rest, occurrences)
        body = [paragraph.replace(held_out, "").strip() if held_out else paragraph for paragraph in rest]
        documents.append(Document(name, *others, body="\n\n".join(filter(None, body)), held_out=held_out))
    return sorted(documents, key=lambda document: document.name)


def versions():
    """The installed version of each library, as a dict. Raises ImportError naming a missing one."""
    try:
        found = {name: importlib.metadata.version(DISTRIBUTION.get(name, name)) for name in LIBRARIES}
    except importlib.metadata.PackageNotFoundError as error:
        raise ImportError(
            f"the corpus is made from {', '.join(LIBRARIES)}, and {error.name} is not installed: "
            f"run `make install`, or `pip install {error.name}`"
        ) from None
    return {name: version.partition("+")[0] for name, version in found.items()}  # torch's CPU and GPU builds agree


def _public_objects(library, module_name):
    "Yield (qualified name, kind, group, object) of a module's public callables and their methods."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = _imported(module_name)
        names = getattr(module, "__all__", None) or vars(module)
        for name in sorted(n for n in names if not n.startswith("_")):
            try:
                obj = getattr(module, name)
            except (AttributeError, ImportError):  # experimental names that must be switched on first
                continue
            home = (getattr(obj, "__module__", None) or library).partition(".")[0]
            if not callable(obj) or inspect.ismodule(obj) or home not in (library, "builtins"):
                continue
            qualified = f"{module_name}.{name}"
            if not inspect.isclass(obj):
                yield qualified, "function", module_name, obj
                continue
            yield qualified, "class", qualified, obj
            for attribute in sorted(a for a in vars(obj) if not a.startswith("_")):
                method = getattr(obj, attribute, None)
                if callable(method) and not inspect.isclass(method):
                    yield f"{qualified}.{attribute}", "method", qualified, method


def _imported(module_name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module_name)


def _shorter(name, other):
    return (name.count("."), len(name), name) < (other.count("."), len(other), other)


def _parts(obj):
    "(signature, defaults, summary, other paragraphs), or None if the docstring says too little to be found by."
    paragraphs = _paragraphs(inspect.getdoc(obj) or "")
    signature, defaults = _signature(obj)
    if paragraphs and SIGNATURE_LINE.match(paragraphs[0]):  # C functions write theirs as a first line
        signature = signature or SIGNATURE_LINE.match(paragraphs[0])[1]
        paragraphs = paragraphs[1:]
    if not paragraphs or len(" ".join(paragraphs).split()) < 12 or ALIAS.match(paragraphs[0]):
        return None
    summary = " ".join(paragraphs[0].split())
    return (signature, defaults, summary, paragraphs[1:]) if len(summary.split()) >= 4 else None


SIGNATURE_LINE = re.compile(r"[A-Za-z_][\w.]*(\([^\n]*\))(?: ?->[^\n]*)?(?=\n|$)")
ALIAS = re.compile(r"(See|Alias (for|of|to)|In-place version of|Deprecated|Refer to)\b", re.IGNORECASE)
CLEANED = (
    (re.compile(r" at 0x[0-9a-f]+"), ""),  # an object's address is another one in each run
    (re.compile(r":[\w:]+:`~?\.?([^`<]*?)(?: *<[^`]*>)?`"), r"\1"),  # :func:`torch.abs` -> torch.abs
    (re.compile(r"``?([^`]*)``?"), r"\1"),
)


def _paragraphs(docstring):
    "Paragraphs without markup and examples; running text on one line, lists and tables with their lines."
    for pattern, replacement in CLEANED:
        docstring = pattern.sub(replacement, docstring)
    paragraphs = (re.sub(r"[ \t]+\n", "\n", p).strip("\n ") for p in re.split(r"\n\s*\n", docstring))
    kept = [p for p in paragraphs if p and not p.startswith(".. ") and ">>>" not in p]
    return [" ".join(p.split()) if _is_prose(p) else p for p in kept]


def _is_prose(paragraph):
    "Running text: no table, list or description of a parameter."
    lines = paragraph.splitlines()
    if "::" in paragraph or re.search(r"\w+ ?: ", lines[0]):
        return False
    return not any(line.startswith((" ", "-", "*", "=", ">", "|", "#")) or line.endswith(":") for line in lines)


def _signature(obj):
    "Signature text without annotations, and the literal defaults as ((parameter, repr), ...)."
    try:
        parameters = inspect.signature(obj).parameters.values()
    except (ValueError, TypeError):
        return "", ()
    shown, defaults = [], []
    star_needed = True
    for parameter in parameters:
        if parameter.name in ("self", "cls") or parameter.name.startswith("_"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and star_needed:
            shown.append("*")
            star_needed = False
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        star_needed = star_needed and prefix != "*"
        if parameter.default is parameter.empty:
            shown.append(prefix + parameter.name)
        elif is_literal(parameter.default):
            shown.append(f"{parameter.name}={parameter.default!r}")
            defaults.append((parameter.name, repr(parameter.default)))
        else:
            value = getattr(parameter.default, "__name__", None) or f"<{type(parameter.default).__name__}>"
            shown.append(f"{parameter.name}={value}")
    return f"({', '.join(shown)})", tuple(defaults)


def is_literal(value):
    "Is this a value that a question can ask for: None, a bool, a number or a short plain string?"
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is str:
        return value.isprintable() and len(value) <= 30
    return value is None or type(value) in (bool, int)


def _prose_sentences(paragraphs):
    for paragraph in paragraphs:
        if _is_prose(paragraph):
            yield from re.split(r"(?<=[.!?])\s+(?=[A-Z])", paragraph)


def _held_out_sentence(name, paragraphs, occurrences):
    "One sentence to ask about, said of this object alone and the same in every run; '' if there is none."
    fit = [
        sentence
        for sentence in _prose_sentences(paragraphs)
        if 8 <= len(sentence.split()) <= 40
        and sentence[0].isupper()
        and sentence.endswith(".")
        and occurrences[sentence] == 1
        and not UNFIT.search(sentence)
    ]
    return random.Random(name).choice(fit) if fit else ""


# A sentence with a formula, an address, or a hint at the answer makes no fair question.
UNFIT = re.compile(
    r"[\[\]{}\\$=_]|https?:|default|deprecat|versionadded|versionchanged|Examples|References", re.IGNORECASE
)


FAMILIES = ("named", "described")
SPLITS = {"development": 150, "test": 300}


@dataclass(frozen=True)
class Question:
    """The question "What is the default of …?", with the truth from `inspect.signature`."""

    text: str
    family: str  # "named": the object is named; "described": a held-out sentence stands for it
    parameter: str
    answer: str  # repr of the default
    source: str  # name of the document that answers it
    library: str
    usual: bool  # is the answer what this parameter's name most often defaults to elsewhere?


@lru_cache(maxsize=8)
def load_questions(family, split):
    """Questions of one family and split: 150 for development, 300 for the test.

    Both families ask for the same parameters of the same objects, in the same order, so
    they can be compared pair by pair. No object is in both splits. In each split half the
    answers are the usual default of a parameter with that name, and half are not.
    """
    for argument, value, known in (("family", family, FAMILIES), ("split", split, tuple(SPLITS))):
        if value not in known:
            raise ValueError(f"{argument} must be one of {', '.join(known)}, got {value!r}")
    chosen = _choose_parameters()
    start = 0 if split == "development" else SPLITS["development"]
    return tuple(_question(family, *item) for item in chosen[start : start + SPLITS[split]])


@lru_cache(maxsize=1)
def _choose_parameters():
    "[(document, parameter, answer, usual)] for all splits, alternating usual and unusual answers."
    documents = [d for d in load_documents() if d.held_out and d.defaults]
    random.Random(0).shuffle(documents)
    queues = {True: [], False: []}
    for document in documents:
        options = [(p, answer, usual_default(p, document.name) == answer) for p, answer in document.defaults]
        unusual = [option for option in options if not option[2]]
        parameter, answer, usual = random.Random(document.name).choice(unusual or options)
        queues[usual].append((document, parameter, answer, usual))
    half = sum(SPLITS.values()) // 2
    return [item for pair in zip(queues[True][:half], queues[False][:half]) for item in pair]


def usual_default(parameter, source):
    """The default that a parameter of this name most often has in documents other than `source`.

    Returns its repr; 'None', the commonest default of all, if no other document has the parameter.
    """
    counts = _default_counts()[parameter].copy()
    counts.subtract(default for p, default in by_name()[source].defaults if p == parameter)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ranked[0][0] if ranked and ranked[0][1] > 0 else "None"


@lru_cache(maxsize=1)
def _default_counts():
    counts = defaultdict(Counter)
    for document in load_documents():
        for parameter, default in document.defaults:
            counts[parameter][default] += 1
    return counts


@lru_cache(maxsize=1)
def by_name():
    """{qualified name: Document} of the whole corpus."""
    return {document.name: document for document in load_documents()}


def _question(family, document, parameter, answer, usual):
    if family == "named":
        text = f"What is the default of {parameter} in {document.name}?"
    else:
        text = f'What is the default of {parameter} in the {document.kind} of which is said: "{masked(document)}"'
    return Question(text, family, parameter, answer, document.name, document.library, usual)


def masked(document):
    "The held-out sentence with the object's own names and the libraries' names masked."
    names = {document.name, *document.name.split("."), *LIBRARIES, "scikit-learn", "np", "pd"}
    hidden = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(rf"(?<!\w)({hidden})(?!\w)", "…", document.held_out, flags=re.IGNORECASE)


@dataclass(frozen=True)
class LabelledTexts:
    """Texts to classify. All tuples have one entry a text; `labels` index into `classes`."""

    texts: tuple
    labels: tuple
    classes: tuple
    groups: tuple  # a class with its methods, or a module's functions: what a grouped split keeps together
    libraries: tuple
    sources: tuple  # names of the source documents

    def __len__(self):
        return len(self.texts)


TOPICS = {
    "linear algebra": ("numpy.linalg", "scipy.linalg", "scipy.sparse.linalg", "torch.linalg"),
    "Fourier transform": ("numpy.fft", "scipy.fft", "scipy.fftpack", "torch.fft"),
    "probability": ("numpy.random", "scipy.stats", "torch.distributions"),
    "special functions": ("scipy.special", "torch.special"),
    "optimisation": ("scipy.optimize", "torch.optim"),
}
LIBRARY_NAME = re.compile(r"numpy|scipy|pandas|sklearn|scikit|torch|\b(np|pd)\b", re.IGNORECASE)


@lru_cache(maxsize=1)
def library_labels(per_library=600, seed=0):
    """Which of the five libraries is this sentence about? Balanced: `per_library` texts of each.

    A text is a document's first paragraph; those that name a library are left out, and so
    are repeated ones.
    """
    pools = defaultdict(list)
    for document in _distinct(load_documents()):
        pools[document.library].append(document)
    smallest = min(map(len, pools.values()))
    if not 1 <= per_library <= smallest:
        raise ValueError(f"per_library must be from 1 to {smallest}, the smallest library's size; got {per_library}")
    chosen = [d for library in LIBRARIES for d in random.Random(seed).sample(pools[library], per_library)]
    random.Random(seed).shuffle(chosen)
    return _labelled(chosen, [LIBRARIES.index(d.library) for d in chosen], LIBRARIES)


@lru_cache(maxsize=1)
def topic_labels(most_per_topic_and_library=120, seed=0):
    """Which topic is this sentence about? From module paths that numpy, scipy and torch share.

    Train on some of the libraries and test on another one, and the shift is real.
    """
    pools = defaultdict(list)
    for document in _distinct(load_documents()):
        for topic, modules in TOPICS.items():
            if document.name.startswith(tuple(f"{module}." for module in modules)):
                pools[topic, document.library].append(document)
    if most_per_topic_and_library < 1:
        raise ValueError(f"most_per_topic_and_library must be at least 1, got {most_per_topic_and_library}")
    chosen = []
    for (topic, _), pool in sorted(pools.items()):
        size = min(len(pool), most_per_topic_and_library)
        chosen += [(document, topic) for document in random.Random(seed).sample(pool, size)]
    random.Random(seed).shuffle(chosen)
    return _labelled([d for d, _ in chosen], [list(TOPICS).index(topic) for _, topic in chosen], tuple(TOPICS))


def _distinct(documents):
    "Documents with a first paragraph that no earlier one has and that names no library."
    seen = set()
    for document in documents:
        if len(document.summary.split()) < 5 or LIBRARY_NAME.search(document.summary):
            continue
        if document.summary not in seen:
            seen.add(document.summary)
            yield document


def _labelled(documents, labels, classes):
    columns = zip(*((d.summary, d.group, d.library, d.name) for d in documents))
    texts, groups, libraries, sources = columns
    return LabelledTexts(texts, tuple(labels), tuple(classes), groups, libraries, sources)


def fingerprint():
    """{library: {version, documents, digest}} of the corpus on this machine."""
    found = {}
    for library, version in versions().items():
        own = [asdict(document) for document in load_documents() if document.library == library]
        found[library] = {"version": version, "documents": len(own), "digest": cache.digest(own)[:16]}
    return found


def changes():
    """What differs from the corpus that the course's numbers were measured on: a list of sentences.

    Empty if nothing does. With another library version, seeded numbers may differ.
    """
    course, here = json.loads(FINGERPRINT.read_text("utf-8")), fingerprint()
    return [
        f"{library} {here[library]['version']} gives {here[library]['documents']:,} documents; the course was "
        f"measured with {library} {course[library]['version']}, {course[library]['documents']:,} documents"
        for library in LIBRARIES
        if here[library]["digest"] != course[library]["digest"]
    ]


if __name__ == "__main__":  # after a relock: python -m helpers.assistant.corpus
    FINGERPRINT.write_text(json.dumps(fingerprint(), indent=2) + "\n", "utf-8")
    print(f"wrote {FINGERPRINT}")
