"""Deep linear networks, their equations, and one student of a noisy teacher."""

import functools

import diffrax
import jax
import jax.numpy as jnp

from dynax.landscape import deep_linear as dl


STRENGTHS = (4.0, 3.0, 2.0, 1.0)


STARTS = {2: 1e-3, 3: 2e-2, 4: 2e-2}  # depth → u₀ of every mode


HORIZON = 6.0


SIGNAL, NOISE = 1.0, 0.25


def target(strengths=STRENGTHS, seed=0):
    """A square matrix with these singular values, in random directions."""
    n = len(strengths)
    a = jax.random.normal(jax.random.key(seed), (2, n, n))
    u, v = jnp.linalg.qr(a)[0]
    return (u * jnp.asarray(strengths)[None]) @ v.T


def run(scale, seed, lr=2e-3, steps=6000, width=64) -> dict:
    """Two layers from small random weights, not aligned: when each mode is half learnt.

    `predicted` is the closed form from where the growing part of a mode begins: early
    on p = (W₁v + W₂ᵀu)/2 grows as e^(st), so u₀ = ‖p‖². In a wide hidden layer the p of
    different modes are nearly orthogonal.
    """
    y = target((4.0, 3.5, 3.0, 2.5, 2.0, 1.6, 1.3, 1.0))
    k1, k2 = jax.random.split(jax.random.key(seed))
    weights = [
        scale * jax.random.normal(k1, (width, y.shape[0])),
        scale * jax.random.normal(k2, (y.shape[0], width)),
    ]
    u, s, vt = jnp.linalg.svd(y)
    p = (weights[0] @ vt.T + weights[1].T @ u) / 2
    predicted = dl.half_time(s, jnp.sum(p**2, axis=0))

    def step(weights, _):
        grads = jax.grad(dl.loss)(weights, y)
        after = [w - lr * g for w, g in zip(weights, grads, strict=True)]
        return after, jnp.diag(u.T @ dl.product(weights) @ vt.T) / s

    _, learnt = jax.lax.scan(step, weights, length=steps)
    half = lr * jnp.argmax(learnt > 0.5, axis=0).astype(s.dtype)
    product = half * s
    return {
        "half": half,
        "predicted": predicted,
        "variation": jnp.std(product) / jnp.mean(product),
        "learnt": learnt[-1],
    }


@functools.partial(jax.jit, static_argnames=("depth", "steps", "saves"))
def descend(depth, lr, steps, saves=200):
    """Gradient descent on aligned weights: the time and modes at `saves` moments."""
    y = target()
    weights = dl.aligned(y, STARTS[depth], depth)

    def step(weights, _):
        grads = jax.grad(dl.loss)(weights, y)
        return [w - lr * g for w, g in zip(weights, grads, strict=True)], None

    def group(weights, _):
        weights, _ = jax.lax.scan(step, weights, length=steps // saves)
        return weights, dl.modes(weights, y)

    modes = jax.lax.scan(group, weights, length=saves)[1]
    return lr * (steps // saves) * jnp.arange(1, saves + 1), modes


@jax.jit
def solve(depths, powers, ts):
    """u̇ = D·u^power·(s − u), a row of `depths` and `powers` for each start."""
    start = jnp.asarray(list(STARTS.values()) * 2)[: depths.size]
    s = jnp.asarray(STRENGTHS)
    field = lambda t, u, args: depths[:, None] * u ** powers[:, None] * (s[None] - u)
    return diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        0.0,
        ts[-1],
        None,
        jnp.tile(start[:, None], s.size),
        saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=diffrax.PIDController(rtol=1e-10, atol=1e-12),
        max_steps=100_000,
    ).ys


@jax.jit
@jax.vmap
def drift(rates):
    """How far the conserved matrices of three random layers move along the flow, over
    how far W₁W₁ᵀ does. Unequal `rates` of the layers break the law."""
    y = target()
    keys = jax.random.split(jax.random.key(3), 3)
    start = [0.5 * jax.random.normal(k, y.shape) for k in keys]

    def field(t, weights, args):
        grads = jax.grad(dl.loss)(weights, y)
        return [-r * g for r, g in zip(rates, grads, strict=True)]

    end = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        0.0,
        HORIZON,
        None,
        start,
        stepsize_controller=diffrax.PIDController(rtol=1e-10, atol=1e-12),
        max_steps=100_000,
    ).ys
    assert end is not None
    end = [w[-1] for w in end]
    pairs = zip(dl.conserved(start), dl.conserved(end), strict=True)
    moved = jnp.stack([jnp.max(jnp.abs(b - a)) for a, b in pairs])
    grown = end[0] @ end[0].T - start[0] @ start[0].T
    return jnp.max(moved) / jnp.max(jnp.abs(grown))


def student(size, load, key, ts):
    """Test error at `ts` of one student: gradient flow on one drawn training set."""
    kx, kw, ke, ks = jax.random.split(key, 4)
    samples = round(load * size)
    x = jax.random.normal(kx, (size, samples)) / size**0.5
    teacher = jax.random.normal(kw, (size,)) * (SIGNAL / 2) ** 0.5
    first = jax.random.normal(ks, (size,)) * (SIGNAL / 2) ** 0.5
    noise = jax.random.normal(ke, (samples,)) * NOISE**0.5
    values, basis = jnp.linalg.eigh(x @ x.T)
    values = jnp.where(values > 1e-10, values, 0)
    away, force = basis.T @ (first - teacher), basis.T @ (x @ noise)

    def at(t):
        gain = -jnp.expm1(-values * t) / jnp.where(values > 0, values, 1)
        apart = jnp.exp(-values * t) * away + gain * force
        return jnp.mean(apart**2) + NOISE

    return jax.vmap(at)(ts)
