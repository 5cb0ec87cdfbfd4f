"""The rehearsal in a real browser: headless Chromium, used by keyboard, against a JupyterLab of its own."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import nbformat.v4 as v4
import psutil
import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from helpers.course.rehearsal import bank as banks
from helpers.course.rehearsal import schedule
from helpers.course.rehearsal.log import NAME, Log
from helpers.course.rehearsal.progress import replay

ROOT = Path(__file__).parent.parent
PATIENCE = 120  # seconds; far above what a busy machine needs, and never waited for in vain
CELL = "from helpers.course.rehearsal.widget import interview\n\ninterview()"
OWN = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR",
       "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR", "REHEARSAL_HOME")  # fmt: skip
FLAGS = ("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "disable-dev-shm-usage", "no-first-run",
         "disable-background-networking", "disable-component-update", "disable-sync",
         "window-size=1300,1400")  # fmt: skip


@pytest.fixture(scope="session")
def programs():
    "Paths of the browser and its driver."
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = " and no ".join(name for name, path in found.items() if path is None)
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"no {missing}: CI must have what tests/apt.txt names")
    if missing:
        pytest.skip(f"no {missing} here: tests/apt.txt names the packages")
    return found


@pytest.fixture(scope="session")
def lab(programs, tmp_path_factory):
    """A JupyterLab with folders of its own: (address of a page, folder of notebooks, $REHEARSAL_HOME, process)."""
    base = tmp_path_factory.mktemp("lab")
    folder = base / "notebooks"
    folder.mkdir()
    own = {name: str(base / name) for name in OWN}
    news = Path(own["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
               "--ServerApp.port=0", f"--ServerApp.root_dir={folder}"]  # fmt: skip
    with (base / "lab.log").open("w") as log:
        server = psutil.Popen(command, env=os.environ | own | {"PYTHONPATH": str(ROOT)}, cwd=base, stdout=log,
                              stderr=log, stdin=subprocess.DEVNULL)  # fmt: skip
    try:
        until(lambda: address(server, own["JUPYTER_RUNTIME_DIR"], base / "lab.log"))
        yield address(server, own["JUPYTER_RUNTIME_DIR"], base / "lab.log"), folder, Path(own["REHEARSAL_HOME"]), server
    finally:
        end(server)


def address(server, runtime, log):
    "Of a page, with the token and %s for the notebook's name; None as long as the server has not written it down."
    if server.poll() is not None:
        pytest.fail(f"JupyterLab ended: {log.read_text()[-2000:]}")
    for file in Path(runtime).glob("jpserver-*.json"):
        with suppress(ValueError):  # half written
            found = json.loads(file.read_text())
            return f"{found['url']}lab/tree/%s?reset&token={found['token']}"
    return None


def end(process):
    "A process and those it started: politely, and by force what is left then."
    everything = [*process.children(recursive=True), process]
    process.terminate()
    left = psutil.wait_procs(everything, timeout=20)[1]
    for one in left:
        one.kill()
    assert not psutil.wait_procs(left, timeout=20)[1]


@pytest.fixture
def browser(programs, tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = programs["chromium"]
    for flag in (*FLAGS, f"user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(f"--{flag}")
    started = webdriver.Chrome(options, webdriver.ChromeService(programs["chromedriver"]))
    started.set_script_timeout(PATIENCE)  # a page that loads on a busy machine answers late
    try:
        yield started
    finally:
        driver = psutil.Process(started.service.process.pid)
        everything = [*driver.children(recursive=True), driver]
        started.quit()
        for process in psutil.wait_procs(everything, timeout=20)[1]:
            process.kill()


@pytest.fixture
def page(browser, lab, request):
    "A notebook with one cell, that cell run, and a learner without any progress yet."
    address, folder, home, _ = lab
    shutil.rmtree(home, ignore_errors=True)
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    name = f"{request.node.name}.ipynb"
    (folder / name).write_text(v4.writes(v4.new_notebook(cells=[v4.new_code_cell(CELL)], metadata=kernel)), "utf-8")
    page = Page(browser, address % name)
    page.open()
    page.run()
    return page


def until(condition):
    "Wait until something outside the browser holds."
    last = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < last, f"waited {PATIENCE} s in vain"
        time.sleep(0.1)
    return found


class Page:
    """A notebook in the browser, and the interview in it."""

    def __init__(self, browser, address):
        self.browser, self.address = browser, address

    def until(self, condition, what):
        wait = WebDriverWait(self.browser, PATIENCE, 0.1, (StaleElementReferenceException,))
        return wait.until(lambda _: condition(), f"waited in vain until {what}")

    def find(self, selector):
        return [element for element in self.browser.find_elements(By.CSS_SELECTOR, selector) if element.is_displayed()]

    # ---- the notebook

    def open(self):
        self.browser.get(self.address)
        self.until(lambda: self.find(".jp-Notebook-ExecutionIndicator[data-status=idle]"), "the kernel is idle")
        self.until(lambda: self.find(".jp-CodeCell .cm-content"), "the cell is there")

    def run(self):
        "Run the cell. A kernel that is only just starting may drop it, as its prompt then shows: so once more."
        before = self.prompt()
        while self.prompt() == before:
            self.find(".jp-CodeCell .cm-content")[0].click()
            self.keys(Keys.SHIFT, Keys.ENTER)
            self.until(lambda: "*" not in self.prompt(), "the cell has run")
        self.until(lambda: self.heading() == "The rehearsal", "the interview is there")

    def prompt(self):
        return self.find(".jp-InputPrompt")[0].text

    # ---- the interview

    def heading(self):
        return next((element.text for element in self.find(".rehearsal-heading")), None)

    def text(self):
        return self.find(".rehearsal")[0].text

    # ---- the keyboard

    def keys(self, *keys):
        "Press keys one after the other; a modifier stays down to the end."
        chain = webdriver.ActionChains(self.browser)
        held = [key for key in keys if key in (Keys.SHIFT, Keys.CONTROL)]
        for key in keys:
            chain = chain.key_down(key) if key in held else chain.send_keys(key)
        for key in held:
            chain = chain.key_up(key)
        chain.perform()

    def focused(self):
        "What has the focus, as a learner would call it: a button's text, the label of a radio button or a field."
        return self.browser.execute_script(
            "const e = document.activeElement;"
            "return e.tagName == 'BUTTON' || !e.labels ? e.innerText : [...e.labels].map(l => l.innerText).join()"
        )

    def tab_to(self, name):
        "Press Tab until the focus is on what begins with this name."
        seen = []
        while not (seen and seen[-1].startswith(name)):
            assert len(seen) < 60, f"Tab never comes to {name!r}, but to {seen}"
            self.keys(Keys.TAB)
            seen.append(self.focused())

    def press(self, name):
        "Go to a button and press it; wait for the next view, and until it has the focus."
        before = self.find(".rehearsal-heading + *")[0]
        self.tab_to(name)
        self.keys(Keys.SPACE)
        self.until(lambda: self.is_gone(before), f"{name!r} has done something")
        focus = ("Your answer", "Your reply")
        self.until(lambda: self.focused() in (self.heading(), *focus), "the new view has the focus")

    def is_gone(self, element):
        try:
            return not element.is_displayed()
        except StaleElementReferenceException:
            return True

    def start(self):
        "Choose an interview of one minute, which is one question; returns that question."
        self.browser.execute_script("arguments[0].focus()", self.find(".rehearsal-heading")[0])
        self.tab_to("Mock interview")
        self.keys(Keys.SPACE)
        self.tab_to("Minutes")
        self.keys(Keys.CONTROL, "a")
        self.keys("1")
        self.press("Start")
        assert self.heading() == "Question 1 of 1"
        assert self.focused() == "Your answer"
        ask = self.find(".rehearsal-question p")[0].text
        return next(question for question in banks.load() if question.ask == ask)

    def typed(self):
        return self.find(".rehearsal textarea")[0].get_attribute("value")


def test_an_interview_by_keyboard_alone(page, lab):
    question = page.start()
    page.until(lambda: not page.find(".rehearsal-timer")[0].text.startswith("Time: 0:00"), "the time counts")
    sentence = f"{question.points[0].phrases[0]}."
    page.keys(f"First of all. {sentence}")
    page.press("Submit the answer")
    assert page.heading() == "What the hints found"
    assert f"{question.points[0].text}\nMentioned: “{sentence}”" in page.text()
    page.press("Continue")

    flags = []
    while page.heading().startswith("Did you say"):
        flags.append(page.find(".rehearsal-question p")[0].text.strip("“”"))
        page.tab_to("Yes" if len(flags) == 1 else "No")
        page.keys(Keys.SPACE)
        page.press("Submit")
    assert sorted(flags) == sorted(wrong.says for wrong in question.wrong)

    follow_ups = []
    while page.heading().startswith("Follow-up"):
        follow_ups.append(page.find(".rehearsal-question p")[0].text)
        page.keys("I would measure it.")
        page.press("Submit the reply")
    assert 0 < len(follow_ups) <= 2 and set(follow_ups) <= {point.follow_up for point in question.points}

    assert page.heading() == "Compare, then grade yourself"
    shown = " ".join(page.text().split())
    assert " ".join(question.answer.split()) in shown
    assert all(wrong.says in shown and wrong.number in shown for wrong in question.wrong)
    assert shown.count("You said that you claimed this.") == 1
    page.tab_to("Good")
    page.keys(Keys.SPACE)
    page.press("Grade")

    _, _, home, _ = lab
    progress, skipped = replay(Log(home).read()[0])
    today = schedule.moment(progress.reviews[0].at)
    due = schedule.due_date(progress.cards[question.id])
    assert not skipped and due > today.date()
    assert f"{due.day} {due:%B %Y}" in page.text()
    page.press("To the report")
    trend = page.find(".rehearsal img")[0]
    assert trend.get_attribute("alt").startswith("One session so far: about Good")
    assert int(trend.get_property("naturalWidth")) > 500
    page.press("Finish")
    assert not page.find(".rehearsal button")


def test_a_half_typed_answer_outlives_the_page_and_the_kernel(page, lab):
    _, _, home, server = lab
    question = page.start()
    page.keys("Half an answer")
    page.tab_to("Submit")  # in the text, Ctrl+S is not the notebook's
    page.keys(Keys.CONTROL, "s")
    page.until(lambda: not page.find(".jp-mod-dirty"), "the notebook is saved")

    page.open()  # again; the kernel is still the same, and so is the interview
    page.until(lambda: page.find(".rehearsal textarea"), "the interview is there again")
    assert page.heading() == "Question 1 of 1" and page.typed() == "Half an answer"
    page.find(".rehearsal textarea")[0].click()
    page.keys(Keys.CONTROL, Keys.END)
    page.keys(", and a little more")
    until(lambda: "and a little more" in (home / NAME).read_text("utf-8"))

    for kernel in (before := kernels(server)):
        kernel.kill()
    until(lambda: kernels(server) and not set(kernels(server)) & set(before))
    page.open()
    page.run()
    assert "1 question begun and not graded" in page.text()
    assert page.start() == question
    assert page.typed() == "Half an answer, and a little more"


def kernels(server):
    "The living kernels of a server."
    found = []
    for child in server.children():
        with suppress(psutil.NoSuchProcess):  # a dead one that was not buried yet
            if "ipykernel_launcher" in child.cmdline():
                found.append(child)
    return found
