import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

from helpers.course.prose import parse, parse_band
from helpers.course.stated import NotReproduced, check, measure, not_measured, stated, unlinked

measurements = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6)


@pytest.mark.parametrize(
    ("text", "value", "last_digit"),
    [
        ("0.566", 0.566, 0.001),
        ("97%", 0.97, 0.01),
        ("4.5 %", 0.045, 0.001),
        ("43 per cent", 0.43, 0.01),
        ("15 points", 0.15, 0.01),
        ("+4.1 percentage points", 0.041, 0.001),
        ("600 data points", 600, 0),
        ("1,234,567", 1234567, 0),
        ("−0.5", -0.5, 0.1),
        ("-3", -3, 0),
        (".253", 0.253, 0.001),
        ("1e-05", 1e-5, 1e-5),
        ("3e10", 3e10, 1e10),
        ("2.1e-6", 2.1e-6, 1e-7),
        ("1.3 × 10^30", 1.3e30, 1e29),
        ("1.3 × 10^{30}", 1.3e30, 1e29),
        ("2 × 10⁻⁵", 2e-5, 1e-5),
        ("4.6×", 4.6, 0.1),
        ("3x", 3, 0),
        ("20 ms", 20, 0),
        ("1.54 GB", 1.54, 0.01),
        ("three times", 3, 0),
        ("**Two**", 2, 0),
        ("top-5", 5, 0),
    ],
)
def test_a_number_is_read_as_it_is_written(text, value, last_digit):
    assert parse(text) == (pytest.approx(value, rel=1e-12), pytest.approx(last_digit, rel=1e-12))


@pytest.mark.parametrize("text", ["", "the one", "0.81 ± 0.02", "3 of 5", "1,5", "2.13.0", "2 × 1030"])
def test_a_link_states_one_number(text):
    with pytest.raises(ValueError, match=r"states \d numbers"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "title", "inside", "outside"),
    [
        ("0.57", "", [0.56, 0.57, 0.58], [0.5599, 0.5801]),
        ("384", "", [384], [383.9, 385]),
        ("57%", "", [0.56, 0.58], [0.559, 0.581, 57]),
        ("57.0%", "", [0.569, 0.571], [0.56, 0.58]),
        ("15 points", "", [0.14, 0.16], [0.13, 15]),
        ("1e-05", "", [0.0, 2e-5], [2.1e-5]),
        ("1.3 × 10^30", "", [2**100], [1.1e30]),
        ("0.57", "±0.02", [0.55, 0.59], [0.549, 0.591]),
        ("0.50", "±20%", [0.4, 0.6], [0.39, 0.61]),
        ("0.50", "±2 points", [0.48, 0.52], [0.47, 0.53]),
        ("50%", "±3", [0.47, 0.53], [0.46, 0.54]),
        ("50%", "±3%", [0.47, 0.53], [0.46, 0.54]),
        ("50%", "40–60", [0.4, 0.6], [0.39, 50]),
        ("50%", "≥ 40%", [0.4, 1], [0.39]),
        ("15 points", "±2 points", [0.13, 0.17], [0.12]),
        ("6", "≥ 5", [5, 1e9], [4.99, math.inf]),
        ("6", "> 5", [5.01], [5]),
        ("4", "≤ 5", [5, -1e9], [5.01, -math.inf]),
        ("4", "< 5", [4.99], [5]),
        ("10×", "2-50×", [2, 50], [1.99, 50.1]),
        ("−3", "−5–−2", [-5, -2], [-5.1, -1.9]),
    ],
)
def test_the_band_is_what_its_title_says(text, title, inside, outside):
    band = parse_band(text, title)
    assert all(value in band for value in inside)
    assert not any(value in band for value in [*outside, math.nan])


@pytest.mark.parametrize("title", ["about", "±", "≈ 5", "5", "±1 ±2", "1–2–3"])
def test_a_band_that_cannot_be_read_is_an_error(title):
    with pytest.raises(ValueError, match="cannot read the band"):
        parse_band("5", title)


def test_a_share_of_points_is_refused_because_it_can_be_read_in_two_ways():
    with pytest.raises(ValueError, match="write '±20 points'"):
        parse_band("15 points", "±20%")


@pytest.mark.parametrize(("text", "title"), [("0.5", "≥ 0.6"), ("5", "> 5"), ("43%", "50–60"), ("7", "9–3")])
def test_a_statement_outside_its_own_band_is_an_error(text, title):
    with pytest.raises(ValueError, match="outside its own band"):
        parse_band(text, title)


@given(measurements, st.integers(1, 8))
def test_a_measurement_written_to_some_digits_agrees_with_itself(x, digits):
    for text in (f"{x:.{digits}f}", f"{x:,.{digits}f}", f"{x:.{digits}e}", f"{x:.{digits}%}", f"{x:.0%}"):
        assert x in parse_band(text)


@given(st.integers(-(10**15), 10**15))
def test_a_whole_number_agrees_with_itself_alone(n):
    for text in (f"{n}", f"{n:,}", f"{n:,} documents".replace("-", "−")):
        assert parse(text) == (n, 0)
        assert n in parse_band(text)
    if abs(n) < 10**8:
        assert n + 1 not in parse_band(str(n))


@given(measurements, st.integers(0, 6))
@example(1e10, 0)
def test_reading_undoes_writing(x, digits):
    assert parse(f"{x:.{digits}e}")[0] == float(f"{x:.{digits}e}")
    assert parse(f"{x:,.{digits}f}")[0] == float(f"{x:.{digits}f}")


@given(measurements, measurements, st.floats(0, 100), st.floats(0, 100))
def test_widening_a_band_never_turns_pass_into_fail(x, value, slack, more):
    text = f"{x:.2f}"
    for narrow, wide in [
        (f"±{slack:.3f}", f"±{slack + more:.3f}"),
        (f"±{slack:.3f}%", f"±{slack + more:.3f}%"),
        (
            f"{float(text) - slack:.3f}–{float(text) + slack:.3f}",
            f"{float(text) - slack - more:.3f}–{float(text) + slack + more:.3f}",
        ),
    ]:
        assume("e" not in narrow + wide)
        if value in parse_band(text, narrow):
            assert value in parse_band(text, wide)


def test_numbers_are_found_in_reading_order_with_their_sentences(write_notebook):
    path = write_notebook(
        '# A title\n\nChance is [20%](#chance). Dropout gives [0.57](#runs[0].test "±0.02"),\nnot [0.60](#plain).',
        ["x = 1", ""],
        "- the *first* item, `code`\n- **[three](#counts['a'])** of `weight_decay`.\n\n| a | [5](#five) |",
    )
    found = [(s.cell, s.text, s.name, s.title, s.sentence) for s in stated(path)]
    assert found == [
        (1, "20%", "chance", "", "Chance is 20%."),
        (1, "0.57", "runs[0].test", "±0.02", "Dropout gives 0.57, not 0.60."),
        (1, "0.60", "plain", "", "Dropout gives 0.57, not 0.60."),
        (3, "three", "counts['a']", "", "three of weight_decay."),
        (3, "5", "five", "", "a 5"),
    ]


def test_links_in_code_and_links_that_state_no_number_are_not_read(write_notebook):
    path = write_notebook(
        'Write `[0.5](#x "±0.1")`.\n\n```\n[0.6](#y)\n```\n<!-- [0.7](#z) -->\n'
        "[the figure](#figure) [15 points](../CLAIMS.md#r26) [0.9](https://example.org/a_(b)) [`0.8`](#code)"
    )
    assert [s.name for s in stated(path)] == ["code"]


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("[0.5](#a-heading)", "not a name"),
        ("[0.5](#f(x))", "not a name"),
        ("[1 or 2](#x)", "states 2 numbers"),
        ('[0.5](#x "≥ 0.6")', "outside its own band"),
        ('[0.5](#x "roughly")', "cannot read the band"),
    ],
)
def test_a_link_that_cannot_be_checked_is_an_error_that_says_where(write_notebook, link, message):
    with pytest.raises(ValueError, match=rf"01_tiny.ipynb, cell 2.*{message}"):
        list(stated(write_notebook("Prose.", f"It is {link}.")))


@pytest.mark.parametrize(
    "quantity",
    ["0.43", "43%", "43 %", "3×", "3x", "3.5 times", "20 ms", "12 s", "1.5 GB", "90 MB", "15 points", "1e-05", ".25"],
)
@pytest.mark.parametrize("prose", ["It was {}.", "It was **{}**, too", "| {} |", "- {}", "## Only {}", "({}–"])
def test_a_quantity_that_is_bound_to_nothing_is_found(write_notebook, quantity, prose):
    (message,) = unlinked(write_notebook("Fine.", prose.format(quantity)))
    assert message.startswith("cell 2") and quantity in message


@pytest.mark.parametrize("link", ["[43%]", "[43%](#)", "[43%]()", "[43%](notes.md)", "[43%](#x ±3)", "[43%][x]"])
def test_a_quantity_in_something_that_is_not_a_binding_is_found(write_notebook, link):
    assert unlinked(write_notebook(f"It was {link}, they say."))


@pytest.mark.parametrize(
    "prose",
    [
        "# Lesson 02: regularization",
        "## 2.1 Grid search",
        "5,900 documents, 384 dimensions, a 5×4 grid, 5 × 4 cells, seeds 0–9, a 70/15/15 split, 15/5",
        "torch 2.13 on Python 3.11, version 2.13.0, FAISS 1.15, v1.2, GPT-3.5, all-MiniLM-L6-v2, SmolLM2-135M, Q4_1",
        "arXiv:1904.09751 and https://arxiv.org/abs/1904.09751, http://127.0.0.1:8888",
        "Goodfellow et al. 2016, ch. 5.2.2, 7.1, 7.8; section 3.4 and 7.10; § 2.3; Figure 5.1",
        "a 95% confidence interval, its 95 % interval, in the 1990s",
        "`0.5`, ``2.5 ms``, $\\lambda = 0.01$, $$0.1\n+ 0.2$$ <!-- 43% --> <img width='50%'/>",
        "```python\nx = 0.5\n```",
        '[0.5](#x "±0.1"), [15 points](../CLAIMS.md#r26), [40%](https://example.org/a_(b)), [`0.5`](#y)',
        "p95 and p99, recall@10, 127.0.0.1, step 3",
    ],
)
def test_names_settings_and_bound_numbers_are_no_false_alarm(write_notebook, prose):
    assert unlinked(write_notebook(prose)) == []


def test_a_number_of_another_lesson_is_bound_while_that_lesson_states_it(write_notebook):
    write_notebook("Dropout gives [57%](#dropout).", name="02_regularization.ipynb")
    assert not unlinked(write_notebook("It gave [57%](02_regularization.ipynb#dropout)."))
    assert unlinked(write_notebook("It gave [58%](02_regularization.ipynb#dropout)."))
    assert unlinked(write_notebook("It gave [57%](03_gone.ipynb#dropout)."))


@pytest.fixture
def run(monkeypatch, write_notebook):
    """run(prose, name=value, ...): check a notebook against these variables, return the report it shows."""
    shown = []

    def run(prose, changes=(), ci="", **variables):
        monkeypatch.setenv("CI", ci)
        monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(user_ns=variables))
        monkeypatch.setattr("IPython.display.display", shown.append)
        check(str(write_notebook(prose)), changes=list(changes))
        return shown[-1]

    run.shown = shown
    return run


@pytest.mark.parametrize(
    "value", [0.573, np.float32(0.573), np.array(0.573), torch.tensor(0.573, requires_grad=True), np.float64(0.573)]
)
def test_scalars_of_every_library_are_numbers(run, value):
    report = run("It is [0.57](#x).", x=value)
    assert "✓" in repr(report) and "✓" in report._repr_html_()


def test_attributes_and_items_are_measured(run):
    run("[1](#a.b) [2](#c[0]) [3](#d['k'].e[-1])", a=SimpleNamespace(b=1), c=[2], d={"k": SimpleNamespace(e=(3,))})


@pytest.mark.parametrize(
    ("variables", "measured"),
    [
        ({"x": 0.61}, "measured 0.61"),
        ({}, "measured never defined"),
        ({"x": math.nan}, "measured nan"),
        ({"x": math.inf}, "measured inf"),
        ({"x": "0.57"}, "str, not a number"),
        ({"x": np.array([0.57])}, "ndarray, not a number"),
        ({"x": None}, "TypeError"),
    ],
)
def test_what_is_not_reproduced_is_named_with_sentence_and_measurement(run, variables, measured):
    with pytest.raises(NotReproduced) as error:
        run("It was so. Dropout gives [0.57](#x).", **variables)
    message = str(error.value)
    assert "1 of 1 numbers" in message and "x: stated 0.57" in message and "“Dropout gives 0.57.”" in message
    assert measured in message
    assert error.value._render_traceback_() == [f"NotReproduced: {message}"]
    assert "✗" in repr(run.shown[0])  # the table is there also when a number fails


def test_builtins_measure_nothing():
    assert measure("max", {}) == "never defined"


def test_what_a_machine_cannot_measure_fails_in_ci_alone(run):
    absent = not_measured("Apertium is not installed: apt-get install apertium")
    prose, variables = "It is [0.57](#x), [3](#x.words), [2×](#gain).", {"x": absent, "gain": round(1 - absent / 2, 1)}
    report = run(prose, **variables)
    assert repr(report).count("not measured here") == 3 and "apt-get install apertium" in report._repr_html_()
    assert f"{absent:.2f}" == "not measured here"
    with pytest.raises(NotReproduced, match="3 of 3 numbers"):
        run(prose, ci="true", **variables)


def test_another_corpus_excuses_other_numbers_but_not_missing_ones_and_nothing_in_ci(run):
    changes = ["numpy 9.0 gives 1 document"]
    report = run("It is [0.57](#x).", changes, x=0.7)
    assert "another corpus" in repr(report) and "numpy 9.0" in report._repr_html_()
    with pytest.raises(NotReproduced, match="never defined"):
        run("It is [0.57](#x).", changes)
    with pytest.raises(NotReproduced, match=r"numpy 9\.0"):
        run("It is [0.57](#x).", changes, ci="true", x=0.7)


def test_the_corpus_is_asked_for_changes_only_when_a_number_differs(run, monkeypatch, write_notebook):
    monkeypatch.setattr("helpers.course.stated._corpus_changes", lambda: ["another numpy"])
    run("It is [0.57](#x).", x=0.57)
    path = write_notebook("It is [0.57](#x).")
    check(str(path))
    assert "another numpy" not in repr(run.shown[-1])
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(user_ns={"x": 0.9}))
    check(str(path))
    assert "another numpy" in repr(run.shown[-1])


def test_a_number_in_prose_leads_to_its_row(run):
    page = run("[1](#a), again [1](#a), [2](#b[0]), [3](#c['k'])", a=1, b=[2], c={"k": 3})._repr_html_()
    assert page.count('id="a"') == 1 and 'id="b%5B0%5D"' in page and "id=\"c%5B'k'%5D\"" in page


def test_prose_is_escaped_in_the_table(run):
    assert "p &lt; q" in run("For p < q it is [1](#a).", a=1)._repr_html_()


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        ("57%", 0.57349, "57.35%"),
        ("3 points", 0.0312, "3.12 points"),
        ("5,900", 5900, "5,900"),
        ("0.57", 0.57349, "0.5735"),
    ],
)
def test_a_measurement_is_shown_in_the_unit_of_its_statement(run, text, value, shown):
    assert f'<td style="text-align:left">{shown}</td>' in run(f'[{text}](#x "±1")', x=value)._repr_html_()


def test_check_says_where_it_looked_and_where_it_must_run(monkeypatch, tmp_path, run):
    monkeypatch.setattr("IPython.get_ipython", lambda: None)  # a widget's test may have started a shell
    with pytest.raises(RuntimeError, match="running notebook"):
        check("00_none.ipynb")
    monkeypatch.chdir(tmp_path)
    run("[1](#a)", a=1)
    with pytest.raises(FileNotFoundError, match=r"00_none\.ipynb"):
        check("00_none.ipynb")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "01_tiny.ipynb").rename("notebooks/01_tiny.ipynb")
    check("01_tiny.ipynb")
