"""What the processes do that the tests of checkpoints start, and kill."""

import contextlib
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import dynax as dx
from dynax.checkpoint import Checkpoints, scan


with contextlib.suppress(ImportError):  # once, before processes are forked
    import orbax.checkpoint  # noqa: F401


STEPS, EVERY = 56, 4


def leaves(tree):
    """The bits of every leaf, and what kind of array they are in."""
    flat, treedef = jax.tree.flatten(tree)

    def bits(a):
        if isinstance(a, jax.Array) and jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            return str(a.dtype), bits(jax.random.key_data(a))
        if isinstance(a, jax.Array | np.ndarray | np.generic):
            return type(a), a.dtype, a.shape, np.asarray(a).tobytes()
        return type(a), a

    return treedef, [bits(a) for a in flat]


def train(folder, progress=lambda share, text: None):
    """A small net under Lion with its ledger; the key that draws batches is carried."""
    normal = lambda *shape: np.random.default_rng(0).normal(size=shape).astype("f4")
    images = jnp.asarray(normal(256, 16))
    answers = jnp.asarray(np.sin(3 * images[:, :2]))
    params = {"a": normal(16, 32) / 4, "b": normal(32, 2) / 6}
    tx = dx.as_optax(dx.LionKappa(weight_decay=1.0), 1e-3, every=2)

    def step(carry, _):
        params, state, key = carry
        key, drawn = jax.random.split(key)
        batch = jax.random.randint(drawn, (32,), 0, len(images))

        def loss(p):
            out = jnp.tanh(images[batch] @ p["a"]) @ p["b"]
            return jnp.mean((out - answers[batch]) ** 2)

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params, value=value, value_fn=loss)
        params = optax.apply_updates(params, updates)
        return (params, state, key), (value, state.ledger, drawn)

    start = params, jax.jit(tx.init)(params), jax.random.key(1)
    given = {"every": EVERY, "length": STEPS, "progress": progress}
    return scan(step, start, None, folder, **given)


def hurry(folder):
    """Save without end, trees large enough to be caught at it."""
    noise = np.random.default_rng(0).random(4_000_000)
    store = Checkpoints(folder)
    for step in range((Checkpoints(folder).steps() or [-1])[-1] + 1, 10_000):
        store.save(step, {"a": noise + step})


class Interrupted(Exception):
    pass


def shard(folder):
    """On 8 virtual devices: a sharded carry is saved, restored and carried on."""
    assert jax.device_count() == 8, jax.device_count()
    folder = pathlib.Path(folder)
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    put = lambda a, *spec: jax.device_put(a, NamedSharding(mesh, P(*spec)))
    keys = jax.random.split(jax.random.key(0), 3)
    a, b, x = (jax.random.normal(k, (64, 64)) / 8 for k in keys)
    sharded = {"a": put(a, None, "model"), "b": put(b, "model")}
    batches = put(jnp.stack([x] * 10), None, "data")

    store = Checkpoints(folder / "tree")
    store.save(1, sharded)
    turned = jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharded["b"].sharding)
    for like in (sharded, {"a": turned, "b": b}):
        _, out = store.latest(like)
        for name, was in (("a", a), ("b", b)):
            assert out[name].sharding.is_equivalent_to(like[name].sharding, 2)
            assert out[name].committed == (like[name] is not b)
            np.testing.assert_array_equal(out[name], was)

    def f(carry, x):
        params, key, total = carry
        key, drawn = jax.random.split(key)
        x = x + jax.random.normal(drawn, x.shape)
        loss = lambda p: jnp.mean((jnp.tanh(x @ p["a"]) @ p["b"]) ** 2)
        value, grads = jax.value_and_grad(loss)(params)
        params = jax.tree.map(lambda p, g: p - g, params, grads)
        return (params, key, total + grads["a"]), (value, grads)

    def go(name, stop):
        def progress(share, text):
            if share >= stop:
                raise Interrupted

        start = sharded, jax.random.key(5), put(jnp.zeros_like(a))  # replicated
        return scan(f, start, batches, folder / name, every=3, progress=progress)

    whole = go("whole", 2)
    for stop in (0.3, 0.9):
        try:
            go("parts", stop)
        except Interrupted:
            continue
        raise AssertionError("not interrupted")
    again = go("parts", 2)
    assert leaves(again) == leaves(whole)
    for (params, key, total), _ in (whole, again):
        for name, given in sharded.items():
            assert params[name].sharding == given.sharding
        assert key.sharding.is_fully_replicated and total.sharding.is_fully_replicated


def main(argv):
    task, folder = argv
    if task == "train":
        result = train(folder, lambda share, text: print(share, flush=True))
        text = repr(leaves(result))
        pathlib.Path(f"{folder}.txt").write_text(text, encoding="utf-8")
    else:
        {"hurry": hurry, "shard": shard}[task](folder)
