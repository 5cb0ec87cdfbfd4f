"""What is scored. Each objective is called with settings as keywords and returns a score, higher for better.

A trial's `seed` is what makes an evaluation noisy: which answers are sampled, which weights a
classifier starts from. Objectives look at development questions and validation texts only.
"""

from functools import cache

import numpy as np

from .. import baseline, evaluation, training
from ..assistant import corpus, models, retrieval
from .space import Choice, LogUniform, Uniform

SAMPLING = {"temperature": Uniform(0.05, 1.5), "top_p": Uniform(0.5, 1.0)}
CLASSIFIER = {
    "learning_rate": LogUniform(1e-4, 1e-1),
    "width": Choice((16, 32, 64, 128)),
    "dropout": Uniform(0.0, 0.8),
    "weight_decay": LogUniform(1e-4, 10.0),
}


class LLMEvaluator:
    """How often the language model answers right: with one answer, or with one right among `k` (pass@k).

    samples: None for the exact expectation, or how often each question is asked (k answers each
        time), drawn from the exact probabilities with the trial's seed; two settings that are
        scored with one seed share their luck, so that their difference scatters less.
    context, family: what the model reads and which questions, see `baseline`.
    questions: positions of the questions to use; None for all 150.
    Other settings of `Config` may be in a space: those that act on retrieval or speed change nothing here.
    """

    IGNORED = ("batch_size", "max_seq_length", "tool_timeout", "keyword_threshold")

    def __init__(self, k=1, samples=None, context="right document", family="described", split="development",
                 questions=None):  # fmt: skip
        if split != "development":
            raise ValueError(
                f"split must be 'development', got {split!r}: what a search looks at is no test any more; "
                "the test questions stay closed until the settings are chosen"
            )
        if k < 1 or (samples is not None and samples < 1):
            raise ValueError(f"k and samples must be at least 1, got k={k} and samples={samples}")
        self.k, self.samples, self.context, self.family = k, samples, context, family
        self.expected = baseline.expected(context, family, split)
        self.questions = slice(None) if questions is None else questions

    def __call__(self, temperature=0.0, top_p=1.0, seed=0, **ignored):
        return float(self.per_question(temperature, top_p, seed, **ignored).mean())

    def per_question(self, temperature=0.0, top_p=1.0, seed=0, **ignored):
        """Each question's score, in [0, 1]: float array (questions,)."""
        unknown = [name for name in ignored if name not in self.IGNORED]
        if unknown:
            raise TypeError(f"LLMEvaluator got an unexpected setting {unknown[0]!r}; it takes temperature and top_p")
        once = self.expected.probabilities(temperature, top_p)[self.questions]
        right = 1 - (1 - once) ** self.k
        if self.samples is None:
            return right
        drawn = np.random.default_rng(seed).random((self.samples, len(right)))  # the same for every setting
        return (drawn < right).mean(axis=0)


@cache
def labelled_vectors():
    """Library labels, split by class and module: {"pool" | "validation" | "reserve": (vectors, labels)}.

    The remaining fifth is no part of this: later lessons test on it.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    texts = corpus.library_labels()
    vectors, labels = models.embed(texts.texts), np.array(texts.labels)
    split = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(vectors, labels, texts.groups)
    folds = [held for _, held in split]
    parts = {"validation": folds[1], "reserve": folds[2], "pool": np.concatenate(folds[3:])}
    return {name: (vectors[rows], labels[rows]) for name, rows in parts.items()}


class HeadEvaluator:
    """A classifier head, trained and scored on the validation texts: minus its log loss in nats, or its accuracy.

    size: texts to train on. runs: training sets that a score is the mean of. epochs: to train,
        if the search does not hand out `resource`. texts: "validation", or "reserve" for what no
        search has looked at.
    """

    def __init__(self, size=300, runs=2, epochs=15, metric="log loss", texts="validation"):
        if texts not in ("validation", "reserve"):
            raise ValueError(f"texts must be 'validation' or 'reserve', got {texts!r}")
        if metric not in ("log loss", "accuracy"):
            raise ValueError(f"metric must be 'log loss' or 'accuracy', got {metric!r}")
        self.size, self.runs, self.epochs, self.metric, self.texts = size, runs, epochs, metric, texts

    def __call__(self, learning_rate=1e-3, width=128, dropout=0.0, weight_decay=0.0, seed=0, resource=None):
        seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(self.runs)]
        parts = labelled_vectors()
        fitted = training.fit(
            training.Head(width), training.draw_training_sets(*parts["pool"], self.size, seeds), parts[self.texts],
            5, seeds, epochs=round(resource or self.epochs), batch_size=100, learning_rate=learning_rate,
            dropout=dropout, weight_decay=weight_decay,
        )  # fmt: skip
        curve = fitted.history.held_out_accuracy if self.metric == "accuracy" else -fitted.history.held_out_loss
        return float(curve[:, -1].mean())


class RetrievalEvaluator:
    """Dense search over whole docstrings, cut into chunks: is the right document among those that are read?

    documents: how many are indexed, the questions' own and others drawn at random. questions: how
        many of the 150 described development questions to ask.
    """

    def __init__(self, documents=500, questions=150):
        asked = corpus.load_questions("described", "development")[:questions]
        own = list(dict.fromkeys(question.source for question in asked))
        if documents < len(own):
            raise ValueError(f"documents must be at least {len(own)}, those that the questions are about")
        others = [d.name for d in corpus.load_documents() if d.body and d.name not in own]
        drawn = np.random.default_rng(0).permutation(len(others))[: documents - len(own)]
        self.documents = [corpus.by_name()[name] for name in own + [others[i] for i in drawn]]
        self.texts = [question.text for question in asked]
        self.right = np.array([own.index(question.source) for question in asked])
        self._found = {}

    def found(self, chunk_size):
        """The 20 best documents at a chunk size: `retrieval.Found`. Computed once."""
        if chunk_size not in self._found:
            library = retrieval.Library(self.documents, chunk_size, overlap=16, bodies=True)
            self._found[chunk_size] = library.search(self.texts, 20, "dense")
        return self._found[chunk_size]

    def __call__(self, top_k=1, similarity_threshold=-1.0, chunk_size=256):
        return self.recall_and_read(top_k, similarity_threshold, chunk_size)[0]

    def recall_and_read(self, top_k=1, similarity_threshold=-1.0, chunk_size=256):
        """(share of questions whose document is read, mean number of documents read)."""
        found = self.found(chunk_size)
        read = (found.scores >= similarity_threshold)[:, :top_k]
        right = (found.documents[:, :top_k] == self.right[:, None]) & read
        return float(right.any(axis=1).mean()), float(read.sum(axis=1).mean())


def expected_with_documents(top_k, questions=150):
    """`ExpectedAnswers` where the prompt holds the `top_k` documents that fused search ranks first, best first."""
    from ..assistant.agent import Assistant

    asked = corpus.load_questions("described", "development")[:questions]
    found = baseline.found("described", "development", "fused")[0][:questions, :top_k]
    assistant, documents = Assistant(), baseline.library().documents
    prompts = [
        assistant.prompt(question.text, [documents[i] for i in row]) for question, row in zip(asked, found, strict=True)
    ]
    return evaluation.ExpectedAnswers(models.language_model(), prompts, [q.answer for q in asked], keep=1024)
