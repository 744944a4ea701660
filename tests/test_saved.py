"""A solution in a file: the same function, without what made it."""

import json
import subprocess
import sys
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynax import pde, pinn
from dynax.pinn import networks


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A march, and its file."""
    ansatz = networks.Spectral(pde.Heat(), modes=4, time=networks.Legendre(6))
    out = pinn.march(ansatz, (0, 0.2), 1e-6)
    path = tmp_path_factory.mktemp("saved") / "u.zip"
    pinn.save(path, out.solution, ansatz.pde, (0, out.reached), out)
    return out, path


def test_it_is_the_same_function(written):
    out, path = written
    u = pinn.load(path)
    t, x = jnp.array([0.0, 0.07, 0.2]), jnp.linspace(0, 1, 5)[:, None]
    grid = lambda u: jax.jit(jax.vmap(jax.vmap(u, (None, 0)), (0, None)))(t, x)
    np.testing.assert_allclose(grid(u), grid(out.solution), rtol=1e-12, atol=1e-14)
    one = u(0.07, x[1])
    np.testing.assert_allclose(one, out.solution(t[1], x[1]), rtol=1e-12, atol=1e-14)
    assert u.holds and u.equation == "Heat" and u.span == (0.0, 0.2)
    assert u.certificate == out.summary and set(u.coefficients) == {"diffusion"}
    assert jnp.isnan(u(0.3, x[1])).all()  # beyond its span, as before


def test_it_needs_no_training_code(written):
    """In a process that may import nothing of what trains."""
    _, path = written
    code = f"""
import sys, jax
jax.config.update("jax_enable_x64", True)
from dynax import pinn
u = pinn.load({str(path)!r})
for name in ("dynax.pinn.marching.ansatz", "dynax.pde.heat"):
    sys.modules[name].__dict__.clear()
print(float(u(0.1, [0.3])[0]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not done.returncode, done.stderr[-1500:]
    wanted = written[0].solution(jnp.asarray(0.1), jnp.array([0.3]))[0]
    assert abs(float(done.stdout) - float(wanted)) < 1e-12


def test_what_cannot_be_read_is_told(written, tmp_path):
    _, path = written
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    about = json.loads(parts["about.json"]) | {"format": 99, "version": "7.0"}
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("about.json", json.dumps(about))
        file.writestr("program", parts["program"])
    with pytest.raises(ValueError, match="of format 99, written by dynax 7.0;"):
        pinn.load(other)
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(ValueError, match="accepted is a file that pinn.save wrote"):
        pinn.load(tmp_path / "text")
    with jax.enable_x64(False), pytest.raises(ValueError, match="x64 off"):
        pinn.load(path)
    with pytest.raises(ValueError, match="given shapes"):
        pinn.load(path)(jnp.zeros(2), jnp.zeros((2, 1)))
