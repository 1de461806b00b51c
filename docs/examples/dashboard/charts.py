"""Figures with their intervals. An estimate without its interval says more than is known, so there is no such mark."""

import altair as alt
import pandas as pd
from marts import Figure

INK, BAND = "#3b5b92", "#a9bcdc"


def cohorts(rows: pd.DataFrame, figure: Figure) -> alt.LayerChart:
    """Show a period: a point and a line per cohort, the widest cohorts first."""
    shown = rows[rows.estimate.notna()]
    order = list(shown.cohort)
    place = alt.Y("cohort:N", sort=order, title=None, axis=alt.Axis(labelLimit=240))
    base = alt.Chart(shown).encode(y=place, tooltip=_tooltip(figure))
    interval = base.mark_rule(color=BAND, strokeWidth=6, strokeCap="round").encode(
        x=alt.X("estimate_low:Q", title=None, axis=_axis(figure), scale=alt.Scale(zero=True)), x2="estimate_high:Q"
    )
    point = base.mark_circle(color=INK, size=70, opacity=1).encode(x="estimate:Q")
    return (interval + point).properties(height=30 * len(order))


def history(rows: pd.DataFrame, figure: Figure) -> alt.LayerChart:
    """Show one cohort over time: a line in its band. A period that is withheld is a gap, not a guess."""
    base = alt.Chart(rows).encode(
        x=alt.X("period_start:T", title=None, axis=alt.Axis(format="%-d %b %Y", values=list(rows.period_start))),
        tooltip=_tooltip(figure),
    )
    band = base.mark_area(color=BAND, opacity=0.6).encode(
        y=alt.Y("estimate_low:Q", title=None, axis=_axis(figure), scale=alt.Scale(zero=False)), y2="estimate_high:Q"
    )
    line = base.mark_line(color=INK, point=alt.OverlayMarkDef(color=INK)).encode(y="estimate:Q")
    return (band + line).properties(height=220)


def _axis(figure: Figure) -> alt.Axis:
    return alt.Axis(format="%" if figure.is_share else ",~r", tickCount=8)


def _tooltip(figure: Figure) -> list[alt.Tooltip]:
    form = ".1%" if figure.is_share else ",.3~f"
    return [
        alt.Tooltip("cohort:N"),
        alt.Tooltip("period_start:T", title="week of", format="%-d %b %Y"),
        alt.Tooltip("estimate:Q", format=form),
        alt.Tooltip("estimate_low:Q", title="from", format=form),
        alt.Tooltip("estimate_high:Q", title="to (95 %)", format=form),
    ]
