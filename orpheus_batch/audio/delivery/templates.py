"""Texts with fields: credits and file names. It knows no book."""

import string

from orpheus_batch.errors import ConfigError


def check_template(template: str, name: str, fields: tuple[str, ...]) -> None:
    """See that a template has only fields that there are.

    Raises:
        ConfigError: It has another, or its braces don't match; names the fields that there are.
    """
    known = ", ".join(f"{{{field}}}" for field in fields)
    for line in template.split("\n"):
        for field in _fields(line, name):
            if field not in fields:
                raise ConfigError(f"{name}: there is no field {{{field}}}; there are {known}")


def fill_template(template: str, values: dict[str, str]) -> str:
    """Return a template with its fields filled in; a line with a field that is empty is left out."""
    lines = []
    for line in template.split("\n"):
        if all(values[field] for field in _fields(line, "template")):
            lines.append(line.format_map(values))
    return "\n".join(lines)


def _fields(line: str, name: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(line))
    except ValueError as error:
        raise ConfigError(f"{name}: {error} in {line!r}; a brace itself is written {{{{ or }}}}") from error
    for _, field, spec, conversion in parts:
        if field is not None and (spec or conversion):
            raise ConfigError(f"{name}: a field is a name in braces and nothing else: {line!r}")
    return [field for _, field, _, _ in parts if field is not None]
