"""With 8 virtual devices: the ledger of a sharded model equals the unsharded one, and
every optimizer's state lies where the parameters do."""

import jax
import jax.numpy as jnp
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from peers.members import MEMBERS

import dynax as dx


def loss(params, batch):
    x, y = batch
    return jnp.mean((jnp.tanh(x @ params["a"]) @ params["b"] - y) ** 2)


def train(params, batch, steps=4):
    opt = dx.LionKappa(weight_decay=3.0)
    tx = dx.as_optax(opt, 1e-3, every=1)

    @jax.jit
    def run(params, batch):
        def body(carry, _):
            p, s = carry
            f = lambda p: loss(p, batch)
            value, grads = jax.value_and_grad(f)(p)
            delta, s = tx.update(grads, s, p, value=value, value_fn=f)
            return (optax.apply_updates(p, delta), s), s.ledger

        return jax.lax.scan(body, (params, tx.init(params)), length=steps)

    return run(params, batch)


def strangers(params):
    """Optimizers with a state that is shaped like a parameter and lies elsewhere."""
    for name, opt in MEMBERS.items():
        for a in jax.tree.leaves(opt.init(params)):
            if any(a.shape == p.shape and a.sharding != p.sharding for p in params):
                yield name


def main():
    assert jax.device_count() == 8, jax.device_count()
    keys = jax.random.split(jax.random.key(0), 4)
    params = {
        "a": jax.random.normal(keys[0], (256, 512)) / 16,
        "b": jax.random.normal(keys[1], (512, 8)) / 16,
    }
    batch = (
        jax.random.normal(keys[2], (64, 256)),
        jax.random.normal(keys[3], (64, 8)),
    )
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    put = lambda a, *spec: jax.device_put(a, NamedSharding(mesh, P(*spec)))
    sharded = {"a": put(params["a"], None, "model"), "b": put(params["b"], "model")}
    homes = [sharded["a"], jax.device_put(sharded["b"][:, 0], NamedSharding(mesh, P()))]
    assert not [*strangers(homes)], [*strangers(homes)]
    (p, state), rows = train(params, batch)
    (q, state_), rows_ = train(sharded, tuple(put(a, "data") for a in batch))
    assert q["a"].sharding.spec == P(None, "model"), q["a"].sharding
    for s in (state, state_):
        v = dx.verdict(s.tally, "sharded")
        assert v.status == "holds", str(v)
    for name, term in rows.terms.items():
        gap = jnp.abs(term - rows_.terms[name])
        assert jnp.all(gap <= 1e-4 * rows.scale + 1e-6), (name, gap, rows.scale)
    assert jnp.max(jnp.abs(p["a"] - q["a"])) <= 2.1e-3 * 4
    print("ok")


if __name__ == "__main__":
    main()
