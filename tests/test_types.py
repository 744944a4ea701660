"""Annotations are true: jaxtyping and beartype check them while some tests run.

Those tests pass through every optimizer and most of the rest, and compile little.
`scripts/test.sh --jaxtyping-packages=dynax.optim,beartype.beartype` does it to others.
"""

import pathlib
import subprocess
import sys


ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = "kappa optim flow lyapunov monitor newton pde pinn material mechanics"
HOOK = ",".join([*(f"dynax.{name}" for name in PACKAGES.split()), "beartype.beartype"])
STUDIES = "gradients", "allen_cahn", "lorenz"
TESTS = (
    "tests/test_traces.py",
    "tests/test_optimizer_laws.py::test_structure",
    *(f"tests/test_experiments.py::test_run_is_pure_and_traces[{s}]" for s in STUDIES),
)
CHILD = """
import sys, pytest
failed = pytest.main(sys.argv[1:])
import jax.numpy as jnp
from jaxtyping import TypeCheckError
from dynax.pinn.causal import before
try:
    before(jnp.ones((2, 3)), 1.0)
except TypeCheckError:
    print("a wrong shape is noticed")
sys.exit(failed)
"""


def test_annotations_are_true():
    options = "-q", "-p", "no:cacheprovider", f"--jaxtyping-packages={HOOK}"
    command = [sys.executable, "-c", CHILD, *options, *TESTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    assert "a wrong shape is noticed" in done.stdout
