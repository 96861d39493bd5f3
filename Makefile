# make demo    install into .venv and render the sample chapter
# make test    install into .venv and run the whole suite, in JOBS processes
# make test-trtllm  the TensorRT-LLM tests alone; also against the real library, where PYTHON has it
# make lint    ruff, as CI runs it
# make clean   remove what these made

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAMPLE := samples/buster-bear-goes-fishing.txt
OUT := out/demo
JOBS ?= 2

.PHONY: demo test test-trtllm lint clean install

demo: install
	$(BIN)/orpheus-batch render $(SAMPLE) -o $(OUT)

# one thread a process: two that share two cores only wait for each other; a file's tests stay together
test: $(VENV)/.test-installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile

test-trtllm:
	if $(PYTHON) -c "import importlib.util as u, sys; sys.exit(u.find_spec('tensorrt_llm') is None)"; then \
	  mkdir -p build && $(PYTHON) -m pip freeze --all | grep '==' | grep -v ' @ ' > build/installed.txt && \
	  $(PYTHON) -m pip install -q -c build/installed.txt -e '.[test]' && $(PYTHON) -m pytest -q -rs tests/trtllm; \
	else \
	  $(MAKE) -s $(VENV)/.test-installed && $(BIN)/python -m pytest -q -rs tests/trtllm; \
	fi

lint: $(VENV)/.test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

install: $(VENV)/.installed

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python setup.cfg pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

$(VENV)/.test-installed: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test,dev]'
	touch $@

clean:
	rm -rf $(VENV) out build *.egg-info .pytest_cache .ruff_cache .hypothesis
