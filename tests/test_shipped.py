"""Some tests again, in a process that compiles as a user's does.

The others compile quickly, with another code generator: see tests/conftest.py.
"""

import os
import pathlib
import re
import subprocess
import sys


ROOT = pathlib.Path(__file__).parents[1]
TESTS = (
    "tests/test_canary.py",
    "tests/test_material.py::test_laws[sand]",
    "tests/test_mpm.py::test_a_wall_takes_what_goes_into_it",
    *(
        f"tests/test_optimizer_laws.py::test_law[heavy-{law}]"
        for law in ("jit_is_eager", "claim_is_jvp", "balances", "ledger_holds")
    ),
)


def test_as_a_user_has_it():
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    env["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "0"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) == 10
