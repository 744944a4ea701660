"""Neurons and their networks.

Equations, parameters and starts are those of dysts 0.96, copyright 2021–2025 William
Gilpin, under the Apache License 2.0. Changed: generated from its source, written for
JAX with a vector of coordinates, one class a system, equations in words of mathematics.
"""

import jax.numpy as jnp

from dynax._types import Numbers, ScalarLike
from dynax.zoo._base import Flow, point


class ForcedFitzHughNagumo(Flow):
    """A driven neuron model sustaining both quiescent and oscillating states.

        v̇ = v − v³/3 − w + curr + f sin(z)
        ẇ = γ(v + a − bw)
        ż = ω

    Source: FitzHugh, Richard (1961). Impulses and Physiological States in Theoretical
    Models of Nerve Membrane. Biophysical Journal. 1 (6).
    """

    a: ScalarLike = 0.7
    b: ScalarLike = 0.8
    curr: ScalarLike = 0.965
    f: ScalarLike = 0.4008225
    gamma: ScalarLike = 0.08
    omega: ScalarLike = 0.043650793650793655
    start = point(-1.2155252, -0.046470891, 0.0)
    period = 42.12235294117647

    @staticmethod
    def rates(state, a, b, curr, f, gamma, omega):
        v, w, z = state
        return v - v**3 / 3 - w + curr + f * jnp.sin(z), gamma * (v + a - b * w), omega


class HindmarshRose(Flow):
    """A neuron model exhibiting spiking and bursting.

        ẋ = −x + 1/tx·y − a/tx·x³ + b/tx·x² + 1/tx·z
        ẏ = −ax³ − (d − b)x² + z
        ż = (−s/tz)x − 1/tz·z + c/tz

    Source: Marhl, Perc. Chaos, Solitons, Fractals 2005.
    """

    a: ScalarLike = 0.49
    b: ScalarLike = 1.0
    c: ScalarLike = 0.0322
    d: ScalarLike = 1.0
    s: ScalarLike = 1.0
    tx: ScalarLike = 0.03
    tz: ScalarLike = 0.8
    start = point(0.031111835, -0.021557059, 0.041475046)
    period = 1.752
    resolution = 2000

    @staticmethod
    def rates(state, a, b, c, d, s, tx, tz):
        x, y, z = state
        return (
            -x + 1 / tx * y - a / tx * x**3 + b / tx * x**2 + 1 / tx * z,
            -a * x**3 - (d - b) * x**2 + z,
            -s / tz * x - 1 / tz * z + c / tz,
        )


class BeerRNN(Flow):
    """A two-neuron minimal model nervous system.

        τᵢẋᵢ = −xᵢ + Σⱼ wᵢⱼ s(xⱼ + θⱼ),  s(x) = 1/(1 + exp(−x))

    Source: Beer, R. D. (1995). On the dynamics of small continuous-time recurrent
    neural networks. Adapt. Behav., 3(4), 4692013509.
    """

    tau: Numbers = (1.0, 2.5, 1.0)
    theta: Numbers = (-4.108, -2.787, -1.114)
    w: Numbers = ((5.422, -0.018, 2.75), (-0.24, 4.59, 1.21), (0.535, -2.25, 3.885))
    start = point(1.5014532, 2.3742845, 0.65819415)
    period = 181.58

    @staticmethod
    def rates(state, tau, theta, w):
        return (-state + w @ (1 / (1 + jnp.exp(-state - theta)))) / tau


class Hopfield(Flow):
    """A neural network with frustrated connectivity.

        ẋᵢ = −xᵢ/τ + ½(1 + tanh(ε Σⱼ kᵢⱼxⱼ)) − β

    Source: Lewis & Glass, Neur Comp (1992).
    """

    beta: ScalarLike = 0.5
    eps: ScalarLike = 10.0
    k: Numbers = (
        (0.0, -1.0, 0.0, 0.0, -1.0, -1.0),
        (0.0, 0.0, 0.0, -1.0, -1.0, -1.0),
        (-1.0, -1.0, 0.0, 0.0, -1.0, 0.0),
        (-1.0, -1.0, -1.0, 0.0, 0.0, 0.0),
        (-1.0, -1.0, 0.0, -1.0, 0.0, 0.0),
        (0.0, -1.0, -1.0, -1.0, 0.0, 0.0),
    )
    tau: ScalarLike = 2.5
    start = point(
        -0.67127393, -0.2420173, -0.055676628, 0.34697948, 0.45273118, 0.78389688
    )
    period = 10.865

    @staticmethod
    def rates(state, beta, eps, k, tau):
        return -state / tau + (1 + jnp.tanh(eps * (k @ state))) / 2 - beta
