"""What "the same output" means when nbval reruns a notebook; a pytest plugin.

The words must be the same, and each decimal within one unit of the last digit shown. Loaded by
`-p helpers.course.nbval_tolerance` in pyproject.toml. Warnings (stderr) and text/html are not
compared: the one depends on the machine, and every table has a plain-text form that is. Nor are
progress bars, which show only while something is not in the cache yet.
"""

import math
import os
import re

import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

# The course's models come from installed packages; nothing may be looked for on the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

DECIMAL = re.compile(r"(?<![\d.])-?\d+\.(?P<places>\d+)(?:[eE](?P<exponent>[-+]?\d+))?(?!\d|\.\d)")
PROGRESS_BAR = re.compile(r"\d+%\|.*\| *\d+/\d+ \[")


class Shown(str):
    """Text of an output, equal to another if the words are and the decimals agree."""

    def __eq__(self, other):
        def words(text):
            return DECIMAL.sub("#", text).split()

        if words(self) != words(other):
            return False
        return all(map(_agree, DECIMAL.finditer(self), DECIMAL.finditer(other)))

    def __ne__(self, other):
        return not self == other

    __hash__ = str.__hash__


def _agree(one, other):
    "Within one unit of the last digit shown, of whichever shows more digits."
    unit = min(10.0 ** (int(m["exponent"] or 0) - len(m["places"])) for m in (one, other))
    a, b = float(one[0]), float(other[0])
    return abs(a - b) <= 1.001 * unit or math.isclose(a, b, rel_tol=1e-9)


def pytest_collectstart(collector):
    if isinstance(collector, IPyNbFile):
        collector.skip_compare += ("stderr", "text/html")


def pytest_collection_modifyitems(items):
    for item in items:
        if isinstance(item, IPyNbCell):
            item.sanitize = _tolerant(item.sanitize)
            item.compare_outputs = _without_progress_bars(item.compare_outputs)
            item.output_timeout = 60  # seconds between two messages; the default of 5 is short on a busy machine


def _tolerant(sanitize):
    def shown(text):
        text = sanitize(text)
        return Shown(text) if isinstance(text, str) else text

    return shown


def _without_progress_bars(compare):
    def compared(test, reference, skip_compare=None):
        test, reference = (
            [output for output in outputs if not PROGRESS_BAR.search(output.get("data", {}).get("text/plain", ""))]
            for outputs in (test, reference)
        )
        return compare(test, reference, skip_compare)

    return compared


def pytest_runtest_setup(item):
    if getattr(item.parent, "raised_in", None):
        pytest.skip(f"{item.parent.raised_in} raised: what follows it would only repeat the failure")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if isinstance(item, IPyNbCell) and report.failed and "outputs differ" not in str(call.excinfo.value):
        item.parent.raised_in = item.name
    return report
