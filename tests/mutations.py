"""Mistakes of one line, each with the tests that must notice it.

`python scripts/mutate.py` makes them one at a time, in a copy of the tree. A mistake
that no test notices shows a gap: close it with a stronger test, never by leaving the
mistake out. `old` stands once in its file.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    """In `file` of dynax, `new` in the place of `old`; `tests` are ids for pytest."""

    file: str
    old: str
    new: str
    tests: str


MUTATIONS = [
    # energies, ledgers, verdicts
    Mutation(
        "_reduce.py",
        "rest = _plain(entries, *(a[slices * LANES :]",
        "rest = _plain(entries, *(a[slices * LANES + 1 :]",
        "test_lyapunov.py::test_one_pass",
    ),
    Mutation(
        "lyapunov/_derivative.py",
        "tangents = jnp.ones_like(t), field",
        "tangents = jnp.zeros_like(t), field",
        "test_lyapunov.py::test_lie_derivative_of_a_time_dependent_energy",
    ),
    Mutation(
        "lyapunov/_tally.py",
        "good & (check.margin < -check.tolerance)",
        "good & (check.margin < -2 * check.tolerance)",
        "test_lyapunov.py::test_verdicts",
    ),
    Mutation(
        "lyapunov/_tally.py",
        "jnp.minimum(p.first, q.first)",
        "jnp.maximum(p.first, q.first)",
        "test_lyapunov.py::test_tally_is_a_monoid",
    ),
    Mutation(
        "lyapunov/_verdict.py",
        "SHARE = 0.5",
        "SHARE = 0.4",
        "test_trust.py::test_the_limits_of_sight",
    ),
    Mutation(
        "lyapunov/_tally.py",
        "VISIBLE = 0.1",
        "VISIBLE = 0.2",
        "test_trust.py::test_the_limits_of_sight",
    ),
    Mutation(
        "monitor/_optax.py",
        "state.count % every == 0",
        "state.count % every == 1",
        "test_lyapunov.py::test_ledger_is_found_in_the_state",
    ),
    Mutation(
        "monitor/_rates.py",
        "clear = (rho < 1) & (v_next > 1e3 * tolerance)",
        "clear = (rho < 1) & (v_next > 1e-3 * tolerance)",
        "test_classical.py::test_rates_of_a_run",
    ),
    # potentials
    Mutation(
        "kappa/separable.py",
        "return jnp.where(small, near, far) / (2 * _as(self.scale, y))",
        "return jnp.where(small, near, far) / _as(self.scale, y)",
        "test_kappa.py::test_conjugate_against_brute_force",
    ),
    Mutation(
        "kappa/spectral.py",
        "share = min(max(shape) * unit, unit**0.5)",
        "share = 0.0 * max(shape) * unit",
        "test_relatives.py::test_the_least_subgradient_is_taken",
    ),
    # optimizers
    Mutation(
        "optim/_lion_balance.py",
        '"dissipation_2": w.c * dm * (v_next - v),',
        '"dissipation_2": w.c * dm * v_next,',
        "test_optimizer_laws.py::test_law[lion-l1-explicit-0.5-balances]",
    ),
    Mutation(
        "optim/adam.py",
        "Check(1 - self.ratio / 4, slack)",
        "Check(1 - self.ratio / 3.9, slack)",
        "test_adaptive.py::test_condition",
    ),
    Mutation(
        "optim/heavy_ball.py",
        "        del t, lr\n        (rate,) = scalars(x, 2 * self.damping / 3)",
        "        del t, lr\n        (rate,) = scalars(x, self.damping / 2)",
        "test_classical.py::test_lyapunov_functions_are_those_printed",
    ),
    Mutation(
        "optim/nesterov_sc.py",
        "1 - jnp.sqrt(jnp.asarray(self.strong_convexity)) * lr",
        "1 - jnp.sqrt(jnp.asarray(self.strong_convexity)) * lr / 2",
        "test_classical.py::test_wrong_rate_of_map_is_rejected",
    ),
    Mutation(
        "optim/_polar.py",
        "PRACTICAL = (3.4445, -4.7750, 2.0315)",
        "PRACTICAL = (3.4445, -4.7750, 2.0325)",
        "test_relatives.py::test_equals_optax",
    ),
    # dynamics and landscape
    Mutation(
        "dynamics/_walk.py",
        "ddof=min(1, count - 1)) / count**0.5",
        "ddof=min(1, count - 1)) / count",
        "test_dynamics.py::test_error_bars_are_those_of_repetition",
    ),
    Mutation(
        "dynamics/_starts.py",
        "divmod(plan.discard, plan.every)",
        "divmod(0, plan.every)",
        "test_dynamics.py::test_exponent_of_training",
    ),
    Mutation(
        "landscape/thresholds.py",
        "(2 + 2 * beta) / ((1 + 2 * beta) * lr)",
        "(2 + 2 * beta) / ((1 + beta) * lr)",
        "test_landscape.py::test_threshold_formulas",
    ),
    Mutation(
        "landscape/curvature.py",
        "jax.flatten_util.ravel_pytree(out)[0].astype(dtype) / root",
        "jax.flatten_util.ravel_pytree(out)[0].astype(dtype)",
        "test_landscape.py::test_preconditioned_sharpness",
    ),
    # differential equations
    Mutation(
        "pde/etdrk4.py",
        "(-4 - 3 * r - r * r + whole * (4 - r)) * cube",
        "(-4 - 3 * r + r * r + whole * (4 - r)) * cube",
        "test_references.py::test_coefficients_at_zero_and_far_from_it",
    ),
    Mutation(
        "pde/etdrk4.py",
        "def mask(self, part: float = 1 / 3)",
        "def mask(self, part: float = 1 / 2)",
        "test_references.py::test_a_product_aliases_to_nothing",
    ),
    Mutation(
        "pde/kdv.py",
        "d.u**2 / 2 + self.delta**2 * d.xx",
        "d.u**2 / 2 - self.delta**2 * d.xx",
        "test_pde.py::test_energies_balance[KdV]",
    ),
    Mutation(
        "pde/burgers.py",
        "to_modes(to_grid(u_hat) ** 2 / 2)",
        "to_modes(to_grid(u_hat) ** 2)",
        "test_pde.py::test_symbol_and_nonlinear_make_the_equation",
    ),
    Mutation(
        "pde/_quadrature.py",
        "ends[k] * 2 / (1 - k**2)",
        "ends[k] * 2 / (1 + k**2)",
        "test_pde_ledger.py::test_quadratures",
    ),
    # second order
    Mutation(
        "newton/levenberg_marquardt.py",
        "jnp.where(ratio > 1 / 4, less",
        "jnp.where(ratio > 3 / 4, less",
        "test_newton.py::test_the_damping_follows_its_rule",
    ),
    Mutation(
        "newton/levenberg_marquardt.py",
        "jnp.where(ratio > 0.01, 1, 2)",
        "jnp.where(ratio > 0.01, 1, 1)",
        "test_newton.py::test_the_damping_follows_its_rule",
    ),
    Mutation(
        "newton/_forms.py",
        "least = _round_off(g) * jnp.min(share, where=share > 0, initial=1)",
        "least = _round_off(g)",
        "test_newton.py::test_published_minima_are_found",
    ),
    Mutation(
        "newton/ssbroyden.py",
        "theta = jnp.minimum(1 / lowest, (1 - b) / b)",
        "theta = jnp.minimum(1 / lowest, 1 - b)",
        "test_newton.py::test_update_is_that_of_the_paper",
    ),
    # materials
    Mutation(
        "material/von_mises.py",
        "/ (2 * mu)",
        "/ (3 * mu)",
        "test_material.py::test_von_mises_is_the_closest_point",
    ),
    Mutation(
        "material/drucker_prager.py",
        "2 * sine / (3 - sine)",
        "2 * sine / (3 + sine)",
        "test_material.py::test_sand_lies_on_its_cone",
    ),
    Mutation(
        "material/maxwell.py",
        "own = 2 * self._branch",
        "own = self._branch",
        "test_material.py::test_laws[Maxwell-3]",
    ),
    Mutation(
        "material/neo_hookean.py",
        "along = mu + lam * (1 - log_volume(F))",
        "along = mu + lam * (1 + log_volume(F))",
        "test_material.py::test_waves_are_not_faster_than_said",
    ),
    Mutation(
        "material/_polar.py",
        "spherical(jnp.ones_like(size), 3) - S / size",
        "spherical(jnp.ones_like(size), 3) + S / size",
        "test_kinematics.py::test_derivatives",
    ),
    # bodies
    Mutation(
        "mechanics/mpm/transfer.py",
        "jnp.stack([-f, 1 - f, 2 - f])",
        "jnp.stack([-f, f - 1, 2 - f])",
        "test_mpm.py::test_transfer_is_the_sum_over_all_nodes",
    ),
    Mutation(
        "mechanics/mpm/ledger.py",
        '"motion": jnp.sum(m * b.v * (v - a.v)) / 2,',
        '"motion": jnp.sum(m * b.v * (b.v - a.v)),',
        "test_mpm.py::test_the_energy_of_a_vibration_falls",
    ),
    Mutation(
        "mechanics/ledger.py",
        '"fall": Check(fed - change, slack),',
        '"fall": Check(fed + jnp.abs(change), slack),',
        "test_mechanics.py::test_ledger_of_a_solve_and_its_controls",
    ),
    Mutation(
        "mechanics/projected.py",
        "terms, t0, t1, y0, args, solver_state, True",
        "terms, t0, t1, y0, args, solver_state, False",
        "test_mechanics.py::test_projected_fixes_what_solvers_remember",
    ),
    # what is kept
    Mutation(
        "checkpoint/_scan.py",
        "marks[k + n] = _digest.short(marks[k] + part)",
        "marks[k + n] = _digest.short(marks[k])",
        "test_checkpoint.py::test_the_folder_of_another_run_is_refused",
    ),
    Mutation(
        "_digest.py",
        "_mix(place + jnp.uint32(seed))",
        "_mix(0 * place + jnp.uint32(seed))",
        "test_checkpoint.py::test_a_checksum_sees_every_bit_and_its_place",
    ),
    # networks
    Mutation(
        "pinn/causal.py",
        "jnp.concatenate([jnp.zeros_like(losses[:1]), losses[:-1]]).cumsum()",
        "losses.cumsum()",
        "test_causal.py::test_the_formula",
    ),
    Mutation(
        "pinn/weighting.py",
        "b + tree.cast(decay, a.dtype) * (a - b)",
        "a + tree.cast(decay, a.dtype) * (b - a)",
        "test_weighting.py::test_average_of_constants",
    ),
    Mutation(
        "pinn/sampling.py",
        "size = size ** cast(self.power, size.dtype)",
        "size = size * cast(self.power, size.dtype)",
        "test_weighting.py",
    ),
    Mutation(
        "pinn/networks/features.py",
        "2 * jnp.pi / (upper - lower) * (s - lower)",
        "jnp.pi / (upper - lower) * (s - lower)",
        "test_networks.py::test_periodic_with_all_derivatives",
    ),
    Mutation(
        "pinn/certificate.py",
        "if e.relative + e.doubt <= rtol:",
        "if e.relative <= rtol:",
        "test_estimate.py::test_what_is_made_of_an_estimate",
    ),
    # sweeps
    Mutation(
        "sweep/engine.py",
        "begin = at - at % batch",
        "begin = at",
        "test_sweep_store.py::test_what_parts_do_not_cover",
    ),
    Mutation(
        "sweep/store.py",
        "if part.program != (known or part.program):",
        "if False:",
        "test_sweep_store.py",
    ),
    Mutation(
        "sweep/ranges.py",
        "u * (np.log(self.high) - np.log(self.low))",
        "u * np.log(self.high / self.low / 2)",
        "test_sweep_points.py::test_distributions",
    ),
    Mutation(
        "sweep/search.py",
        "return out.reshape(-1, inner).mean(axis=1)",
        "return np.nanmean(out.reshape(-1, inner), axis=1)",
        "test_sweep_search.py::test_a_trial_fails_when_one_of_its_points_does",
    ),
    # claims and what is told of them
    Mutation(
        "claim.py",
        "return measured <= self.value",
        "return measured < self.value",
        "test_studies.py::test_bounds",
    ),
    Mutation(
        "report/_outcome.py",
        "hold=sum(bool(c.holds) for c in claims)",
        "hold=len(claims)",
        "test_report.py::test_summary_is_good_only_if_everything_is",
    ),
    Mutation(
        "report/_outcome.py",
        "rejected=sum(bool(c.holds) for c in controls)",
        "rejected=len(controls)",
        "test_report.py::test_summary_is_good_only_if_everything_is",
    ),
]
