"""What takes too long for a notebook: `make results` writes it to results/01_tuning.json.

Each experiment takes its sizes as keywords, so that the lesson can run a slice of it live and
compare. All are on development questions and validation texts.
"""

import copy
from itertools import product

import numpy as np
import torch

from .. import baseline, evaluation, training
from ..assistant import corpus, models, retrieval, sampling
from ..assistant.agent import first_literal
from ..course.results import load, recorded
from .objectives import CLASSIFIER, HeadEvaluator, RetrievalEvaluator, expected_with_documents, labelled_vectors
from .search import (
    expected_improvement,
    fit_gaussian_process,
    gp_search,
    random_search,
    successive_halving,
    tpe_search,
)
from .space import Uniform, sample

LESSON = "01_tuning"
SEARCHES = (random_search, tpe_search, gp_search, fit_gaussian_process, expected_improvement, sample)


def _rounded(value, digits=4):
    return round(float(value), digits)


@recorded(LESSON, depends_on=(*SEARCHES, successive_halving, HeadEvaluator, labelled_vectors, training))
def classifier_search(*, methods=("random", "quasi-random", "tpe", "gp", "halving"), budget=40, every=5,
                      seeds=tuple(range(10))):  # fmt: skip
    """The same budget for five searches of the classifier's settings, once for each seed.

    Random search goes on to twice the budget. `curves`: best score so far after every 5 full trainings;
    `cost`: the full trainings that each method took; `best`: the best score at the end of the budget;
    `fresh`: the score of what was chosen, trained anew on 8 training sets and scored on other texts;
    `chosen`: its settings. A score is minus the log loss in nats.
    """
    scored, fresh = HeadEvaluator(runs=1, epochs=18), HeadEvaluator(runs=8, epochs=18, texts="reserve")
    how = {
        "random": lambda **a: random_search(scored, CLASSIFIER, trials=2 * budget, **a),
        "quasi-random": lambda **a: random_search(scored, CLASSIFIER, trials=budget, quasi=True, **a),
        "tpe": lambda **a: tpe_search(scored, CLASSIFIER, trials=budget, **a),
        "gp": lambda **a: gp_search(scored, CLASSIFIER, trials=budget, **a),
        "halving": lambda **a: successive_halving(scored, CLASSIFIER, 3 * budget, least=2, most=18, **a),
    }
    found = {"curves": {}, "cost": {}, "best": {}, "fresh": {}, "chosen": {}}
    for method in methods:
        runs = [how[method](seed=seed, progress=False) for seed in seeds]
        if method != "halving":  # which has no best until its last rung
            found["curves"][method] = [
                [_rounded(score) for score in run.best_so_far[every - 1 :: every]] for run in runs
            ]
        winners = [run[int(np.nanargmax(run.scores[:budget]))] if method == "random" else run.best for run in runs]
        found["cost"][method] = _rounded(runs[0].cost[-1])
        found["best"][method] = [_rounded(trial.score) for trial in winners]
        found["fresh"][method] = [_rounded(fresh(**trial.settings, seed=12345)) for trial in winners]
        found["chosen"][method] = [trial.settings for trial in winners]
    return found


@recorded(LESSON, depends_on=(HeadEvaluator, labelled_vectors, training))
def rescored_winners(*, methods=("random", "quasi-random", "tpe", "gp", "halving"), seeds=tuple(range(10))):
    """The winners of `classifier_search`, trained anew on the same 8 training sets as its `fresh`.

    Scored on the validation texts that each was chosen on: minus the log loss in nats. What is lost from `best`
    to here is luck of one training; what is lost from here to `fresh` is other texts.
    """
    chosen, again = load(LESSON, "classifier_search").values["chosen"], HeadEvaluator(runs=8, epochs=18)
    return {name: [_rounded(again(**chosen[name][seed], seed=12345)) for seed in seeds] for name in methods}


@recorded(LESSON, depends_on=SEARCHES)
def made_up_searches(*, budget=100, dimensions=(2, 5, 10), seeds=tuple(range(20))):
    """Regret, the distance to the known optimum, on functions that are made up to have one.

    `bowl`: −Σ (x − 0.7)², in 2 to 10 dimensions, after 20, 50 and 100 trials. `ridge`: a narrow diagonal in two
    dimensions, 30 (x + y − 1)² steep and (x − y − 0.4)² along: what is best for one depends on the other.
    """

    def bowl(**x):
        return -sum((value - 0.7) ** 2 for value in x.values())

    def ridge(x, y):
        return -(30 * (x + y - 1) ** 2 + (x - y - 0.4) ** 2)

    def regrets(method, objective, space, ends):
        runs = [method(objective, space, trials=max(ends), seed=seed, progress=False) for seed in seeds]
        return {str(end): [_rounded(-run.best_so_far[end - 1], 6) for run in runs] for end in ends}

    ends = [end for end in (20, 50, 100) if end <= budget]
    found = {"bowl": {}, "ridge": {}}
    for count in dimensions:
        cube = {f"x{i}": Uniform(0.0, 1.0) for i in range(count)}
        for name, method in (("random", random_search), ("tpe", tpe_search)):
            found["bowl"][f"{name} {count}"] = regrets(method, bowl, cube, ends)
    for name, method in (("random", random_search), ("tpe", tpe_search), ("gp", gp_search)):
        square = {"x": Uniform(0.0, 1.0), "y": Uniform(0.0, 1.0)}
        found["ridge"][name] = regrets(method, ridge, square, [end for end in ends if end <= 50])
    return found


PENALTIES = ((0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (2.0, 0.0), (0.0, 2.0))  # (frequency, presence)


def _greedy(lm, read, before, frequency_penalty, presence_penalty, length=30):
    "The text that greedily continues what was read, up to a literal or a line's end. before: tokens that count too."
    logits, state = read[0], copy.deepcopy(read[1])
    written, text = [], ""
    while len(written) < length:
        scores = sampling.penalised(logits.numpy(), before + written, frequency_penalty, presence_penalty)
        written.append(int(scores.argmax()))
        text = lm.text(written)
        if written[-1] == lm.tokenizer.eos_token_id or first_literal(text) or "\n" in text.lstrip():
            break
        logits, state = lm.read_on(written[-1], state)
    return text


@recorded(LESSON, depends_on=(_greedy, sampling, first_literal))
def penalised_answers(*, questions=50):
    """Greedy answers with the right document, under frequency and presence penalties.

    Penalties count the answer's own tokens (as the API says), or the prompt's as well. For each, which
    questions are right: lists of 0 and 1.
    """
    lm, asked = models.language_model(), corpus.load_questions("described", "development")[:questions]
    prompts = baseline.prompts("right document", "described", "development")[:questions]
    found = {}
    for question, prompt in zip(asked, prompts, strict=True):
        tokens = lm.tokens(prompt)
        read = lm.read(tokens)
        for counted, before in (("answer", []), ("answer and prompt", tokens)):
            for frequency, presence in PENALTIES if counted == "answer" else PENALTIES[1:2]:
                text = _greedy(lm, read, before, frequency, presence)
                right = first_literal(text + "\n") == question.answer
                found.setdefault(f"{counted}, {frequency}, {presence}", []).append(int(right))
    return found


SIZES = ((500, 150), (25, 25))  # (documents, questions); the lesson repeats the small one live


@recorded(LESSON, depends_on=(RetrievalEvaluator, retrieval))
def chunking(*, chunk_sizes=(64, 128, 256), sizes=SIZES):
    """Dense search over whole docstrings: recall and documents read for chunk size × top_k × threshold.

    `first of …`: for each chunk size, which questions have the right document first: lists of 0 and 1.
    """
    found = {"columns": ["chunk_size", "top_k", "similarity_threshold", "recall", "documents read"]}
    for documents, questions in sizes:
        evaluator, rows, first = RetrievalEvaluator(documents, questions), [], {}
        for chunk_size, top_k, threshold in product(chunk_sizes, (1, 3, 10), (0.0, 0.3, 0.5)):
            recall, read = evaluator.recall_and_read(top_k, threshold, chunk_size)
            rows.append([chunk_size, top_k, threshold, _rounded(recall), _rounded(read)])
            hits = evaluator.found(chunk_size).documents[:, 0] == evaluator.right
            first[str(chunk_size)] = hits.astype(int).tolist()
        found[str(documents)], found[f"first of {documents}"] = rows, first
    return found


@recorded(LESSON, depends_on=(RetrievalEvaluator, retrieval))
def truncation(*, lengths=(128, 256, 512), sizes=((150, 150), (25, 25))):
    """Recall@10 if the encoder cuts each whole docstring after so many word pieces, as it does unasked."""
    encoder, found = models.encoder(), {}
    released = encoder.max_seq_length
    try:
        for documents, questions in sizes:
            evaluator = RetrievalEvaluator(documents, questions)
            queries = models.embed(evaluator.texts, keep=False)
            texts = [f"{document.text}\n{document.body}" for document in evaluator.documents]
            found[str(documents)] = {}
            for length in lengths:
                encoder.max_seq_length = length
                vectors = encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False)
                best = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :10]
                found[str(documents)][str(length)] = _rounded(evaluation.recall_at_k(best, evaluator.right, 10))
            encoder.max_seq_length = released
    finally:
        encoder.max_seq_length = released
    return found


@recorded(LESSON, depends_on=(expected_with_documents,))
def answers_by_documents_read(*, top_k=(1, 3), questions=150):
    """Which described questions are answered right, greedily, from 1 or 3 found documents: lists of 0 and 1."""
    return {str(k): [int(p > 0.5) for p in expected_with_documents(k, questions).probabilities(0)] for k in top_k}


def _folds(texts):
    "(texts to train on, texts to score), by class and module; not the fifth that later lessons test on."
    from sklearn.model_selection import StratifiedGroupKFold

    split = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(texts.texts, texts.labels, texts.groups)
    folds = [held for _, held in split]
    return np.concatenate(folds[3:]), folds[1]


@torch.no_grad()
def _before_last_layer(model, texts):
    """What the last layer reads of the first 32 word pieces: (hidden states, mask).

    Of shapes (texts, 32, 384) and (texts, 1, 1, 32).
    """
    encoded = models.encoder().tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=32, return_tensors="pt"
    )
    states = model(**encoded, output_hidden_states=True).hidden_states[-2]
    return states, encoded["attention_mask"][:, None, None, :].bool()


def _pooled(layer, states, mask):
    "Mean of the tokens after one layer, as a unit vector times 10, so that a linear head can be sure."
    out = layer(states, mask)
    out = out[0] if isinstance(out, tuple) else out
    weights = mask[:, 0, 0, :, None].float()
    return 10 * torch.nn.functional.normalize((out * weights).sum(dim=1) / weights.sum(dim=1))


@recorded(LESSON, depends_on=(_folds, _before_last_layer, _pooled))
def fine_tuning(*, learning_rates=(1e-5, 1e-3, 1e-2, 1e-1), sizes=((300, 300, 50), (32, 32, 10)), seeds=(0, 1, 2)):
    """Accuracy on held-out texts after training MiniLM's last layer, and a linear head on it.

    sizes: (texts to train on, texts to score, steps); the lesson repeats the small one live. The
    head's own learning rate is 0.01 throughout; only that of the pretrained layer varies.
    """
    texts, model = corpus.library_labels(), models.encoder()[0].auto_model
    folds, found = _folds(texts), {str(size): {str(rate): [] for rate in learning_rates} for size, *_ in sizes}
    for (size, held, steps), seed in product(sizes, seeds):
        rng = np.random.default_rng(seed)
        rows = [rng.permutation(fold)[:count] for fold, count in zip(folds, (size, held), strict=True)]
        (x, mask), (held_x, held_mask) = (_before_last_layer(model, [texts.texts[i] for i in part]) for part in rows)
        y, held_y = (torch.tensor([texts.labels[i] for i in part]) for part in rows)
        batches = [torch.from_numpy(rng.permutation(size)[:16]) for _ in range(steps)]
        for rate in learning_rates:
            torch.manual_seed(seed)
            layer, head = copy.deepcopy(model.encoder.layer[-1]).train(), torch.nn.Linear(384, 5)
            groups = [{"params": layer.parameters(), "lr": rate}, {"params": head.parameters(), "lr": 1e-2}]
            optimizer = torch.optim.AdamW(groups)
            for batch in batches:
                loss = torch.nn.functional.cross_entropy(head(_pooled(layer, x[batch], mask[batch])), y[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                right = head(_pooled(layer.eval(), held_x, held_mask)).argmax(dim=1) == held_y
            found[str(size)][str(rate)].append(_rounded(right.float().mean().item()))
    return found


def _contrastive(queries, documents, epochs, seed):
    weight = torch.eye(384, requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=1e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for batch in torch.randperm(len(queries), generator=generator).split(256):
            scores = torch.nn.functional.normalize(queries[batch] @ weight) @ documents[batch].T / 0.05
            loss = torch.nn.functional.cross_entropy(scores, torch.arange(len(batch)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return weight.detach()


def _recall_at_10(queries, documents, right):
    return _rounded(((queries @ documents.T).topk(10).indices == right[:, None]).any(dim=1).float().mean().item())


@recorded(LESSON, depends_on=(_contrastive, _recall_at_10))
def adapter(*, held_out=corpus.LIBRARIES, epochs=10, most=300, seeds=(0, 1, 2)):
    """Recall@10 of sentences in a library never trained on, without and with a linear adapter on their vectors.

    The adapter (384 × 384, from the identity) is trained contrastively to bring a sentence of a docstring close
    to the document it is from. Documents that the test questions are about stay out.
    """
    closed = {question.source for question in corpus.load_questions("described", "test")}
    everything = baseline.library()
    place = {document.name: i for i, document in enumerate(everything.documents)}
    pairs = [d for d in everything.documents if d.held_out and d.name not in closed]
    queries = torch.from_numpy(models.embed([corpus.masked(d) for d in pairs]))
    first_piece = np.searchsorted(everything.parents, np.arange(len(everything.documents)))
    documents = torch.from_numpy(everything.vectors[first_piece])
    right = torch.tensor([place[d.name] for d in pairs])
    of = np.array([d.library for d in pairs])
    found = {}
    for library in held_out:
        train, rows = np.flatnonzero(of != library), np.flatnonzero(of == library)
        rows = np.random.default_rng(0).permutation(rows)[:most]
        before = _recall_at_10(queries[rows], documents, right[rows])
        after = []
        for seed in seeds:
            weight = _contrastive(queries[train], documents[right[train]], epochs, seed) if epochs else torch.eye(384)
            after.append(_recall_at_10(queries[rows] @ weight, documents, right[rows]))
        found[library] = {"sentences": len(rows), "before": before, "after": after}
    return found


def _cross_validated(x, y, folds, setting):
    return np.concatenate([
        _right(x[folds != fold], y[folds != fold], x[folds == fold], y[folds == fold], setting)
        for fold in range(folds.max() + 1)
    ]).mean()  # fmt: skip


def _right(x, y, held_x, held_y, setting):
    "Ridge regression on one-hot labels in closed form; the largest output is the class."
    penalty, columns = setting
    x, held_x = x[:, columns].astype(float), held_x[:, columns].astype(float)
    centre, targets = x.mean(axis=0), np.eye(5)[y]
    weight = np.linalg.solve((x - centre).T @ (x - centre) + penalty * np.eye(len(columns)), (x - centre).T @ targets)
    return ((held_x - centre) @ weight + targets.mean(axis=0)).argmax(axis=1) == held_y


@recorded(LESSON, depends_on=(_cross_validated, _right, labelled_vectors))
def nested_selection(*, settings=50, texts=150, repeats=12, seed=0):
    """The best of 50 settings by five-fold cross-validation on shuffled labels, where nothing can be learned.

    A setting is a ridge classifier's penalty and which 40 of 384 dimensions it reads. `flat`: the winner's own
    cross-validated accuracy. `nested`: the winner chosen inside each training part, scored on the part left out.
    Accuracy by chance is 0.2.
    """
    rng = np.random.default_rng(seed)
    vectors, labels = labelled_vectors()["pool"]
    found = {"flat": [], "nested": []}
    for _ in range(repeats):
        rows = rng.permutation(len(labels))[:texts]
        x, y = vectors[rows], rng.permutation(np.resize(np.arange(5), texts))
        tried = [(float(10 ** rng.uniform(-3, 2)), rng.permutation(384)[:40]) for _ in range(settings)]
        folds = np.resize(np.arange(5), texts)
        found["flat"].append(_rounded(max(_cross_validated(x, y, folds, one) for one in tried)))
        outer = []
        for fold in range(5):
            inside = folds != fold
            inner = np.resize(np.arange(5), inside.sum())
            winner = max(tried, key=lambda one, x=x[inside], y=y[inside], f=inner: _cross_validated(x, y, f, one))
            outer.append(_right(x[inside], y[inside], x[~inside], y[~inside], winner).mean())
        found["nested"].append(_rounded(float(np.mean(outer))))
    return found
