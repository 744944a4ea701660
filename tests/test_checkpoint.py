"""Long runs end as if nothing had happened: killed, half-written, sharded, mistaken."""

import os
import random
import shutil
import signal
import sys
import time
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynax import _digest
from dynax.checkpoint import Checkpoints, scan
from tests.checkpointing import EVERY, STEPS, Interrupted, leaves, main
from tests.sweeping import Child


pytest.importorskip("orbax.checkpoint")


def start(task, folder, **env):
    return Child(main, (task, str(folder)), env)


def finish(process):
    out = process.communicate(timeout=300)
    assert process.returncode == 0, out[-3000:]
    return out


# The tests


def test_killed_at_random_it_ends_as_if_never_interrupted(tmp_path):
    compiled = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled")}
    finish(start("train", tmp_path / "whole", **compiled))
    chance, begun, killed = random.Random(0), [], 0
    while killed < 4:
        process = start("train", tmp_path / "parts", **compiled)
        begun.append(float(process.readline()))
        assert begun[-1] < 1, "done before it was killed as often as wanted"
        for _ in range(chance.randrange(2)):
            process.readline()
        time.sleep(chance.uniform(0, 0.06))
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
    out = finish(start("train", tmp_path / "parts"))  # compiled anew
    begun.append(float(out.split()[0]))
    assert begun == sorted(begun) and begun[0] == 0 < begun[-1] < 1, begun
    texts = [(tmp_path / f"{name}.txt").read_text() for name in ("whole", "parts")]
    assert texts[0] == texts[1]
    store = Checkpoints(tmp_path / "parts" / "carry")
    assert store.steps() == [STEPS - EVERY, STEPS]


def test_what_is_half_written_is_not_read(tmp_path):
    """Killed while it writes, several times over; what has a name is whole."""
    store, caught = Checkpoints(tmp_path), 0
    noise = np.random.default_rng(0).random(4_000_000)
    while caught < 2:
        process = start("hurry", tmp_path)
        while not list(tmp_path.glob("*.orbax-checkpoint-tmp*")) or not store.steps():
            assert process.poll() is None, process.communicate()
            time.sleep(0.001)
        process.kill()
        process.communicate()
        left = [p for p in tmp_path.glob("*.orbax-checkpoint-tmp*") if p.is_dir()]
        found = store.latest({"a": noise})
        assert found is not None
        np.testing.assert_array_equal(found[1]["a"], noise + found[0])
        caught += bool(left)


class Pair(NamedTuple):
    first: Any
    second: Any


class Module(eqx.Module):
    weight: jax.Array
    activation: Any
    width: int = eqx.field(static=True)


def everything():
    """Values that are easily lost, in every kind of container."""
    odd = np.array([0x7FC00001, 0xFF800123, 0x80000000], np.uint32).view(np.float32)
    params = {"a/b.c": jnp.asarray(odd), "none": None}
    tx = optax.chain(optax.lion(1e-3), optax.scale_by_schedule(lambda count: 1.0))
    return {
        "key": jax.random.key(3, impl="rbg"),
        "keys": jax.random.split(jax.random.key(1), (2, 3)),
        "state": tx.init(params),
        "pair": Pair(params, (1, 2.5, True, 1j, 2**40)),
        "module": Module(jnp.arange(6, dtype=jnp.bfloat16), jnp.tanh, 6),
        "numpy": [np.arange(3), np.zeros(()), np.float32(-0.0), np.float64(1.5)],
        "empty": jnp.zeros((0, 3)),
        "narrow": [jnp.ones(3, jnp.int4), jnp.ones(3, jnp.float8_e4m3fn)],
        "rest": [jnp.asarray([True, False]), jnp.full(2, 1 + 2j)],
    }


def test_every_bit_and_kind_of_leaf_comes_back(tmp_path):
    tree, store = everything(), Checkpoints(tmp_path)
    assert store.latest(tree) is None
    store.save(7, tree)
    step, out = store.latest(tree)
    assert step == 7 and leaves(out) == leaves(tree)
    assert not any(
        a.committed for a in jax.tree.leaves(out) if isinstance(a, jax.Array)
    )

    def abstract(a):
        is_jax = isinstance(a, jax.Array)
        return jax.ShapeDtypeStruct(a.shape, a.dtype) if is_jax else a

    assert leaves(store.read(7, jax.tree.map(abstract, tree))) == leaves(tree)


OTHER = {
    "shape": ("key", {"keys": jax.random.split(jax.random.key(1), (3, 2))}),
    "dtype": ("empty", {"empty": jnp.zeros((0, 3), jnp.float32)}),
    "kind of key": ("key", {"key": jax.random.key(3)}),
    "kind of number": ("pair", {"pair": Pair(everything()["pair"].first, (1.0,))}),
    "more": ("more", {"more": jnp.zeros(())}),
    "fewer": ("rest", {"rest": []}),
}


@pytest.mark.parametrize("name", OTHER)
def test_another_tree_is_refused(tmp_path, name):
    where, change = OTHER[name]
    store = Checkpoints(tmp_path)
    store.save(0, everything())
    with pytest.raises(ValueError, match=rf"^like\['{where}.*: given .*accepted is "):
        store.latest({**everything(), **change})


def test_only_the_newest_stay_and_none_is_replaced(tmp_path, monkeypatch):
    store, tree = Checkpoints(tmp_path, keep=2), {"a": np.arange(3)}
    for step in range(3):
        store.save(step, tree)
    assert store.steps() == [1, 2]
    for step in (-1, 1, 2):
        with pytest.raises(ValueError, match="^step, tree: given"):
            store.save(step, tree)
    with pytest.raises(ValueError, match="given 3 and 0 arrays"):
        store.save(3, {"f": jnp.tanh})

    def stopped(path):
        raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr("shutil.rmtree", stopped)
        store.save(3, tree)
    assert store.steps() == [2, 3]  # 1 was about to go: no longer to be read
    store.save(4, tree)
    assert sorted(os.listdir(tmp_path)) == ["3", "4"]
    with pytest.raises(ValueError, match="given gs://bucket"):
        Checkpoints("gs://bucket")


def count(carry, x):
    total, key = carry
    return (total + x, jax.random.split(key)[0]), (total, key)


BEGIN = jnp.zeros(()), jax.random.key(0)


@pytest.mark.parametrize(
    "xs, length",
    [(np.arange(11.0), None), (jnp.arange(11.0), 11), (lambda k: np.float64(k), 11)],
    ids=["numpy", "jax", "function"],
)
def test_scan_is_that_of_jax(tmp_path, xs, length):
    told = []
    given = {"every": 4, "length": length, "progress": lambda *seen: told.append(seen)}
    out = scan(count, BEGIN, xs, tmp_path, **given)
    assert [share for share, _ in told] == [0, 4 / 11, 8 / 11, 1]
    again = scan(count, BEGIN, xs, tmp_path, **given)
    assert told[4:] == [(1.0, "step 11 of 11")]
    wanted = jax.lax.scan(count, BEGIN, jnp.arange(11.0))
    for found in (out, again):
        assert leaves(jax.device_get(found[1][0])) == leaves(
            jax.device_get(wanted[1][0])
        )
        assert leaves((found[0], found[1][1])) == leaves((wanted[0], wanted[1][1]))


def test_a_run_that_is_done_goes_on(tmp_path):
    """No outputs, no xs, weakly typed; and the run may be of another length."""
    step = lambda carry, _: ((carry[0] + 0.5, carry[1] * 2), None)
    go = lambda n: scan(step, (0.0, jnp.asarray(1)), None, tmp_path, every=3, length=n)
    assert jax.device_get(go(6)) == ((3.0, 64), None)
    assert jax.device_get(go(8)) == ((4.0, 256), None)
    with pytest.raises(ValueError, match="8 steps were made; accepted .* 9 steps by 3"):
        go(9)


@pytest.mark.parametrize(
    "change",
    [
        {"every": 5},
        {"xs": np.arange(7.0)},
        {"xs": np.arange(12.0)},
        {"carry": (jnp.zeros(()), jax.random.key(1))},
        {"carry": (jnp.ones(()), jax.random.key(0))},
        {
            "carry": (jnp.zeros((), jnp.float32), jax.random.key(0)),
            "xs": np.arange(11, dtype="f4"),
        },
        {"xs": np.arange(11.0)[::-1].copy()},
        {"xs": lambda k: np.float64(k), "length": 11},
        {"f": lambda carry, x: count(carry, 2 * x)},
    ],
    ids=[
        *("every", "shorter", "longer, off the grid", "key", "start", "dtype"),
        *("xs in another order", "xs by a function", "f"),
    ],
)
def test_the_folder_of_another_run_is_refused(tmp_path, change):
    given = {"carry": BEGIN, "xs": np.arange(11.0), "folder": tmp_path, "every": 4}
    given["f"] = count
    scan(**given)
    named = {"every": "every is 4 there, 5 here", "f": "program is"}
    with pytest.raises(ValueError, match="^folder: given") as told:
        scan(**{**given, **change})
    assert named.get(next(iter(change)), "") in str(told.value)


def test_the_same_run_by_other_words_is_not_refused(tmp_path):
    """Another function object, its comments and line numbers, longer `xs`: the same;
    another number that it closes over is not."""

    def made(factor):
        def f(carry, x):
            return carry + factor * x, None

        return f

    run = lambda f, n: scan(f, jnp.zeros(()), np.arange(n), tmp_path, every=2)
    assert run(made(2.0), 4.0)[0] == 12 and run(made(2.0), 6.0)[0] == 30
    assert run(lambda a, x: (a + np.float64(2) * x, None), 6.0)[0] == 30
    with pytest.raises(ValueError, match="program is .* accepted is the folder of"):
        run(made(3.0), 6.0)
    with pytest.raises(ValueError, match="program is"):
        run(made(np.arange(5000.0)[-1]), 6.0)


def test_outputs_left_behind_are_not_taken_for_this_run(tmp_path):
    go = lambda b: scan(lambda c, x: (c, b * x), 0.0, np.ones(4), tmp_path, every=2)
    go(2.0)
    shutil.rmtree(tmp_path / "carry")
    with pytest.raises(ValueError, match="ys, which holds another run: program"):
        go(3.0)


def test_a_checksum_sees_every_bit_and_its_place():
    """And is the same for the same bits: of every kind of array."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, 64, np.uint8)
    seen = set()
    for dtype in (jnp.float64, jnp.float32, jnp.bfloat16, jnp.int64, jnp.complex128):
        a = noise.view(dtype)
        flipped = noise.copy()
        flipped[-1] ^= 1
        for bits in (a, a[::-1], flipped.view(dtype), a[1:], np.append(a, a[:1])):
            seen.add(
                (jnp.dtype(dtype).name, *_digest.checksum(jnp.asarray(bits)).tolist())
            )
        assert (
            jnp.dtype(dtype).name,
            *_digest.checksum(jnp.asarray(a)).tolist(),
        ) in seen
    assert len(seen) == 25


@pytest.mark.parametrize("change", [{"every": 0}, {"length": 3}, {"xs": None}])
def test_a_number_of_steps_is_needed(tmp_path, change):
    given = {"xs": np.arange(2.0), "folder": tmp_path, "every": 1, **change}
    with pytest.raises(ValueError, match="^xs, length, every: given"):
        scan(count, BEGIN, **given)


def test_sharded(tmp_path):
    flags = "--xla_force_host_platform_device_count=8"
    compiled = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled")}
    finish(start("shard", tmp_path / "run", XLA_FLAGS=flags, **compiled))


def test_without_orbax_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    with pytest.raises(ImportError, match=r'pip install "dynax-lab\[checkpoint\]"'):
        Checkpoints(tmp_path).save(0, np.zeros(2))
