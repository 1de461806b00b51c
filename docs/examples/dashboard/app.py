"""Benchmarks in Streamlit: `streamlit run app.py -- W/published`, with W the workspace."""

import sys
from pathlib import Path

import charts
import streamlit as st
from marts import Benchmarks, Figure, newest

LOOKS_EVERY_SECONDS = 30  # for a new release
REASONS = {
    "ineligible": "too few organisations or users to hide in",
    "imprecise": "the noise would drown the figure",
    "budget": "the privacy budget had no room for the question",
}
PUBLISHED = Path(sys.argv[1] if len(sys.argv) > 1 else "published")


@st.cache_resource(max_entries=2, show_spinner=False)
def opened(release: Path) -> Benchmarks:
    """Open a release once for all who look; the one before stays open for who is still being shown it."""
    return Benchmarks(release)


@st.fragment(run_every=LOOKS_EVERY_SECONDS)
def follow(shown: Path) -> None:
    """Look for a new release now and then, and show that instead."""
    if newest(PUBLISHED) != shown:
        st.rerun()
    st.caption(f"Release `{shown.name}`; a newer one is shown within {LOOKS_EVERY_SECONDS} seconds of its publication.")


def choose(figures: list[Figure]) -> Figure:
    release = st.sidebar.selectbox("Release", list(dict.fromkeys(each.release for each in figures)))
    of_release = [each for each in figures if each.release == release]
    return st.sidebar.selectbox("Figure", of_release, format_func=lambda each: each.name)


st.set_page_config("Benchmarks", "📊", layout="wide")
release = newest(PUBLISHED)
benchmarks = opened(release)
figure = choose(benchmarks.figures())
rows = benchmarks.rows(figure)
facts = benchmarks.facts(figure)
periods = sorted(rows.period_start.unique(), reverse=True)
period = st.sidebar.selectbox("Week of", periods, format_func=lambda day: f"{day:%-d %B %Y}")
of_period = rows[rows.period_start == period]
withheld = of_period[of_period.status != "released"]

st.title(figure.name.capitalize())
st.write(f"{figure.estimand.capitalize()}. Bars are 95 % intervals of the noise that protects users.")

if of_period.estimate.notna().any():
    st.altair_chart(charts.cohorts(of_period, figure))
else:
    st.info("No cohort has this figure in this week.")
if len(withheld):
    names = dict(zip(of_period.cohort_key, of_period.cohort, strict=True))
    with st.expander(f"{len(withheld)} of {len(of_period)} cohorts are withheld"):
        for row in withheld.itertuples():
            instead = f"; look at **{names[row.rolled_up_key]}** instead" if row.rolled_up_key in names else ""
            st.markdown(f"- **{row.cohort}**: {REASONS[row.status]}{instead}")

everyone = rows[rows.cohort_level == "all"]
if everyone.estimate.notna().sum() > 1:
    st.subheader("All cohorts over time")
    st.altair_chart(charts.history(everyone, figure))

st.subheader("What protects users")
for place, (label, value, told) in zip(
    st.columns(4),
    [
        ("Epsilon", f"{facts['epsilon']:.2f}", f"of {facts['unit']}, for all figures of `{facts['release']}` together"),
        ("Delta", f"{facts['delta']:.0e}", "probability that the bound on epsilon does not hold"),
        ("Least contributors", f"{facts['min_tenants']}", "of each cohort that is shown"),
        ("Tolerance", f"± {facts['tolerance_points']:g} pt", "of the metric's range; a wider interval is withheld"),
    ],
    strict=True,
):
    place.metric(label, value)
    place.caption(told)
st.caption(
    "Noise is drawn once for each figure: to look again, to filter or to subtract tells no more of anybody than that. "
    "Put no exact figures of several organisations beside these."
)
follow(release)
