"""YAML that remembers its lines, so that an error can name them."""

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from nadia.errors import ConfigurationError

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document's data and where in the text each part stands.

    Attributes
    ----------
    data : object
        The data, as `yaml.safe_load` returns it.
    shown : str
        The file's name for messages.
    lines : dict
        Line number, from 1, of each path.
    """

    data: object
    shown: str
    lines: dict[Path, int]

    def line_of(self, path: Path) -> int:
        """Return the line of a path, or of the nearest part around it that exists."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def existing_path(self, steps: Sequence[str | int]) -> Path:
        """Return the steps that exist in the document; pydantic adds some of its own for unions."""
        path: Path = ()
        for step in steps:
            if (*path, step) in self.lines:
                path = (*path, step)
        return path


def read_document(text: str, *, shown: str, hint: str) -> Document:
    """Parse one YAML document.

    Raises
    ------
    ConfigurationError
        If it is not YAML, is empty, or a key stands twice in one place; names the line.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise ConfigurationError(f"{shown}:{line}: {exc.problem or 'not YAML'}", hint=hint) from exc
    except (yaml.YAMLError, ValueError) as exc:
        raise ConfigurationError(f"{shown}: not YAML: {str(exc).splitlines()[0]}", hint=hint) from exc
    if root is None:
        raise ConfigurationError(f"{shown}:1: the file is empty", hint=hint)
    lines: dict[Path, int] = {}
    _note_lines(root, (), lines, shown)
    return Document(data, shown, lines)


def _note_lines(node: yaml.Node, path: Path, lines: dict[Path, int], shown: str) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_lines(item, (*path, index), lines, shown)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*path, str(key.value))
            line = key.start_mark.line + 1
            if below in lines:
                raise ConfigurationError(
                    f"{shown}:{line}: {'.'.join(map(str, below))} stands here again, first on line {lines[below]}",
                    hint="keep one of the two",
                )
            lines[below] = line
            _note_lines(value, below, lines, shown)
