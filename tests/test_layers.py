"""Who may import whom: the rules of the design, read from the source by `ast`.

A module that is not in the table fails here, so a new layer has to be declared.
"""

import ast
import pathlib
import sys


PACKAGE = pathlib.Path(__file__).parents[1] / "dynax"

BASE = "_types _tree _check _reduce _wrapped _display lyapunov kappa flow monitor"
LIBRARY = (
    f"{BASE} dynamics zoo optim optax landscape certify shapes pde newton material "
    "checkpoint identify reconstruct pinn mechanics verify sweep claim study"
)

# Low to high. A module may import itself and what is written beside it, which must
# stand above it in the table.
LAYERS = {
    "_types": "",
    "_digest": "",
    "_tree": "_types",
    "_check": "_types _tree",
    "_reduce": "_types _tree",
    "_wrapped": "",
    "_display": "",
    "lyapunov": "_types _tree _display",
    "kappa": "_types _tree _check",
    "flow": "_types _tree _display lyapunov kappa",
    "monitor": "_types _tree _reduce _wrapped lyapunov flow",
    "optim": BASE,
    "optax": f"{BASE} optim",
    "dynamics": BASE,
    "zoo": "_types _display dynamics",
    "landscape": BASE,
    "certify": BASE,
    "shapes": "_types _tree _check",
    "pde": f"{BASE} _digest shapes",
    "newton": "_types _tree _check",
    "material": BASE,
    "checkpoint": "_digest",
    "identify": "_types _tree pde",
    "reconstruct": f"{BASE} dynamics pde identify",
    "claim": "",
    "study": "claim",
    "report": "lyapunov claim",
    "pinn": f"{BASE} _digest shapes pde newton checkpoint identify report",
    "mechanics": f"{BASE} _digest material checkpoint report",
    "verify": BASE,
    "sweep": "",
    "__init__": f"{LIBRARY} report",
    "cli": f"{LIBRARY} report __init__",
    "__main__": "cli",
}

# Packages from outside, besides the standard library.
CORE = "jax jaxlib equinox diffrax optax jaxtyping numpy"
OUTSIDE = {
    "landscape": f"{CORE} matfree",
    "certify": f"{CORE} scipy clarabel",
    "newton": f"{CORE} lineax optimistix",
    "mechanics": f"{CORE} scipy meshio",
    "pinn": f"{CORE} lineax optimistix",
    "sweep": "jax numpy scipy xarray optuna ray submitit tensorboard wandb mlflow",
    "checkpoint": "jax numpy equinox jaxtyping orbax",
    "claim": "",
    "study": "",
    "report": "numpy xarray matplotlib rich",
    "cli": f"{CORE} xarray matplotlib rich tyro yaml",
}


def layer_of(path):
    """`optim/lion.py` → `optim`; `flow.py` → `flow`."""
    return path.with_suffix("").parts[0]


def imported(source, path):
    """Dotted names of all modules that the file at `path` (within dynax) imports.

    `from a import b` counts as `a.b`: b may be a module. Imports inside functions and
    under TYPE_CHECKING count too.
    """
    here = ("dynax", *path.parent.parts)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            base += (node.module,) if node.module else ()
            yield from (".".join((*base, alias.name)) for alias in node.names)


def violations(source, path):
    """What the file at `path` (within dynax) imports and may not, one line each."""
    path = pathlib.PurePosixPath(path)
    layer = layer_of(path)
    if layer not in LAYERS:
        return [f"{path}: layer {layer} is not declared in tests/test_layers.py"]
    inside = {layer, *LAYERS[layer].split()}
    outside = {*OUTSIDE.get(layer, CORE).split(), *sys.stdlib_module_names}
    found = []
    for name in imported(source, path):
        top, _, rest = name.partition(".")
        if top == "dynax":
            # A name of dynax itself (`from dynax import Ledger`) stands for __init__.
            rest = rest if rest.split(".")[0] in LAYERS else "__init__"
            allowed = any(f"{rest}.".startswith(f"{known}.") for known in inside)
        else:
            allowed = top in outside
        if not allowed:
            found.append(f"{path}: {layer} may not import {name}")
    return found


def test_imports():
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        source = file.read_text(encoding="utf-8")
        found += violations(source, file.relative_to(PACKAGE))
    assert found == []
    layers = {layer_of(p.relative_to(PACKAGE)) for p in PACKAGE.rglob("*.py")}
    assert layers == set(LAYERS)


def test_table_is_ordered():
    for i, (layer, allowed) in enumerate(LAYERS.items()):
        above = {name.split(".")[0] for name in allowed.split()}
        assert above <= set(list(LAYERS)[:i]), layer


FORBIDDEN = [
    ("optim/lion.py", "import flax.linen as nn"),
    ("optim/lion.py", "def f():\n    from sklearn import datasets"),
    ("optim/lion.py", "import dynax.pde.heat"),
    ("optim/lion.py", "from ..material import elastic"),
    ("optim/lion.py", "from .. import pde"),
    ("optim/lion.py", "from dynax import Ledger"),
    ("pde/heat.py", "from dynax.optim import Lion"),
    ("material/elastic.py", "from ..pde.heat import Heat"),
    ("lyapunov/_ledger.py", "from ..flow import as_flow"),
    ("kappa/l1.py", "from ..lyapunov import Ledger"),
    ("flow.py", "from . import monitor"),
    ("sweep/store.py", "from .._tree import vdot"),
    ("claim.py", "import jax"),
    ("report.py", "from dynax.sweep.engine import sweep"),
    ("monitor.py", "from matplotlib import pyplot"),
    ("flow.py", "import rich"),
    ("pinn/train.py", "import tyro"),
    ("optim/certify.py", "import pepit, autolyap"),
    ("__init__.py", "from .cli import main"),
    ("novelty.py", ""),
]
PERMITTED = [
    ("optim/lion.py", "from ..flow import AbstractOptimizer\nfrom . import _base"),
    ("optim/lion.py", "import dataclasses, jax.numpy as jnp, equinox as eqx"),
    ("optim/lion.py", "from .. import _tree as tree"),
    ("mechanics/mpm/solver.py", "from ...material.elastic import Elastic"),
    ("mechanics/mpm/solver.py", "from . import grid"),
    ("mechanics/mpm/solver.py", "from ..bar import Bar"),
    ("report.py", "from .claim import Claim\nimport matplotlib"),
    ("cli.py", "import tyro\nfrom . import report, optim\nimport dynax"),
]


def test_control_a_forbidden_import_is_found():
    assert [c for c in FORBIDDEN if not violations(c[1], c[0])] == []


def test_control_a_permitted_import_is_not():
    assert [c for c in PERMITTED if violations(c[1], c[0])] == []
