import math
import statistics
from decimal import Decimal
from fractions import Fraction

import opendp.prelude as dp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.errors import BadInput
from quorum.mechanisms import discrete_gaussian, epsilon, gaussian_scale, tail
from quorum.policy import MAX_RHO

TOP = 2**63 - 1


def proven_loss(sensitivity: float, scale: float) -> Decimal:
    noise = dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64"), scale)
    return Decimal(noise.map(sensitivity))


@settings(max_examples=25, deadline=None)
@given(
    st.fractions(min_value=Fraction(1, 100), max_value=10**7),
    st.decimals(min_value=Decimal("0.0001"), max_value=10, places=4),
)
def test_the_proven_loss_is_within_rho_and_no_noise_is_wasted(sensitivity: Fraction, rho: Decimal) -> None:
    scale = gaussian_scale(sensitivity, rho)
    rounded_up = math.nextafter(float(sensitivity), math.inf)
    assert proven_loss(float(sensitivity), scale) <= rho
    assert proven_loss(rounded_up, scale * (1 - 1e-12)) > rho
    assert math.isclose(scale, float(sensitivity) / math.sqrt(2 * rho), rel_tol=1e-12)


def test_a_fraction_no_float_can_hold_is_rounded_against_us() -> None:
    third = Fraction(1, 3)
    assert Fraction(float(third)) < third, "else this test shows nothing"
    assert gaussian_scale(third, Decimal("0.05")) > gaussian_scale(float(third), Decimal("0.05"))


def test_calibration_is_monotonic() -> None:
    by_sensitivity = [gaussian_scale(s, Decimal("0.05")) for s in (0.5, 1, 2, Fraction(121, 2), 1000)]
    by_rho = [gaussian_scale(1.0, Decimal(rho)) for rho in ("0.01", "0.03", "0.05", "1")]
    assert by_sensitivity == sorted(set(by_sensitivity))
    assert by_rho == sorted(set(by_rho), reverse=True)


def spread(scale: float) -> float:
    return statistics.pstdev(discrete_gaussian([1_000_000] * 20_000, scale), mu=1_000_000)


@pytest.mark.parametrize(("planted", "passes"), [(1.0, True), (1.25, False), (0.8, False)])
def test_noise_has_the_calibrated_spread(planted: float, passes: bool) -> None:
    # 20,000 draws: the spread is within 3 % unless a six-sigma accident happens.
    scale = gaussian_scale(Fraction(121, 2), Decimal("0.05"))
    assert (abs(spread(scale * planted) / scale - 1) < 0.03) is passes


def test_noise_is_centred_independent_and_whole() -> None:
    noise = discrete_gaussian([0] * 20_000, 50.0)
    assert all(type(value) is int for value in noise)
    assert abs(statistics.fmean(noise)) < 6 * 50 / math.sqrt(20_000)
    lagged = statistics.correlation(noise[:-1], noise[1:])
    assert abs(lagged) < 6 / math.sqrt(20_000)


def test_each_call_draws_anew() -> None:
    assert discrete_gaussian([0] * 50, 100.0) != discrete_gaussian([0] * 50, 100.0)


def test_all_64_bit_integers_are_taken_and_sums_stop_at_the_ends() -> None:
    assert all(-TOP - 1 <= value <= TOP for value in discrete_gaussian([TOP, -TOP - 1] * 50, 1e6))
    assert max(discrete_gaussian([TOP] * 50, 1e6)) == TOP
    assert discrete_gaussian([], 1.0) == []


@pytest.mark.parametrize("value", [TOP + 1, -TOP - 2, 1.5, True, None])
def test_other_values_are_refused_unseen(value: int) -> None:
    with pytest.raises(BadInput, match=r"^only 64-bit integers can be given noise$"):
        discrete_gaussian([0, value], 1.0)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_without_noise_is_refused(scale: float) -> None:
    with pytest.raises(BadInput, match="noise scale"):
        discrete_gaussian([1], scale)


@pytest.mark.parametrize("sensitivity", [0.0, -1.0, math.nan, math.inf, Fraction(0)])
def test_a_sensitivity_that_bounds_nothing_is_refused(sensitivity: float) -> None:
    with pytest.raises(BadInput, match="sensitivity"):
        gaussian_scale(sensitivity, Decimal("0.05"))


@pytest.mark.parametrize("rho", ["0", "-0.05", "NaN", "Infinity"])
def test_a_rho_that_is_no_loss_is_refused(rho: str) -> None:
    with pytest.raises(BadInput, match="rho"):
        gaussian_scale(1.0, Decimal(rho))
    with pytest.raises(BadInput, match="rho"):
        epsilon(Decimal(rho), 1e-7)


def epsilon_by_formula(rho: float, delta: float) -> float:
    """CKS corollary 13, minimised over a fine grid of alpha: an upper bound that nearly touches."""
    alphas = (1 + math.exp(step / 2000) for step in range(-16_000, 16_000))
    return min(rho * a + math.log(1 / (a * delta)) / (a - 1) + math.log1p(-1 / a) for a in alphas)


@pytest.mark.parametrize("rho", ["0.001", "0.03", "0.05", "0.65", "2.6", "10"])
@pytest.mark.parametrize("delta", [9e-8, 1e-6])
def test_epsilon_is_the_infimum_over_alpha(rho: str, delta: float) -> None:
    assert epsilon(Decimal(rho), delta) == pytest.approx(epsilon_by_formula(float(rho), delta), rel=1e-6)


@pytest.mark.parametrize(("weeks", "stated"), [(1, 1.6), (13, 6.6), (52, 14.7)])
def test_epsilon_of_the_default_budget_is_as_stated(weeks: int, stated: float) -> None:
    assert round(epsilon(weeks * Decimal("0.05"), 9e-8), 1) == stated


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-7, math.nan])
def test_a_delta_that_is_no_probability_is_refused(delta: float) -> None:
    with pytest.raises(BadInput, match="delta"):
        epsilon(Decimal("0.05"), delta)


def exact_tail(z: float, scale: float) -> float:
    """P(X >= z*scale) of the discrete Gaussian by summing its mass, all of it within 12 scales."""
    last = math.ceil(12 * scale)
    mass = [math.exp(-k * k / (2 * scale * scale)) for k in range(last + 1)]
    first = math.ceil(Fraction(z) * Fraction(scale))
    return math.fsum(mass[first:]) / (2 * math.fsum(mass) - 1)


@pytest.mark.parametrize("scale", [1.0, 1.5, 4.0, 22.36, 191.3, 5000.0])
@pytest.mark.parametrize("z", [0.5, 1.0, 3.0, 5.6, 6.0])
def test_tail_bounds_the_discrete_gaussian(z: float, scale: float) -> None:
    assert exact_tail(z, scale) <= tail(z, scale) <= exact_tail(z, scale) * math.exp(2 * (z + 1) / scale)


def test_the_continuous_tail_would_not_bound_it() -> None:
    # 5.5 scales fall just on an integer, so the discrete event holds all its mass there.
    assert exact_tail(5.5, 2.0) > math.erfc(5.5 / math.sqrt(2)) / 2


def test_gate_delta_is_about_one_in_a_hundred_million() -> None:
    assert tail(5.6, 1e8) == pytest.approx(1.0718e-8, rel=1e-4)
    assert tail(5.6, 191.3) < 1.12e-8


@pytest.mark.parametrize(("z", "scale"), [(0.0, 10.0), (31.0, 10.0), (math.nan, 10.0), (5.6, 0.9), (5.6, 1e9)])
def test_a_tail_outside_the_proof_is_refused(z: float, scale: float) -> None:
    with pytest.raises(BadInput):
        tail(z, scale)


def test_laplace_noise_never_has_less_variance_where_a_release_may_be() -> None:
    """Of one number of sensitivity 1: 2 / epsilon^2 for Laplace noise, 1 / (2 * rho) for Gaussian noise of that rho.

    Laplace noise costs at least the relative entropy of two densities one apart: the Renyi divergence of order 1.
    """
    for epsilon_ in (n / 100 for n in range(1, 250)):
        rho = epsilon_ - 1 + math.exp(-epsilon_)
        assert 2 / epsilon_**2 > 1 / (2 * rho)
    assert rho > 10 * float(max(MAX_RHO.values())), "what no answer may cost"
