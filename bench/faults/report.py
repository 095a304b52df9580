"""What a row came to, for people and for programs."""

from __future__ import annotations

from typing import Any

from faults.row import Figure, Outcome


def text(outcome: Outcome) -> str:
    """Faults, jobs, figures, targets and the verdict; the evidence when it fell short."""
    row = outcome.row
    form = "full" if outcome.is_full else "short"
    mutant = f", mutant {outcome.mutant}" if outcome.mutant else ""
    lines = [
        f"{row.name} {row.title}: {row.fault}",
        f"  {form} form, {outcome.seconds:g} s, seed {outcome.seed}{mutant}",
    ]
    for figure in outcome.figures:
        verdict = (
            "" if figure.holds() else ("  SHORT" if _decides(outcome, figure) else "  (short)")
        )
        lines.append(f"  {figure.name:<44} {number(figure):>14}  {figure.target}{verdict}")
    if short := outcome.short_of():
        lines.append(f"  FELL SHORT: {', '.join(figure.name for figure in short)}")
        lines += [f"    {line}" for line in outcome.evidence]
    else:
        lines.append("  held")
    return "\n".join(lines)


def document(outcome: Outcome) -> dict[str, Any]:
    """As JSON."""
    return {
        "row": outcome.row.name,
        "title": outcome.row.title,
        "seed": outcome.seed,
        "seconds": outcome.seconds,
        "full": outcome.is_full,
        "mutant": outcome.mutant,
        "held": not outcome.short_of(),
        "figures": [
            {
                "name": figure.name,
                "value": figure.value,
                "target": figure.target,
                "unit": figure.unit,
                "holds": figure.holds(),
            }
            for figure in outcome.figures
        ],
        "evidence": outcome.evidence,
    }


def number(figure: Figure) -> str:
    """Its value, with the unit."""
    return f"{figure.value:,.3f}".rstrip("0").rstrip(".") + figure.unit


def _decides(outcome: Outcome, figure: object) -> bool:
    return figure in outcome.short_of()
