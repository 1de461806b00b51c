"""Noise and what it costs: the discrete Gaussian mechanism of OpenDP, accounted in zCDP.

Formulas are from Canonne, Kamath and Steinke 2020, "The Discrete Gaussian for Differential Privacy" (CKS).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import opendp.prelude as dp

from quorum.errors import BadInput

dp.enable_features("contrib")

_I64_END = 2**63


def gaussian_scale(sensitivity: Fraction | float, rho: Decimal) -> float:
    """Return the least standard deviation whose noise makes an integer vector rho-zCDP.

    ``sensitivity`` is the L2 distance between the vectors of neighbouring inputs, in units of the vector.
    It is rounded up to a float and rho down, so the loss that OpenDP proves is never above rho.
    Raises BadInput unless both are positive and finite.
    """
    if not 0 < sensitivity < math.inf:
        raise BadInput(f"a sensitivity must be positive and finite, not {sensitivity}")
    if not (rho.is_finite() and rho > 0):
        raise BadInput(f"rho must be positive and finite, not {rho}")
    d_in, d_out = _float_above(Fraction(sensitivity)), -_float_above(-Fraction(rho))
    return float(dp.binary_search_param(_gaussian, d_in=d_in, d_out=d_out))


def discrete_gaussian(values: Sequence[int], scale: float) -> list[int]:
    """Add independent discrete Gaussian noise to each of the values (64-bit integers, same length out).

    ``scale`` is the sigma of CKS definition 1, in units of the values. A sum that leaves 64 bits stops there.
    Raises BadInput for a scale that is no noise, and for a value that is no 64-bit integer (not shown).
    """
    if not 0 < scale < math.inf:  # OpenDP takes 0 and returns the exact values
        raise BadInput(f"a noise scale must be positive and finite, not {scale}")
    if not all(type(value) is int and -_I64_END <= value < _I64_END for value in values):
        raise BadInput("only 64-bit integers can be given noise")
    return list(_gaussian(scale)(list(values)))


def epsilon(rho: Decimal, delta: float) -> float:
    """Return the least epsilon for which rho-zCDP is known to imply (epsilon, delta)-DP.

    It is the infimum over alpha > 1 of ``rho*alpha + log(1/(alpha*delta))/(alpha-1) + log(1-1/alpha)``
    (CKS corollary 13), as OpenDP solves it. Raises BadInput unless rho > 0 and 0 < delta < 1.
    """
    if not (rho.is_finite() and rho > 0):
        raise BadInput(f"rho must be positive and finite, not {rho}")
    if not 0 < delta < 1:
        raise BadInput(f"delta must lie between 0 and 1, not {delta}")
    # At scale 1 a distance d costs d*d/2. One float further than the root, it costs no less than rho.
    distance = math.nextafter(math.sqrt(2 * _float_above(Fraction(rho))), math.inf)
    return float(dp.c.make_zCDP_to_approxDP(_gaussian(1.0)).map(distance).epsilon(delta))


def tail(z: float, scale: float) -> float:
    """Return an upper bound on P(X >= z*scale) for discrete Gaussian noise X of this scale, at least 1.

    X is an integer, so the event is X >= m with m = ceil(z*scale) >= 1. Then P(X >= m) <= P(Y >= m - 1) for
    the continuous Gaussian Y of the same scale (CKS, tail bounds). Proof: f(x) = exp(-x*x / (2*scale*scale))
    falls, so its sum over k >= m is at most its integral from m - 1; by Poisson summation its sum over all
    integers is at least its whole integral, scale*sqrt(2*pi). The two probabilities are the quotients.
    The shift by one costs a factor of about exp(z/scale); its slack outweighs the rounding of erfc.
    Raises BadInput unless 0 < z <= 30 and 1 <= scale < 1e9.
    """
    if not 0 < z <= 30:
        raise BadInput(f"a gate must lie above 0 and at most 30 standard deviations out, not {z}")
    if not 1 <= scale < 1e9:
        raise BadInput(f"a tail is bounded for scales from 1 to 1e9, not {scale}")
    m = math.ceil(Fraction(z) * Fraction(scale))
    return math.erfc((m - 1) / scale / math.sqrt(2)) / 2


def shifted_tail(tail: float, rho: Decimal) -> float:
    """Return an upper bound on P(X + s >= x), where P(X >= x) <= tail < 1 and noise X and X + s are rho apart in zCDP.

    By the definition of zCDP the Renyi divergence of order a > 1 is at most rho*a, so an event of probability q has
    at most ``exp(rho*a) * q`` to the power (a - 1)/a in the shifted world. The best a, sqrt(log(1/q) / rho), makes that
    ``exp(-(sqrt(log(1/q)) - sqrt(rho))**2)``. Where that a is no order, the bound is 1.
    """
    surprise, shift = math.sqrt(-math.log(tail)), math.sqrt(rho)
    return math.exp(-((surprise - shift) ** 2)) * (1 + 1e-9) if shift < surprise else 1.0


def randomised_response(choices: Sequence[str], truth: float, epsilon: Decimal) -> Callable[[str], str]:
    """Return the mechanism of the local model: a choice in, the same one with probability ``truth`` or another one out.

    Raises BadInput where OpenDP cannot prove it epsilon-DP.
    """
    measurement = dp.m.make_randomized_response(list(choices), truth)
    if measurement.map(1) > epsilon:
        raise BadInput(f"no randomised response of epsilon {epsilon} over these choices can be proven")
    return measurement  # type: ignore[no-any-return]  # OpenDP has no types


def _gaussian(scale: float) -> Any:
    return dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64"), scale)


def _float_above(exact: Fraction) -> float:
    nearest = float(exact)
    return nearest if nearest >= exact else math.nextafter(nearest, math.inf)
