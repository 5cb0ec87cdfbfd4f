"""The ledger of what the guide claims, and CLAIMS.md, which is made from it.

`claims.tsv` has a row for each claim. Its `evidence` is empty, or a list separated by `; ` of
`02_regularization#dropout_test` (a number that this notebook states), `arithmetic` and `literature`.
"""

import re
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path

TABLE = Path(__file__).with_name("claims.tsv")
PAGE = Path(__file__).resolve().parents[2] / "CLAIMS.md"
EVIDENCE = re.compile(r"arithmetic|literature|(?P<lesson>\d\d_\w+)#(?P<name>\S+)")
VERDICTS = {
    "holds": "True as it stands.",
    "holds with conditions": "True where conditions are met that the guide leaves out.",
    "misleading": "Invented, ambiguous or half true: whoever relies on it decides wrongly.",
    "wrong": "The opposite is true, or there is no such thing.",
    "arithmetic error": "Its own numbers do not add up.",
    "unfounded formula": "A formula or threshold without derivation or source.",
    "code defect": "The code does not do what the text says, or does not run.",
}


@dataclass(frozen=True)
class Claim:
    """One claim of the guide; the columns of `claims.tsv`."""

    id: str  # "R26"
    topic: str
    source_file: str  # "part 1", "part 2" or "part 1 + part 2"
    section: str
    claim: str
    verdict: str  # one of VERDICTS
    correct_statement: str
    source: str
    experiment: str
    evidence: tuple

    @property
    def numbers(self):
        """Evidence from notebooks, as [(lesson, name)]."""
        found = (EVIDENCE.fullmatch(item) for item in self.evidence)
        return [(match["lesson"], match["name"]) for match in found if match["lesson"]]


def load_claims(path=TABLE):
    """All claims, in order: a tuple of `Claim`. Raises ValueError naming the row that cannot be read."""
    header, *lines = Path(path).read_text("utf-8").splitlines()
    columns = [field.name for field in fields(Claim)]
    if header.split("\t") != columns:
        raise ValueError(f"the columns of {path} must be {', '.join(columns)}")
    claims = {}
    for number, line in enumerate(lines, start=2):
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise ValueError(f"{path}, line {number}: {len(cells)} columns instead of {len(columns)}")
        *others, evidence = cells
        claim = Claim(*others, tuple(evidence.split("; ")) if evidence else ())
        wrong = [item for item in claim.evidence if not EVIDENCE.fullmatch(item)]
        if claim.verdict not in VERDICTS:
            raise ValueError(f"{path}, {claim.id}: the verdict {claim.verdict!r} is none of {', '.join(VERDICTS)}")
        if wrong:
            raise ValueError(f"{path}, {claim.id}: {wrong[0]!r} is not `NN_lesson#name`, arithmetic or literature")
        if claim.id in claims:
            raise ValueError(f"{path}, line {number}: {claim.id} is there twice")
        claims[claim.id] = claim
    return tuple(claims.values())


def render(claims=None):
    """The text of CLAIMS.md."""
    claims = load_claims() if claims is None else claims
    ids = {claim.id for claim in claims}
    topics = list(dict.fromkeys(claim.topic for claim in claims))
    parts = [_introduction(claims), _legend(claims)]
    parts.append("Topics: " + " · ".join(f"[{topic}](#{topic.replace(' ', '-')})" for topic in topics))
    for topic in topics:
        parts.append(f"## {topic[0].upper()}{topic[1:]}")
        parts += [_entry(claim, ids) for claim in claims if claim.topic == topic]
    return "\n\n".join(parts) + "\n"


def _introduction(claims):
    measured = sum(bool(claim.numbers) for claim in claims)
    other = sum(bool(claim.evidence) and not claim.numbers for claim in claims)
    left = len(claims) - measured - other
    evidence = f"{measured} are measured in a notebook and {other} rest on arithmetic or literature alone."
    if left:
        evidence = f"""{measured} are measured in a notebook, {other} rest on arithmetic or literature alone, and \
{left} are still to be measured: until then a verdict is what theory and literature lead one to expect, and the \
measurement decides."""
    return f"""# What the guide claims, and what is true

<!-- Made from helpers/course/claims.tsv by `python -m helpers.course.claims`; edit that file. -->

The course checks a guide in two parts: *the guide, part 1 (optimization and scaling)* and *part 2 (quick \
reference)*. It makes {len(claims)} claims that can be checked. Of these, {evidence}

`L26` is line 26 of that part. ✔ marks a source that was read for its row; look the others up before you quote them."""


def _legend(claims):
    counts = Counter(claim.verdict for claim in claims)
    backed = Counter(claim.verdict for claim in claims if claim.evidence)
    if backed == counts:  # nothing is left to measure
        rows = [f"| **{v}** | {counts[v]} | {meaning} |" for v, meaning in VERDICTS.items()]
        head = ["| verdict | claims | meaning |", "| --- | --: | --- |"]
        return "\n".join([*head, *rows, f"| all | {counts.total()} | |"])
    rows = [f"| **{v}** | {counts[v]} | {backed[v]} | {meaning} |" for v, meaning in VERDICTS.items()]
    rows.append(f"| all | {counts.total()} | {backed.total()} | |")
    return "\n".join(["| verdict | claims | with evidence | meaning |", "| --- | --: | --: | --- |", *rows])


def _entry(claim, ids):
    def prose(text):
        escaped = re.sub(r"([\\`*<$\[\]|~]|(?<!\w)_|_(?!\w))", r"\\\1", text)
        return re.sub(r"\b[A-Z]\d\d\b", lambda m: f"[{m[0]}](#{m[0].lower()})" if m[0] in ids else m[0], escaped)

    where = claim.section if claim.section.startswith("part ") else f"{claim.source_file}, {claim.section}"
    return "\n".join(
        [
            f'<a id="{claim.id.lower()}"></a>',
            f"**{claim.id}. {prose(claim.claim)}**: *{claim.verdict}*",
            "",
            f"- Where: the guide, {prose(where)}",
            f"- Correct: {prose(claim.correct_statement)}",
            f"- Source: {prose(claim.source)}",
            f"- Evidence: {_evidence(claim) or f'not measured yet; planned experiment: {prose(claim.experiment)}'}",
        ]
    )


def _evidence(claim):
    links = [f"[{lesson}, `{name}`](notebooks/{lesson}.ipynb)" for lesson, name in claim.numbers]
    return ", ".join([*links, *(item for item in claim.evidence if "#" not in item)])


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
    print(f"wrote {PAGE}")
