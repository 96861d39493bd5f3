"""Reads lexicons: YAML and CSV files of words and what to say for them.

Every mistake is named with its line. Nothing in a file is executed; what it holds is taken as strings, so that ``no``,
``1984`` and ``null`` are words. What entries do is in `orpheus_batch.text.lexicon`.
"""

import csv
import difflib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orpheus_batch.errors import ConfigError
from orpheus_batch.text.lexicon import Lexicon, LexiconEntry, Scope, compile_pattern

if TYPE_CHECKING:
    import yaml

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_WRITTEN_CHARS = 300
MAX_SPOKEN_CHARS = 1000

YAML_SUFFIXES = frozenset({".yaml", ".yml"})
CSV_SUFFIXES = frozenset({".csv", ".tsv"})
COLUMNS = ("word", "say", "kind", "case", "voice", "language", "book")
REPORT_COLUMNS = ("why", "count", "chapter", "place", "context")
"""what `orpheus-batch words` writes beside them, for people"""
_BARE = ("word", "say")
_SCOPES = ("voice", "language", "book")
_SETTINGS = ("say", "case", *_SCOPES)
_SECTIONS = ("words", "patterns", *_SCOPES)
_CASES = ("smart", "exact", "any")


def load_lexicon(files: Iterable[str | Path]) -> Lexicon:
    """Read lexicons, the later before the earlier where both know a word.

    Args:
        files: YAML or CSV, by their suffix.

    Raises:
        ConfigError: One can't be read or holds a mistake; says the file and the line.
    """
    entries: list[LexiconEntry] = []
    for file in map(Path, files):
        own = list(_read(file))
        _refuse_doubles(own)
        entries += own
    return Lexicon(entries)


def _read(file: Path) -> Iterator[LexiconEntry]:
    suffix = file.suffix.lower()
    if suffix not in YAML_SUFFIXES | CSV_SUFFIXES:
        raise ConfigError(f"the lexicon {file} must end in .yaml, .csv or .tsv, to say what it is")
    try:
        if file.is_file() and file.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"the lexicon {file} is over {MAX_FILE_BYTES:,} bytes; is it a lexicon?")
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"can't read the lexicon {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{file}, line {line}: not UTF-8; save the lexicon as UTF-8") from error
    return _from_yaml(file, text) if suffix in YAML_SUFFIXES else _from_csv(file, text, suffix)


def _from_csv(file: Path, text: str, suffix: str) -> Iterator[LexiconEntry]:
    first = text.lstrip().partition("\n")[0]
    delimiter = "\t" if suffix == ".tsv" else max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: Sequence[str] | None = None
    try:
        for raw in reader:
            place = f"{file}, line {reader.line_num}"
            cells = [cell.strip() for cell in raw]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if names is None:
                names = _header(cells, place)
                if names is not _BARE:
                    continue
            if len(cells) > len(names) and any(cells[len(names) :]):
                raise ConfigError(
                    f"{place}: {len(cells)} cells and {len(names)} columns; what holds a {delimiter!r} wants quotes"
                )
            row = {name: cell for name, cell in zip(names, cells, strict=False) if cell}
            if "say" not in row:
                if names is _BARE:
                    raise ConfigError(f"{place}: there is a word and nothing to say for it")
                continue  # a line of the words report that nobody has filled in
            yield _entry(row.get("word", ""), row, row.get("kind", "word"), place, {})
    except csv.Error as error:
        raise ConfigError(f"{file}, line {reader.line_num}: {error}") from error


def _header(cells: Sequence[str], place: str) -> Sequence[str]:
    """Return the names of the columns: the first line's, or word and say where it is none."""
    lowered = [cell.lower() for cell in cells]
    if "word" not in lowered and "say" not in lowered and len(cells) == 2:
        return _BARE
    for name in lowered:
        if name and name not in COLUMNS + REPORT_COLUMNS:
            raise ConfigError(f"{place}: unknown column {name!r}{_near(name, COLUMNS)}")
    for name in ("word", "say"):
        if lowered.count(name) != 1:
            raise ConfigError(
                f"{place}: a lexicon's first line names its columns, {name!r} once: {', '.join(COLUMNS)}"
            )
    return lowered


def _from_yaml(file: Path, text: str) -> Iterator[LexiconEntry]:
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}, line {mark.line + 1}" if mark is not None else str(file)
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(
            f"{where}: not YAML: {what}; words with : or # or quotation marks want quotes"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{file} is nested deeper than any lexicon") from error
    if root is None:
        return
    top = list(_pairs(file, root, "words and what to say for them"))
    if not any(key.value in ("words", "patterns") and _is_section(node) for key, node in top):
        for key, _ in top:
            if key.value in _SCOPES:
                raise ConfigError(
                    f"{_place(file, key)}: {key.value!r} is a setting where the words stand under `words:`, and a word "
                    "only there too; put them under it"
                )
        yield from _section(file, top, "word", {})
        return
    for key, _ in top:
        if key.value not in _SECTIONS:
            raise ConfigError(f"{_place(file, key)}: unknown key {key.value!r}{_near(key.value, _SECTIONS)}")
    scope = {key.value: _strings(file, node) for key, node in top if key.value in _SCOPES}
    for key, node in top:
        if key.value not in _SCOPES:
            kind = "word" if key.value == "words" else "pattern"
            yield from _section(file, _pairs(file, node, f"{key.value} and what to say"), kind, scope)


def _is_section(node: "yaml.Node") -> bool:
    import yaml

    return isinstance(node, yaml.MappingNode) and all(
        isinstance(key, yaml.ScalarNode) and key.value != "say" for key, _ in node.value
    )


def _section(
    file: Path,
    pairs: "Iterable[tuple[yaml.ScalarNode, yaml.Node]]",
    kind: str,
    scope: Mapping[str, tuple[str, ...]],
) -> Iterator[LexiconEntry]:
    import yaml

    for key, node in pairs:
        for said in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            place = _place(file, said)
            if isinstance(said, yaml.ScalarNode):
                row: dict[str, Any] = {"say": said.value}
            else:
                row = {}
                for name, value in _pairs(file, said, "say, and where it holds"):
                    if name.value not in _SETTINGS:
                        raise ConfigError(
                            f"{_place(file, name)}: unknown key {name.value!r}{_near(name.value, _SETTINGS)}"
                        )
                    row[name.value] = (
                        _strings(file, value) if name.value in _SCOPES else _string(file, value, name.value)
                    )
                if "say" not in row:
                    raise ConfigError(f"{place}: {key.value!r} has no say: what is to be said for it?")
            yield _entry(key.value, row, kind, place, scope)


def _entry(
    written: str, row: Mapping[str, Any], kind: str, place: str, scope: Mapping[str, tuple[str, ...]]
) -> LexiconEntry:
    """Check one entry."""
    if kind == "word":
        written = " ".join(written.split())
    spoken = " ".join(row["say"].split())
    if not written:
        raise ConfigError(f"{place}: no word to look for")
    if len(written) > MAX_WRITTEN_CHARS or len(spoken) > MAX_SPOKEN_CHARS:
        raise ConfigError(
            f"{place}: longer than a lexicon's entry may be ({MAX_WRITTEN_CHARS} characters, {MAX_SPOKEN_CHARS} to "
            "say)"
        )
    case = row.get("case", "smart")
    for what, value, known in (("kind", kind, ("word", "pattern")), ("case", case, _CASES)):
        if value not in known:
            raise ConfigError(f"{place}: {what} must be {' or '.join(known)}, not {value!r}")
    if kind == "word" and not any(map(str.isalnum, written)):
        raise ConfigError(f"{place}: {written!r} holds no letter and no digit; write a pattern for it")
    if kind == "pattern":
        if case != "smart":
            raise ConfigError(f"{place}: a pattern says (?i) in itself where case does not matter")
        _check_pattern(written, spoken, place)
    scopes = {name: _listed(row.get(name, scope.get(name, ()))) for name in _SCOPES}
    return LexiconEntry(
        written=written,
        spoken=spoken,
        place=place,
        is_pattern=kind == "pattern",
        case=case,
        scope=Scope(scopes["voice"], scopes["language"], scopes["book"]),
    )


def _check_pattern(written: str, spoken: str, place: str) -> None:
    import regex

    try:
        pattern = compile_pattern(written)
        # An alternative that always fits, so that the template is used, with as many groups as the pattern has.
        regex.sub(f"(?:{written})|$", spoken, "")
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from None
    except (regex.error, IndexError, KeyError) as error:
        raise ConfigError(
            f"{place}: can't say {spoken!r} for a pattern with {pattern.groups} groups: {error}"
        ) from None


def _refuse_doubles(entries: Iterable[LexiconEntry]) -> None:
    seen: dict[tuple, LexiconEntry] = {}
    for entry in entries:
        key = (entry.written, entry.is_pattern, entry.scope)
        if key in seen:
            raise ConfigError(
                f"{entry.place}: {entry.written!r} stands there a second time; the first is at "
                f"{seen[key].place.rpartition(', ')[2]}"
            )
        seen[key] = entry


def _listed(value: str | tuple[str, ...]) -> tuple[str, ...]:
    parts = value.split("|") if isinstance(value, str) else value
    return tuple(part.strip() for part in parts if part.strip())


def _pairs(file: Path, node: "yaml.Node", expected: str) -> "Iterator[tuple[yaml.ScalarNode, yaml.Node]]":
    import yaml

    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{_place(file, node)}: expected {expected}, as in `Hermione: Her-my-oh-nee`")
    for key, value in node.value:
        _string(file, key, "a word")
        yield key, value


def _string(file: Path, node: "yaml.Node", what: str) -> str:
    import yaml

    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(f"{_place(file, node)}: {what} must be words, not a list or keys")
    return node.value


def _strings(file: Path, node: "yaml.Node") -> tuple[str, ...]:
    import yaml

    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return tuple(_string(file, item, "each of them") for item in nodes)


def _place(file: Path, node: "yaml.Node") -> str:
    return f"{file}, line {node.start_mark.line + 1}"


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
