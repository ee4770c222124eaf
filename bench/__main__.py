"""`python -m bench`: measure, show, and keep the figures."""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from bench.catalogue import PARTS
from bench.context import ROOT, Bench, Settings
from bench.figures import Row
from bench.page import write_page
from bench.parts import Part, run_part
from bench.results import document, load, merge, save
from bench.table import terminal_table

RESULTS = ROOT / "bench" / "results" / "latest.json"
PAGE = ROOT / "docs" / "performance.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen parts; return 0 when every part could be measured, else 1."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[part.name for part in PARTS])
    parser.add_argument("--seconds", type=float, help="length of one window (15; with --quick 6)")
    parser.add_argument("--quick", action="store_true", help="at most 4 minutes: short windows, fewer repetitions")
    parser.add_argument("--profile", action="store_true", help="also sample the programs with py-spy")
    options = parser.parse_args(arguments)
    if options.seconds is not None and not 1 <= options.seconds <= 300:
        parser.error("--seconds must lie between 1 and 300")
    settings = Settings(options.seconds or (6 if options.quick else 15), options.quick, options.profile)
    chosen = [part for part in PARTS if not options.only or part.name in options.only]
    bench = Bench(settings, Console())
    try:
        rows = [row for part in chosen for row in _run(part, bench)]
    finally:
        bench.clean()
    new = document(rows, {"seconds": settings.seconds, "quick": settings.quick}, bench.details)
    whole = merge(load(RESULTS), new, {part.name for part in chosen})
    save(whole, RESULTS)
    write_page(whole, PARTS, PAGE)
    bench.console.print(f"kept in {RESULTS.relative_to(ROOT)} and {PAGE.relative_to(ROOT)}")
    return 1 if any(row.failed for row in rows) else 0


def _run(part: Part, bench: Bench) -> list[Row]:
    with bench.console.status(part.title) as status:
        bench.show(status)
        rows = list(run_part(part, bench))
        bench.show(None)
    bench.console.print(terminal_table(part.title, rows))
    return rows


if __name__ == "__main__":
    sys.exit(main())
