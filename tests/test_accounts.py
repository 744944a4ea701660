"""Methods without a certificate: equal to their definitions, accounts that close.

The definitions are written here in NumPy, from the papers and the published code.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dynax as dx
from dynax.flow import Step

from . import laws
from .members import LR


STEPS = 12
ACCOUNTED = ["contra-muon", "nor-muon", "practical-muon"]


# --- the published definitions ------------------------------------------------------


def gradients(shape, seed=0):
    return np.random.default_rng(seed).standard_normal((STEPS, *shape))


def run(opt, x, grads, lr=LR):
    """The points of `opt` fed with the given gradients."""

    def body(carry, g):
        x, s = opt.step(*carry, g, lr)
        return (x, s), x

    return np.asarray(jax.lax.scan(body, (x, opt.init(x)), grads)[1])


def polar(m):
    u, _, vt = np.linalg.svd(m, full_matrices=False)
    return u @ vt


def momenta(grads, beta):
    """(μ₊, the look-ahead) of each step, in PyTorch's sign."""
    mu = np.zeros_like(grads[0])
    for g in grads:
        mu = beta * mu + (1 - beta) * g
        yield mu, beta * mu + (1 - beta) * g


def nor_muon(x, grads, beta=0.95, beta2=0.95, eps=1e-10):
    """zichongli5/NorMuon, normuon.py, for weights of shape (neurons, inputs)."""
    second, path = np.zeros((x.shape[0], 1)), []
    for _, ahead in momenta(grads, beta):
        update = polar(ahead)
        norm = np.linalg.norm(update)
        second = beta2 * second + (1 - beta2) * np.mean(update**2, -1, keepdims=True)
        update = update / (np.sqrt(second) + eps)
        update *= norm / (np.linalg.norm(update) + eps)
        x = x - LR * update * max(1, x.shape[0] / x.shape[1]) ** 0.5
        path.append(x)
    return np.stack(path)


def contra_muon(x, grads, contra=0.2, beta=0.95):
    """nilin/contra-muon: UVᵀ − contra·m̃/‖m̃‖_op."""
    path = []
    for _, ahead in momenta(grads, beta):
        x = x - LR * (polar(ahead) - contra * ahead / np.linalg.norm(ahead, 2))
        path.append(x)
    return np.stack(path)


def soft_muon(x, grads, power=0.3, beta=0.95):
    """UΣᵖVᵀ, divided by its length in the Schatten norm dual to ‖·‖_{1+p}."""
    path = []
    for _, ahead in momenta(grads, beta):
        u, sigma, vt = np.linalg.svd(ahead, full_matrices=False)
        step = sigma**power
        step /= np.sum(sigma ** (1 + power)) ** (power / (1 + power))
        x = x - LR * (u * step) @ vt
        path.append(x)
    return np.stack(path)


def mars(x, grads, gamma=0.025, b1=0.95, b2=0.99, eps=1e-8):
    """AGI-Arena/MARS, mars.py, MARS-AdamW with approximate gradients."""
    before, m, v, path = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x), []
    for k, g in enumerate(grads, 1):
        c = (g - before) * (gamma * b1 / (1 - b1)) + g
        c, before = c / max(1.0, np.linalg.norm(c)), g
        m, v = b1 * m + (1 - b1) * c, b2 * v + (1 - b2) * c * c
        root = np.sqrt(v) / np.sqrt(1 - b2**k) + eps
        x = x - LR * (1e-4 * x + m / (root * (1 - b1**k)))
        path.append(x)
    return np.stack(path)


def grams(x, grads, b1=0.9, b2=0.999, eps=1e-8):
    """Cao et al., Definition 4.1: sign(g)∘|Adam's step|."""
    m, v, path = np.zeros_like(x), np.zeros_like(x), []
    for k, g in enumerate(grads, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        size = np.abs(m / (1 - b1**k) / (np.sqrt(v / (1 - b2**k)) + eps))
        x = x - LR * np.sign(g) * size
        path.append(x)
    return np.stack(path)


def hyperball(x, grads, beta=0.9):
    """Wen et al.: R·N(W − ηR·N(u)) around momentum."""
    radius, path = np.linalg.norm(x), []
    for mu, _ in momenta(grads, beta):
        x = x - LR * radius * mu / np.linalg.norm(mu)
        x = radius * x / np.linalg.norm(x)
        path.append(x)
    return np.stack(path)


def outer(x, grads, every=3, eta=0.7, mu=0.6):
    """DiLoCo's outer step, torch.optim.SGD(nesterov=True), around gradient descent."""
    anchor, u, path = x, np.zeros_like(x), []
    for k, g in enumerate(grads, 1):
        x = x - LR * g
        if k % every == 0:
            gap = anchor - x
            u = mu * u + gap
            x = anchor = anchor - eta * (gap + mu * u)
        path.append(x)
    return np.stack(path)


DEFINITIONS = {
    "NorMuon": (dx.NorMuon(neurons="rows"), nor_muon),
    "ContraMuon": (dx.ContraMuon(), contra_muon),
    "SoftMuon": (dx.SoftMuon(0.3), soft_muon),
    "MARS": (dx.MARS(), mars),
    "Grams": (dx.Grams(dx.Adam()), grams),
    "Hyperball": (dx.Hyperball(dx.Momentum(0.9)), hyperball),
    "Outer": (dx.Outer(dx.GradientDescent(), 3), outer),
}


@pytest.mark.parametrize("name", DEFINITIONS)
@pytest.mark.parametrize("shape", [(5, 3), (3, 5)])
def test_equals_its_definition(name, shape):
    opt, definition = DEFINITIONS[name]
    x, grads = 1.5 * gradients(shape, seed=1)[0], gradients(shape)
    ours, theirs = run(opt, jnp.asarray(x), grads), definition(x, grads)
    assert np.max(np.abs(ours - theirs)) < 1e-13
    assert np.max(np.abs(ours - x)) > 1e-3  # it moved


def test_neurons_are_columns_of_flax_kernels():
    x, grads = gradients((5, 3), seed=1)[0], gradients((5, 3))
    ours = run(dx.NorMuon(), jnp.asarray(x), grads)
    theirs = nor_muon(x.T, np.swapaxes(grads, 1, 2))
    assert np.max(np.abs(ours - np.swapaxes(theirs, 1, 2))) < 1e-13


TWINS = {
    "AdEMAMix": (
        dx.AdEMAMix(beta3=0.99, weight_decay=0.1),
        lambda lr: optax.contrib.ademamix(lr, b3=0.99, weight_decay=0.1),
    ),
    "NadamW": (dx.NadamW(), optax.nadamw),
    "Prodigy": (
        dx.Prodigy(distance=0.1, weight_decay=0.1),
        lambda lr: optax.contrib.prodigy(lr, estim_lr0=0.1, weight_decay=0.1),
    ),
}


@pytest.mark.parametrize("name", TWINS)
def test_equals_optax(name):
    opt, twin = TWINS[name]
    x, grads = gradients((5, 3), seed=1)[0], gradients((5, 3))

    def body(carry, g):
        x, s = carry
        delta, s = twin(LR).update(g, s, x)
        x = optax.apply_updates(x, delta)
        return (x, s), x

    start = jnp.asarray(x)
    with jax.numpy_dtype_promotion("standard"):  # optax's counts are int32
        theirs = jax.lax.scan(body, (start, twin(LR).init(start)), grads)[1]
    assert np.max(np.abs(run(opt, start, grads) - theirs)) < 1e-13


def test_prodigy_never_thinks_the_minimum_farther_than_it_is():
    """Convex: d ≤ ‖x₀ − x*‖_∞, and d comes near; without a minimum d has no bound."""
    opt, best = dx.Prodigy(distance=1e-3), np.array([3.0, -1.0, 0.5])
    curvature = np.array([1.0, 10.0, 0.1])

    def path(grad):
        def body(carry, _):
            x, state = carry
            x, state = opt.step(x, state, grad(x), 1.0)
            return (x, state), state.distance

        start = jnp.zeros(3)
        return jax.lax.scan(body, (start, opt.init(start)), length=300)[1]

    both = jax.jit(
        lambda: (path(lambda x: curvature * (x - best)), path(lambda x: curvature))
    )
    bowl, slope = map(np.asarray, both())
    assert 0.3 < bowl[-1] <= 3.0 and np.all(np.diff(bowl) >= 0)
    assert slope[-1] > 30


def test_eigenbases_alone_do_nothing_to_muon():
    """SOAP-Muon differs from Muon by what Adam does in the bases."""
    m = gradients((5, 3))[0]
    q, p = (np.linalg.qr(gradients((n, n), seed=n)[0])[0] for n in (5, 3))
    assert np.allclose(polar(q.T @ m @ p), q.T @ polar(m) @ p, atol=1e-14)
    assert not np.allclose(polar(m / np.abs(m)), polar(m), atol=0.1)


# --- what survives ------------------------------------------------------------------


def test_hyperball_keeps_its_radius():
    for scale in (1e-160, 1e-3, 1e8):
        x = scale * gradients((4, 6), seed=2)[0]
        path = run(dx.Hyperball(dx.Muon()), jnp.asarray(x), gradients((4, 6)))
        size = np.linalg.norm(path / scale, axis=(1, 2)) / np.linalg.norm(x / scale)
        assert np.max(np.abs(size - 1)) < 1e-14


def test_hyperball_around_muon_can_climb():
    """The largest ḟ over the sphere is R(√r‖g‖_F − ‖g‖_*)/2√r, and it is reached."""
    g = np.diag([3.0, 1.0, 0.2])
    r, nuclear = 3, np.trace(g)
    a, b = np.eye(3) / r**0.5, g / np.linalg.norm(g)  # the two unit directions
    hat = (a + b) / np.linalg.norm(a + b)
    radius = 2.0
    opt = dx.Hyperball(dx.SoftMuon(1e-9, beta=0.0))
    x = jnp.asarray(radius * hat)
    rate, _ = opt.flow(0.0, x, opt.init(x), jnp.asarray(g), 1.0)
    climb = float(jnp.vdot(g, rate))
    top = radius * (r**0.5 * np.linalg.norm(g) - nuclear) / (2 * r**0.5)
    assert climb == pytest.approx(top, rel=1e-6) and top > 0
    opt = dx.Hyperball(dx.GradientDescent())
    rate, _ = opt.flow(0.0, x, opt.init(x), jnp.asarray(g), 1.0)
    assert float(jnp.vdot(g, rate)) < 0


# --- the accounts -------------------------------------------------------------------


def accounts(name, tamper=lambda step: step):
    """The rows of the member's walk, and H₊ − H of H = f + cκ(m) by NumPy."""
    o, (f, _) = laws.seen(name), laws.problem()
    opt = o.member.opt

    @jax.jit
    @jax.vmap
    def rows(k, x, s, g, x1, s1):
        return opt.balance(tamper(Step(k, x, s, g, LR, x1, s1, f(x), f(x1)))), f(
            x1
        ) - f(x)

    ledger, rise = rows(jnp.arange(laws.STEPS, dtype=jnp.int32), *o.walk)
    c = LR * 0.95**2 / (1 - 0.95)

    def heights(state):
        m = state.mu if name == "practical-muon" else state.m
        w = np.linalg.svd(m["w"], compute_uv=False).sum(-1)
        tall = 1.0 if name == "contra-muon" else (3 / 2) ** 0.5
        b = 0 if name == "practical-muon" else np.abs(m["b"]).sum(-1)
        return c * (tall * w + b)

    change = np.asarray(rise) + heights(o.walk.state_next) - heights(o.walk.state)
    return ledger, change


@pytest.mark.parametrize("name", ACCOUNTED)
def test_account_closes(name):
    ledger, change = accounts(name)
    assert np.max(np.abs(ledger.change - change)) < 1e-13
    assert np.max(np.abs(ledger.defect) / ledger.scale) < 1e-12
    parts = sum(
        -v for k, v in ledger.terms.items() if k not in ("residual", "rounding")
    )
    parts = parts + ledger.terms["residual"] + ledger.terms["rounding"]
    assert np.max(np.abs(parts - change)) < 1e-13
    for check in ("balance", "momentum"):
        assert np.all(ledger.checks[check].margin >= -ledger.checks[check].tolerance)
    fall = ledger.checks["fall"]
    assert np.max(np.abs(fall.margin + change - ledger.terms["residual"])) < 1e-13


@pytest.mark.parametrize("name", ACCOUNTED)
def test_steps_uphill_put_energy_in(name):
    """Nothing proves `fall`: it is measured, and a step turned round fails it."""

    def tamper(step):
        back = jax.tree.map(lambda a, b: 2 * a - b, step.x, step.x_next)
        return step._replace(x_next=back)

    ledger, _ = accounts(name, tamper)
    fall = ledger.checks["fall"]
    assert np.mean(fall.margin < -fall.tolerance) > 0.9


def test_orthonormal_neurons_are_left_alone():
    """Neurons no more than inputs: an exact O has neurons of length 1 already."""
    x, grads = jnp.asarray(gradients((5, 3), seed=1)[0]), gradients((5, 3))
    muon = run(dx.Muon(), x, grads)
    eps = 1e-10  # beside √v, which is about 0.1
    assert np.max(np.abs(run(dx.NorMuon(), x, grads) - muon)) < 10 * eps * STEPS * LR
    rough = run(dx.NorMuon(factor="five-steps"), x, grads)
    assert np.max(np.abs(rough - muon)) > 1e-3


def test_detour_of_muon_itself_is_nothing():
    """Without contra it is Muon: no detour, and every step dissipates."""
    opt, f = dx.ContraMuon(0.0), laws.problem()[0]
    _, x = laws.problem()
    _, ledger = dx.iterate(opt, f, x, LR, steps=30)
    assert np.max(np.abs(ledger.terms["detour"])) < 1e-14
    assert dx.verdict(ledger, "Muon").status == "holds"


def test_account_of_parameters_without_a_matrix():
    """PracticalMuon on a vector is Adam: all of the step is a detour, seen in full."""
    f = lambda x: jnp.sum((x - 1.0) ** 2) / 2
    _, ledger = dx.iterate(dx.PracticalMuon(), f, jnp.zeros(3), LR, steps=30)
    row = dx.verdict(ledger, "Adam")
    assert row.status == "holds", str(row)
    rise = np.diff(ledger.energy)  # of H = f
    assert np.max(np.abs(ledger.change[:-1] - rise)) < 1e-14


def test_wrong_momentum_is_seen():
    def tamper(step):
        m = jax.tree.map(lambda a: 1.001 * a, step.state_next.m)
        return step._replace(state_next=step.state_next._replace(m=m))

    ledger, _ = accounts("nor-muon", tamper)
    check = ledger.checks["momentum"]
    assert np.all(check.margin[1:] < -check.tolerance[1:])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: dx.NorMuon(neurons="heads"), "neurons: given 'heads'"),
        (lambda: dx.NorMuon(factor="qr"), "factor: given 'qr'"),
        (lambda: dx.ContraMuon(1.0), "contra: given 1.0"),
        (lambda: dx.SoftMuon(1.0), "power: given 1.0"),
        (lambda: dx.Outer(dx.Adam(), interval=0), "interval: given 0"),
        (lambda: dx.AdEMAMix(beta3=1.0), "beta3: given 1.0"),
        (lambda: dx.MARS(gamma=-1.0), "gamma: given -1.0"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
