"""The stand-in for tensorrt_llm, written once for each release; see `standin_writer.py` for what it is."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

RELEASES = ("1.2.1", "1.4.0rc1")


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Return the folder of a release's stand-in, written on first use."""
    from standin_writer import write

    base = tmp_path_factory.mktemp("standin")

    def folder(version: str) -> Path:
        path = base / version
        return path if path.exists() else write(version, path)

    return folder


@pytest.fixture
def standin_of(written, tmp_path):
    """Return a maker of a release's `StandIn`, with a log of its own."""
    from standin_helpers import StandIn

    return lambda version: StandIn(version, written(version), tmp_path)


@pytest.fixture(params=RELEASES)
def standin(request, standin_of):
    """The stand-in of each release in turn."""
    return standin_of(request.param)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """An untrained pack: it speaks noise, at once."""
    from orpheus_batch.testing import make_tiny_pack

    return make_tiny_pack(tmp_path_factory.mktemp("tiny") / "pack")
