"""Output: results to standard output, everything else to standard error."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from vigil_cli.manifests import Finding, Severity

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

MARKS = {Severity.ERROR: ("error", "bold red"), Severity.WARNING: ("warning", "bold yellow")}


def show_error(message: str) -> None:
    """Show one error."""
    err.print(Text.assemble(("vigil: ", "bold red"), message))


def show_findings(findings: Iterable[Finding]) -> None:
    """Show findings about manifests, each with its position and its line, the value marked."""
    for finding in findings:
        word, style = MARKS[finding.severity]
        where = f"{finding.path}: " if finding.path else ""
        position = f"{finding.file}:{finding.line}:{finding.column}: "
        err.print(Text.assemble((position, "bold"), (f"{word}: ", style), (where, "cyan"), finding.message))
        if finding.excerpt.strip():
            _excerpt(finding, style)


def _excerpt(finding: Finding, style: str, width: int = 110) -> None:
    """Show the part of the line around the column, without the indentation that all of it shares."""
    line = finding.excerpt.replace("\t", " ").rstrip()
    indent = len(line) - len(line.lstrip())
    start = max(indent, finding.column - 1 - width // 2)
    shown = ("…" if start > indent else "") + line[start : start + width]
    offset = max(0, finding.column - 1 - start) + (start > indent)
    err.print(Text.assemble((f"  {finding.line:>4} │ ", "dim"), shown))
    err.print(Text.assemble(("       │ ", "dim"), " " * offset, ("^", style)))
