"""Whole trees on disk: a checkpoint gets its name by one atomic rename and loses it by
another, so what has a name is whole.
"""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding, SingleDeviceSharding
from jaxtyping import PyTree

from dynax import _digest


LEFT = ".orbax-checkpoint-tmp"  # orbax's mark on what is not whole
Number = bool | int | float | complex
Arrays = jax.Array | jax.ShapeDtypeStruct | np.ndarray | np.generic


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, each a whole tree under `folder/<step>`.

    Arrays (JAX, typed keys, NumPy) and numbers in a tree are saved, to the bit; what
    else is in it (functions, static fields) is that of the `like` it is read with.

    Args:
        folder: where; made by the first `save`.
        keep: how many of the newest stay, None for all.
        run: of which run they are, name → text; it is saved with each checkpoint, and
            those of another run are not read.
    """

    folder: str | os.PathLike
    keep: int | None = 2
    run: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if "://" in str(self.folder) or (self.keep is not None and self.keep < 1):
            raise ValueError(
                f"folder, keep: given {self.folder}, {self.keep}; accepted are a path "
                "on a mounted file system and an integer ≥ 1 or None."
            )

    @property
    def path(self) -> pathlib.Path:
        return pathlib.Path(self.folder).absolute()

    def steps(self) -> list[int]:
        """The steps that can be read, ascending."""
        names = os.listdir(self.path) if self.path.is_dir() else ()
        return sorted(int(name) for name in names if name.isdigit())

    def save(self, step: int, tree: PyTree) -> None:
        """Save `tree`, whole when this returns; every process of a run calls it.

        Raises:
            ValueError: `step` is not above the saved ones, or nothing is to be saved.
        """
        orbax, done, (about, data) = _orbax(), self.steps(), _split(tree)
        if step <= max(done, default=-1) or not data:
            raise ValueError(
                f"step, tree: given {step} and {len(data)} arrays; accepted are a step "
                f"above those in {self.path}, {done}, and a tree with arrays."
            )
        for left in self.path.glob(f"*{LEFT}*"):  # by a run that was killed
            _remove(left)
        about = {"run": dict(self.run), "leaves": about}
        args = orbax.args.StandardSave(data, custom_metadata=about)
        with orbax.Checkpointer(orbax.StandardCheckpointHandler()) as writer:
            writer.save(self.path / str(step), args=args)
        for old in done[: len(done) + 1 - self.keep] if self.keep else ():
            _remove(self.path / str(old))

    def latest(self, like: PyTree) -> tuple[int, PyTree] | None:
        """(step, tree) of the newest checkpoint, None if there is none; see `read`."""
        done = self.steps()
        return (done[-1], self.read(done[-1], like)) if done else None

    def read(self, step: int, like: PyTree) -> PyTree:
        """The tree of one step, each leaf of the kind and in the place of `like`'s.

        Args:
            step: one of `steps()`.
            like: a tree of the same structure, shapes and dtypes. A
                `jax.ShapeDtypeStruct` in it becomes a JAX array, sharded as it says.

        Raises:
            ValueError: the checkpoint is of another run, or a leaf of `like` is not
                what was saved; the first difference is named.
        """
        orbax, path, (about, wanted) = _orbax(), self.path / str(step), _split(like)
        with orbax.Checkpointer(orbax.StandardCheckpointHandler()) as reader:
            kept = reader.metadata(path).item_metadata.custom_metadata
            saved = kept.get("leaves", {})
            other = _digest.difference(kept.get("run", {}), self.run)
            if other is not None:
                raise ValueError(
                    f"folder: given {self.path}, which holds another run: {other}; "
                    "accepted is the folder of this run, or an empty one."
                )
            for name in (*saved, *about):
                given, accepted = (a.get(name, "nothing") for a in (about, saved))
                if given != accepted:
                    raise ValueError(
                        f"like{name}: given {given}; accepted is what was saved in "
                        f"{path}, {accepted}."
                    )
            data = reader.restore(path, args=orbax.args.StandardRestore(wanted))
        place = lambda at, a: _placed(data.get(jax.tree_util.keystr(at)), a)
        return jax.tree_util.tree_map_with_path(place, like)


def is_key(a: Any) -> bool:
    return isinstance(a, Arrays) and jnp.issubdtype(a.dtype, jax.dtypes.prng_key)


def put(a: jax.Array, place: Sharding) -> jax.Array:
    """`jax.device_put`, also of keys onto devices of several processes."""
    alone = place.is_fully_addressable
    return (
        jax.device_put(a, place)
        if alone
        else jax.jit(lambda a: a, out_shardings=place)(a)
    )


def _orbax() -> Any:
    try:
        import orbax.checkpoint
    except ImportError as error:
        raise ImportError(
            'dynax.checkpoint needs orbax; run: pip install "dynax-lab[checkpoint]"'
        ) from error
    return orbax.checkpoint


def _remove(path: pathlib.Path) -> None:
    if jax.process_index() == 0:
        if LEFT not in path.name:
            path = path.rename(path.with_name(path.name + LEFT))
        shutil.rmtree(path)


def _split(tree: PyTree) -> tuple[dict[str, str], dict[str, Any]]:
    """By path: what every saved leaf is, and what orbax writes or reads of it."""
    about, data = {}, {}
    for at, a in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(at)
        if isinstance(a, Number):
            about[name], data[name] = type(a).__name__, np.asarray(a)
        elif isinstance(a, Arrays):
            about[name] = f"{a.dtype}{list(a.shape)}"
            if a.size:  # of an empty array orbax would have nothing to write
                data[name] = _plain(a)
    return about, data


def _plain(a: Any) -> Any:
    """What orbax knows how to write, or to read: no keys, nothing without a place."""
    if is_key(a):
        abstract = isinstance(a, jax.ShapeDtypeStruct)
        data = jax.eval_shape(jax.random.key_data, a)
        return np.empty(data.shape, data.dtype) if abstract else jax.random.key_data(a)
    if isinstance(a, jax.ShapeDtypeStruct) and a.sharding is None:
        here = SingleDeviceSharding(jax.local_devices()[0])
        return jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=here)
    return np.asarray(a) if isinstance(a, np.generic) else a


def _placed(data: Any, like: Any) -> Any:
    """`data` as orbax read it (None: nothing saved) as the kind of leaf `like` is."""
    if isinstance(like, Number):
        return type(like)(data.item())
    if data is None:
        abstract = isinstance(like, jax.ShapeDtypeStruct)
        return jnp.zeros(like.shape, like.dtype) if abstract else like
    if isinstance(like, np.ndarray | np.generic):
        return data if isinstance(like, np.ndarray) else data[()]
    place = like.sharding if not isinstance(like, jax.Array) or like.committed else None
    if place is None:  # on no device in particular, as `like`
        data = jnp.asarray(np.asarray(data))
    if is_key(like):
        impl = []
        jax.eval_shape(lambda key: impl.append(jax.random.key_impl(key)), like)
        data = jax.random.wrap_key_data(jnp.asarray(data), impl=impl[0])
    return data if place is None else put(data, place)
