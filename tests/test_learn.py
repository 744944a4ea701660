"""Laws from motion, against plain loops, closed forms, and what made the data."""

import pathlib
import textwrap

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dynax
from dynax import material as mat
from dynax.checkpoint import Checkpoints
from dynax.mechanics import learn, mpm
from experiments._virtual import run


DX, DT, STEPS = 0.1, 1e-3, 12
SOLVER = mpm.MPM(mpm.Grid((10, 10), DX), mpm.box_walls(2), np.array([0.0, -9.8]))
X = mpm.bodies.box((0.4, 0.3), (0.7, 0.6), DX / 2)
POINTS = mpm.Material(mat.FixedCorotated(1e4, 0.2), 1e3, DX**2 / 4, len(X))
SOFT = mat.Elastoplastic(mat.Hencky(1e4, 0.2), mat.VonMises(100.0))


def numbers(law):
    """Its parameters as arrays, which are learned."""
    return jax.tree.map(jnp.asarray, law)


def made(law):
    body = learn.filled(POINTS, law)
    start = mpm.at_rest(body, X, np.array([0.3, -1.0]), 10.0)
    return learn.observed(mpm.simulate(SOLVER, body, start, DT, STEPS), DT)


@pytest.fixture(scope="module")
def seen():
    return made(POINTS.law)


def segments(seen, **how):
    return learn.Segments(SOLVER, POINTS, seen, **{"horizon": 4, **how})


def test_a_loss_is_what_a_plain_loop_over_segments_says(seen):
    law, loss = mat.FixedCorotated(2e4, 0.1), segments(seen)
    total = 0.0
    for k in range(0, STEPS, 4):
        y = jax.tree.map(lambda a, k=k: a[k], seen.y)
        body = learn.filled(POINTS, law)
        x = np.asarray(mpm.simulate(SOLVER, body, y, DT, 4).y.x[1:])
        total += np.mean((x - np.asarray(seen.y.x)[k + 1 : k + 5]) ** 2) / 0.01**2
    value, failed = loss(law)
    np.testing.assert_allclose(value, total, rtol=1e-9)
    assert int(failed) == 0
    np.testing.assert_allclose(segments(seen, batch=None)(law)[0], total, rtol=1e-9)
    # the true law leaves rounding, of times that begin anew in each segment
    assert float(loss(POINTS.law)[0]) < 1e-20


def test_a_run_that_fails_is_counted_and_leaves_numbers(seen):
    class Broken(mat.AbstractLaw):
        def kirchhoff(self, F, alpha=()):
            return jnp.full_like(F, jnp.inf)

    value, failed = segments(seen)(Broken())
    held = seen.y.x[:-1:4, None] - seen.y.x[1:].reshape(3, 4, *X.shape)
    expected = np.sum(np.mean(np.asarray(held) ** 2, (1, 2, 3))) / 0.01**2
    assert int(failed) == 3
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    free = learn.free_run(SOLVER, learn.filled(POINTS, Broken()), seen)
    assert int(free.reached) < STEPS and np.isfinite(free.mse)


@pytest.mark.parametrize("law", [POINTS.law, SOFT], ids=["elastic", "plastic"])
def test_along_the_true_gradients_the_law_gives_the_true_deformation(law):
    """F ← (I + dt C)F and its return need no grid; what a camera does not see is C."""
    seen = made(law)
    loss = segments(seen, reset="positions")
    told = eqx.tree_at(lambda s: s.starts.C, loss, seen.y.C)
    F = told.states(learn.filled(POINTS, law)).F
    np.testing.assert_allclose(F, seen.y.F[:-1:4], atol=1e-14)
    elastic = learn.filled(POINTS, POINTS.law)
    same = np.allclose(told.states(elastic).F, F, atol=1e-6)
    assert same == (law is POINTS.law)  # SOFT has yielded


def test_velocities_of_a_turning_body_are_those_of_its_places():
    """x₊ = x + dt(b + A x): v is exact, and C is A but for the body's rim."""
    A = np.array([[0.3, -4.0], [4.0, -0.2]])
    inner = np.all(np.abs(X - X.mean(0)) < 0.08, 1)
    x = np.stack([X, X + DT * (X @ A.T + 0.5)])
    places = learn.Trajectory(DT, mpm.Body(jnp.asarray(x), None, None, None, ()))
    v, C = learn.velocities(SOLVER, POINTS, places)
    np.testing.assert_allclose(v[1], X @ A.T + 0.5, atol=1e-10)
    np.testing.assert_array_equal(C[0], C[1])
    assert np.max(np.abs(np.asarray(C[1])[inner] - A)) < 0.05 * np.abs(A).max()


def test_the_balance_of_momentum_gives_the_parameters(seen):
    balance = learn.Balance(SOLVER, POINTS, seen)
    law = learn.least_squares(balance, numbers(mat.FixedCorotated(5e3, 0.35)), 5)
    np.testing.assert_allclose([law.young, law.poisson], [1e4, 0.2], rtol=1e-8)
    again = learn.least_squares(balance, law, nonnegative=True, ridge=1e-14)
    np.testing.assert_allclose([again.young, again.poisson], [1e4, 0.2], rtol=1e-8)
    assert (
        float(balance(law)[0])
        < 1e-12
        < float(balance(POINTS.law.__class__(9e3, 0.2))[0])
    )


def test_a_direction_that_the_motion_does_not_tell_stays(seen):
    class Extra(mat.AbstractLaw):
        modulus: jax.Array
        unseen: jax.Array

        def kirchhoff(self, F, alpha=()):
            return mat.FixedCorotated(self.modulus, 0.2).kirchhoff(F) + 0 * self.unseen

    law = Extra(jnp.asarray(7e3), jnp.asarray(3.0))
    law = learn.least_squares(learn.Balance(SOLVER, POINTS, seen), law)
    np.testing.assert_allclose(law.modulus, 1e4, rtol=1e-8)
    assert float(law.unseen) == 3.0


def test_labels():
    F = jnp.eye(2)[None] + 0.1 * jax.random.normal(jax.random.key(0), (50, 2, 2))
    labels = learn.Labels.of(SOFT, F, 100.0)
    assert float(labels(SOFT)[0]) == 0
    other = mat.Hencky(1.1e4, 0.2)
    off = jax.vmap(other.kirchhoff)(F) - jax.vmap(SOFT.kirchhoff)(F)
    np.testing.assert_allclose(labels(other)[0], np.mean(off**2) / 1e4)
    after = jax.vmap(lambda F: SOFT.update(F, (), 0.0)[0])(F)
    both = learn.Labels(F, labels.tau, 100.0, (F, after))
    assert float(both(SOFT)[0]) == 0 < float(both(SOFT.elastic)[0])


def bowl(target, params):
    return jnp.sum((params - target) ** 2), jnp.zeros((), jnp.int32)


def stages(first=6, second=4):
    losses = (eqx.Partial(bowl, jnp.full(3, c)) for c in (1.0, -2.0))
    return list(zip(losses, (first, second), strict=True))


def by_hand(method, epochs=(6, 4)):
    x = jnp.zeros(3)
    state, losses = method.init(x), []
    for target, n in zip((1.0, -2.0), epochs, strict=True):
        for _ in range(n):
            value, g = jax.value_and_grad(lambda x, t=target: jnp.sum((x - t) ** 2))(x)
            with jax.numpy_dtype_promotion("standard"):
                step, state = method.update(g, state, x)
                x = optax.apply_updates(x, step)
            losses.append(float(value))
    return x, losses


def test_stages_follow_one_another_as_in_a_plain_loop():
    out = learn.fit(stages(), jnp.zeros(3), optax.adam(0.1))
    x, losses = by_hand(optax.adam(0.1))
    np.testing.assert_allclose(out.law, x, rtol=1e-12)
    np.testing.assert_allclose(out.record.loss, losses, rtol=1e-12)
    assert out.result == "done" and out.epochs == 10 and np.all(out.record.taken)


def test_an_interrupted_training_goes_on_to_the_same_bits(tmp_path):
    whole = learn.fit(stages(), jnp.zeros(3), optax.adam(0.1))

    def stop(share, text):
        if share >= 0.7:
            raise KeyboardInterrupt

    kept = Checkpoints(tmp_path)
    start = jnp.zeros(3), optax.adam(0.1)
    with pytest.raises(KeyboardInterrupt):
        learn.fit(stages(), *start, checkpoints=kept, progress=stop, every=2)
    assert kept.steps()[-1] == 7
    told = []
    again = learn.fit(
        stages(), *start, checkpoints=kept, progress=lambda *a: told.append(a)
    )
    assert len(told) == 4 and told[-1][0] == 1
    np.testing.assert_array_equal(again.law, whole.law)
    np.testing.assert_array_equal(again.record.loss, whole.record.loss)
    (loss, n), *rest = stages()
    bent = lambda law: (lambda value, failed: (2 * value, failed))(*loss(law))
    for other, said in {
        "law": (stages(), jnp.ones(3), optax.adam(0.1)),
        "epochs": ([(loss, n + 1), *rest], *start),
        "program of stage 0": ([(bent, n), *rest], *start),
        "program of": (stages(), jnp.zeros(3), optax.adam(0.2)),
    }.items():
        with pytest.raises(ValueError, match=f"which holds another run: {other}"):
            learn.fit(*said, checkpoints=kept)


def test_steps_without_a_finite_gradient_are_not_taken():
    def cliff(params):
        size = jnp.sum(params**2)
        return jnp.where(size < 1, jnp.nan, 1.0) * size, jnp.zeros((), jnp.int32)

    out = learn.fit([(cliff, 30)], jnp.full(3, 1.0), optax.sgd(0.2))
    assert out.result == "diverged" and np.all(np.isfinite(out.law))
    assert out.epochs == np.sum(out.record.taken) + 10
    assert np.sum(np.asarray(out.law) ** 2) < 1


def test_our_optimizers_keep_their_ledger():
    method = dynax.as_optax(dynax.HeavyBall(1.0), 0.1, every=1)
    out = learn.fit(stages(), jnp.zeros(3), method)
    assert np.shape(out.record.ledger.energy) == (10,)
    rows = jax.tree.map(lambda a: a[:6], out.record.ledger)
    assert np.all(rows.change < 0)


def test_a_mesh_changes_nothing():
    """On 8 virtual devices: loss and gradient of 3 segments, as on one."""
    code = f"""
        import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
        import jax
        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_disable_most_optimizations", True)
        import numpy as np, equinox as eqx
        import test_learn as t
        from dynax import material as mat
        seen = t.made(t.POINTS.law)
        mesh = jax.make_mesh((8,), ("segments",), (jax.sharding.AxisType.Auto,))
        law = t.numbers(mat.FixedCorotated(2e4, 0.1))
        value = lambda law, loss: loss(law)[0]
        both = eqx.filter_jit(eqx.filter_value_and_grad(value))
        one, many = (both(law, t.segments(seen, mesh=m)) for m in (None, mesh))
        np.testing.assert_allclose(many[0], one[0], rtol=1e-12)
        np.testing.assert_allclose(many[1].young, one[1].young, rtol=1e-9)
        np.testing.assert_allclose(many[1].poisson, one[1].poisson, rtol=1e-9)
        assert one[1].young != 0
    """
    run("-c", textwrap.dedent(code), devices=8)


def test_a_file_comes_back_and_is_not_overwritten(seen, tmp_path):
    path = tmp_path / "drop.npz"
    learn.write(path, seen)
    back = learn.read(path)
    assert back.dt == seen.dt and back.full
    for name in "xvCF":
        np.testing.assert_array_equal(getattr(back.y, name), getattr(seen.y, name))
    stiff = mat.FixedCorotated(2e4, 0.1)
    np.testing.assert_array_equal(segments(back)(stiff)[0], segments(seen)(stiff)[0])
    with pytest.raises(FileExistsError, match="path: given"):
        learn.write(path, seen)
    learn.write(tmp_path / "camera.npz", seen.positions())
    assert not learn.read(tmp_path / "camera.npz").full
    assert sorted(p.name for p in tmp_path.iterdir()) == ["camera.npz", "drop.npz"]
    (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="path: given .*cut.npz"):
        learn.read(tmp_path / "cut.npz")


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(v=lambda v: 1e3 * v), "v: given one .* 1e\\+03 times as large"),
        (dict(x=lambda x: x[:, :-1]), "v: given float64 of shape"),
        (dict(x=lambda x: x[0]), "x: given shape"),
        (dict(F=lambda F: -F[..., ::-1]), "F: given det F"),
        (
            dict(C=lambda C: C.at[3, 0].set(np.nan)),
            "C: given NaN or infinity in state 3",
        ),
        (dict(C=lambda C: None), "v, C, F: given"),
        (dict(dt=lambda dt: -dt), "dt: given -0.001"),
        (dict(units=lambda u: u.replace('"m"', '"mm"')), "units: given .*'mm'"),
        (dict(units=lambda u: "{}"), "units: given {}"),
        (dict(units=lambda u: None), "path: given .*; accepted is one with dt, x and"),
    ],
    ids=lambda a: next(iter(a)) if isinstance(a, dict) else None,
)
def test_a_file_with_other_units_or_shapes_is_one_clear_error(
    seen, tmp_path, change, message
):
    path = tmp_path / "bad.npz"
    learn.write(path, seen)
    with np.load(path) as file:
        content = {k: file[k] for k in file.files}
    for name, f in change.items():
        old = content.pop(name)
        new = f(str(old) if name == "units" else jnp.asarray(old))
        if new is not None:
            content[name] = np.asarray(new)
    np.savez(path, **content)
    with pytest.raises(ValueError, match=message):
        learn.read(path)


BAD = {
    "horizon: given 5": lambda seen: segments(seen, horizon=5),
    "reset: given 'frames'": lambda seen: segments(seen, reset="frames"),
    "trajectory: given places only": lambda seen: segments(seen.positions()),
    "trajectory: given 36 points": lambda seen: learn.Segments(
        SOLVER, mpm.Material(SOFT, 1e3, 1.0, 7), seen, 4
    ),
    "start: given none": lambda seen: learn.free_run(SOLVER, POINTS, seen.positions()),
    "F, tau, returns": lambda seen: learn.Labels(X, X, 1.0),
    "steps: given 99": lambda seen: seen.first(99),
    "dt: given 0.002": lambda seen: learn.observed(
        mpm.simulate(SOLVER, POINTS, jax.tree.map(lambda a: a[0], seen.y), DT, STEPS),
        2e-3,
    ),
    "stages, law": lambda seen: learn.fit([(bowl, 3)], 1.0, optax.sgd(0.1)),
    "law: given no arrays": lambda seen: learn.least_squares(
        learn.Balance(SOLVER, POINTS, seen), SOFT
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_one_clear_error(message, seen):
    with pytest.raises(ValueError, match=message):
        BAD[message](seen)


def test_laws_of_several_materials_come_as_a_tuple():
    two = (POINTS, POINTS)
    with pytest.raises(TypeError, match="law: given Hencky"):
        learn.filled(two, SOFT.elastic)
    both = learn.filled(two, (SOFT, None))
    assert both[0].law is SOFT and both[1].law is POINTS.law
