"""The files in configs/ are what a run is begun from: each loads, and builtin.yaml shows every knob at its default."""

from pathlib import Path

import pytest
import yaml

from orpheus_batch.config import load_config

FOLDER = Path(__file__).parents[1] / "configs"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.name)
def test_every_file_loads(file):
    """An unknown key or a value out of range is an error at the start of a night."""
    load_config(file)


def test_builtin_yaml_shows_every_knob_at_its_default():
    """A default that changes, or a knob that is new, changes the file that people copy."""

    def names(tree):
        return {name: names(value) for name, value in tree.items()} if isinstance(tree, dict) else None

    file = FOLDER / "builtin.yaml"
    assert load_config() == load_config(file)
    shown, known = yaml.safe_load(file.read_text(encoding="utf-8")), load_config().to_dict()
    assert names(known) == names(shown)
