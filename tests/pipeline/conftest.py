"""A finished book that several tests of exports share; they leave its ledger and its cache alone."""

import sys
from pathlib import Path

import pytest
from line_helpers import Line

from orpheus_batch.pipeline import render_books

sys.path.insert(0, str(Path(__file__).parents[1] / "audio" / "delivery"))


@pytest.fixture(scope="session")
def rendered(tmp_path_factory) -> Line:
    """Return a line on fakes whose book is rendered."""
    line = Line(tmp_path_factory.mktemp("exported"))
    config = line.config(text__title="The House", text__author="A. Writer")
    report = render_books([line.book], line.out, config, factories=line.factories)
    assert 0 == report.exit_code
    return line
