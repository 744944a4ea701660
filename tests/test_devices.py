"""Trainings on several devices, in processes of their own."""

import pathlib

from experiments._virtual import run


def test_devices_share_the_points():
    """On 8 virtual devices the result is that of one."""
    script = pathlib.Path(__file__).with_name("sharded_pinn.py")
    assert run(str(script), devices=8) == "ok\n"
