"""Output: results to standard output, everything else to standard error.

Names, messages and lines of logs come from elsewhere. They are shown as they are written: the terminal library reads no
markup in them, and what would act on a terminal is escaped (`vigil_contracts.text`). All output of the command line
therefore goes through the consoles and the `Line` of this module; a test finds what does not.
"""

from collections.abc import Iterable
from typing import Any, Self

from rich.console import Console
from rich.style import Style
from rich.text import Text

from vigil_cli.manifests import Finding, Severity
from vigil_contracts.text import printable

KEPT = "\n\t"
"""Characters of layout that our own lines hold."""


class Line(Text):
    """A text with styles whose characters are shown as they are written.

    Parameters
    ----------
    keep
        Unsafe characters that are layout, such as `KEPT`.
    """

    def __init__(self, text: str = "", style: str | Style = "", *, keep: str = "", **options: Any) -> None:  # noqa: ANN401 - rich's options
        super().__init__(printable(text, keep=keep), style, **options)

    @classmethod
    def of(cls, *parts: Text | str | tuple[str, str]) -> "Line":
        """Return a line of texts, each by itself or with its style."""
        line = cls()
        for part in parts:
            line.append(*part) if isinstance(part, tuple) else line.append(part)
        return line

    def append(self, text: Text | str, style: str | Style | None = None) -> Self:
        """Add a text at the end."""
        super().append(printable(text) if isinstance(text, str) else text, style)
        return self


class PlainConsole(Console):
    """A console that takes every text as it is written."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - rich's options
        super().__init__(markup=False, emoji=False, highlight=False, soft_wrap=True, **options)

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - rich's options
        """Return a string as a text; rich calls this for each string that is printed or in a table."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})

    def print_document(self, text: str) -> None:
        """Print a JSON document; what is escaped in it means the same to a program."""
        self.print(Line(text, keep="\n"), soft_wrap=True)


out = PlainConsole()
err = PlainConsole(stderr=True)

MARKS = {Severity.ERROR: ("error", "bold red"), Severity.WARNING: ("warning", "bold yellow")}


def show_error(message: str) -> None:
    """Show one error."""
    err.print(Line.of(("vigil: ", "bold red"), Line(message, keep=KEPT)))


def show_findings(findings: Iterable[Finding]) -> None:
    """Show findings about manifests, each with its position and its line, the value marked."""
    for finding in findings:
        word, style = MARKS[finding.severity]
        where = f"{finding.path}: " if finding.path else ""
        position = f"{finding.file}:{finding.line}:{finding.column}: "
        err.print(Line.of((position, "bold"), (f"{word}: ", style), (where, "cyan"), finding.message))
        if finding.excerpt.strip():
            _excerpt(finding, style)


def _excerpt(finding: Finding, style: str, width: int = 110) -> None:
    """Show the part of the line around the column, without the indentation that all of it shares."""
    line = finding.excerpt.replace("\t", " ").rstrip()
    indent = len(line) - len(line.lstrip())
    start = max(indent, finding.column - 1 - width // 2)
    shown = ("…" if start > indent else "") + printable(line[start : start + width])
    before = max(0, finding.column - 1 - start)
    offset = len(printable(line[start : start + before])) + (start > indent)
    err.print(Line.of((f"  {finding.line:>4} │ ", "dim"), shown))
    err.print(Line.of(("       │ ", "dim"), " " * offset, ("^", style)))
