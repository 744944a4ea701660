"""What a computation is, in a few lines of text that are kept beside its results.

An identity maps names to text: every number and array that a computation starts from,
the program that it runs, and what runs it. Two computations are the same if all of
these are; if not, the first difference says in words why not.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, PyTree, UInt32


Identity = Mapping[str, str]


def program(lowered: str) -> dict[str, str]:
    """What is computed, and what computes it: `lowered` is `jit(f).lower(…).as_text()`.

    Constants that f closes over are in the text. Comments, and what a callback to the
    host does, are not.
    """
    made_by = f"{jax.__version__} on {jax.default_backend()}"
    return {"jax": made_by, "program": short(lowered)}


def numbers(**trees: PyTree) -> dict[str, str]:
    """Every number and array of some trees, by its path; functions do not count."""
    found = {}
    for name, tree in trees.items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            if eqx.is_array_like(leaf):
                found[f"{name}{jax.tree_util.keystr(path)}"] = _written(leaf)
    return found


def digest(tree: PyTree) -> str:
    """One digest of all numbers and arrays of a tree."""
    return short(repr(numbers(_=tree)))


def coarse(tree: PyTree) -> PyTree:
    """Floating arrays to half of their digits: the rest may be another machine's."""

    def rounded(a):
        if not eqx.is_inexact_array(a):
            return a
        half = int(-np.log10(jnp.finfo(a.dtype).eps) / 2)
        a = np.asarray(a)
        size = float(np.max(np.abs(a), initial=0)) or 1.0
        return np.round(a / size, half) + 0.0, float(f"{size:.{half}g}")

    return jax.tree.map(rounded, tree)


def short(data: bytes | str) -> str:
    data = data.encode() if isinstance(data, str) else data
    return hashlib.sha256(data).hexdigest()[:16]


def difference(there: Identity, here: Identity) -> str | None:
    """The first difference between two identities, in words; None if there is none."""
    for name in (*here, *there):
        a, b = (identity.get(name, "absent") for identity in (there, here))
        if a != b:
            return f"{name} is {a} there, {b} here"
    return None


def _written(leaf: Any) -> str:
    """A scalar as it is; of an array the shape, and a digest of its bits."""
    if not hasattr(leaf, "dtype"):
        return repr(leaf)
    kind = f"{leaf.dtype}{list(leaf.shape)}"
    if isinstance(leaf, jax.Array):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        if not leaf.is_fully_addressable:  # its bits lie with several processes
            return f"{kind} {np.asarray(jax.jit(checksum)(leaf))}"
    leaf = np.asarray(leaf)
    return f"{leaf}" if leaf.ndim == 0 else f"{kind} {short(leaf.tobytes())}"


def checksum(a: Array) -> UInt32[Array, "2"]:
    """A checksum of every bit and its place, the same however an array is sharded."""
    if jnp.iscomplexobj(a):
        a = jnp.stack([a.real, a.imag])
    if a.dtype in (bool, jnp.int4, jnp.uint4):
        a = a.astype(jnp.int8)
    width = {1: jnp.uint8, 2: jnp.uint16}.get(a.dtype.itemsize, jnp.uint32)
    bits = lax.bitcast_convert_type(a, width).astype(jnp.uint32)
    place = jnp.zeros((), jnp.uint32)
    for axis, size in enumerate(bits.shape):
        place = place * jnp.uint32(size) + lax.broadcasted_iota(
            jnp.uint32, bits.shape, axis
        )

    def total(seed):
        mixed = _mix(bits ^ _mix(place + jnp.uint32(seed)))
        return jnp.sum(mixed, dtype=jnp.uint32)

    return jnp.stack([total(1), total(0x9E3779B9)])


def _mix(h: Array) -> Array:
    """MurmurHash3's last step: every bit of h moves every bit of what it gives."""
    h = (h ^ (h >> 16)) * jnp.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * jnp.uint32(0xC2B2AE35)
    return h ^ (h >> 16)
