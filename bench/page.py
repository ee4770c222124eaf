"""Writing docs/performance.md from the results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.parts import Part
from bench.table import MET, markdown_table, number

FINDINGS = Path(__file__).parent / "findings"
"""`<part>.md`: an analysis of the goals of a part; shown where one of them is missed."""

HEAD = """# Performance

Written by `make bench` on {date}; the figures are in [bench/results/latest.json](../bench/results/latest.json).
Everything runs on one machine: cameras, servers, programs and the bench itself.

{machine}
"""


def write_page(results: Mapping[str, Any], parts: Sequence[Part], path: Path) -> None:
    """Write the page."""
    path.write_text(render(results, parts))


def render(results: Mapping[str, Any], parts: Sequence[Part]) -> str:
    """Return the page's Markdown for results as `latest.json` holds them."""
    sections = [HEAD.format(date=results["date"][:10], machine=_machine(results)), _missed(results["rows"])]
    for part in parts:
        rows = [row for row in results["rows"] if row["part"] == part.name]
        if rows:
            sections.append(_section(part, rows, results["details"].get(part.name, {})))
    return "\n\n".join(section.strip() for section in sections if section.strip()) + "\n"


def _machine(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    facts = [
        ("machine", f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB"),
        ("system", f"Linux {machine['kernel']}, Python {machine['python']}"),
        ("versions", ", ".join(f"{name} {value}" for name, value in results["versions"].items())),
        ("video", str(results["details"].get("setup", {}).get("video", "—"))),
        ("length of a window", f"{results['settings']['seconds']:g} s"),
    ]
    return markdown_table(("", ""), facts)


def _missed(rows: Sequence[Mapping[str, Any]]) -> str:
    missed = [row for row in rows if row["ok"] is False]
    if not missed:
        return "Every goal is met." if any(row["ok"] for row in rows) else ""
    named = "\n".join(
        f"- {row['name']}: "
        + ("could not be measured" if row["value"] is None else f"{number(row['value'])} {row['unit']}")
        + (f", goal {row['goal']}" if row["goal"] else "")
        for row in missed
    )
    return f"Goals missed (the reasons are in the sections below):\n\n{named}"


def _section(part: Part, rows: Sequence[Mapping[str, Any]], details: Mapping[str, Any]) -> str:
    lines = [
        (
            row["name"],
            "failed" if row["value"] is None and row["ok"] is False else number(row["value"]),
            row["unit"],
            row["goal"] or "",
            MET[row["ok"]],
            row["note"],
        )
        for row in rows
    ]
    texts = [f"## {part.title}", part.about, markdown_table(("figure", "value", "unit", "goal", "met", "note"), lines)]
    texts += [_detail_table(name, table) for name, table in details.items() if _is_table(table)]
    finding = FINDINGS / f"{part.name}.md"
    if any(row["ok"] is False for row in rows) and finding.exists():
        texts.append(finding.read_text())
    return "\n\n".join(text.strip() for text in texts)


def _is_table(data: object) -> bool:
    """Return whether details are shown as a table: lists of like dicts; the rest stays in the JSON."""
    return isinstance(data, list) and bool(data) and all(isinstance(line, dict) for line in data)


def _detail_table(name: str, lines: Sequence[Mapping[str, Any]]) -> str:
    header = list(lines[0])
    cells = [[_cell(line.get(column)) for column in header] for line in lines]
    return f"**{name}**\n\n{markdown_table(header, cells)}"


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, int | float) else str(value if value is not None else "")
