"""`experiments/record.json`, and the results table in the README made from it."""

import json
import pathlib
import re

from dynax.cli._files import UsageError, plain, to_json, write
from dynax.report import Outcome, arrange, number


BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
SIZES = ("quick", "long", "full")


def add(folder: pathlib.Path, outcomes: list[Outcome], facts, size: str) -> list[str]:
    """Add a run to the record and renew the table; lines that say what was done."""
    path, record = folder / "record.json", read(folder)
    claims = [
        {**plain(c.to_dict()), "experiment": o.name, "seeds": plain(o.seeds)}
        for o in outcomes
        for c in arrange(o.claims)
    ]
    record["runs"].append({"size": size, **facts, "claims": claims})
    lines = [f"recorded in {write(path, to_json(record))}"]
    readme = folder.absolute().parent / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    if BEGIN not in text or END not in text.partition(BEGIN)[2]:
        return [*lines, f"no table renewed: {readme} has no {BEGIN} … {END}"]
    head, _, rest = text.partition(BEGIN)
    tail = rest.partition(END)[2]
    renewed = f"{head}{BEGIN}\n\n{table(record)}\n{END}{tail}"
    return [*lines, f"table renewed in {write(readme, renewed)}"]


def table(record) -> str:
    """The latest value of every claim at every size, and which run it is from. Sizes
    that state or ask something else have rows of their own."""
    cells, keys, used = {}, set(), []
    for k, run in enumerate(record["runs"]):
        seen: dict = {}
        for claim in run["claims"]:
            key = claim["experiment"], claim["id"], claim["control"]
            seen[key] = seen.get(key, 0) + 1
            key = (*key, seen[key])
            cells[key, run["size"]] = claim, k
            keys.add(key)
    rows = [
        "| Claim | Statement | Threshold | " + " | ".join(SIZES) + " |",
        "|---|---|---|" + "---|" * len(SIZES),
    ]
    for key in sorted(keys, key=_natural):
        asked: dict = {}  # sizes that ask the same stand in one row
        for size in SIZES:
            if (key, size) in cells:
                claim, _ = cells[key, size]
                what = claim["statement"], claim["threshold"]
                asked.setdefault(what, {})[size] = cells[key, size]
        for (statement, threshold), found in asked.items():
            _, id, control, _ = key
            row = [
                ("↳ " if control else "") + id,
                ("*control:* " if control else "") + statement,
                threshold,
            ]
            for size in SIZES:
                if size not in found:
                    row.append("not run")
                    continue
                claim, k = found[size]
                if k not in used:
                    used.append(k)
                row.append(_cell(claim, used.index(k) + 1))
            rows.append("| " + " | ".join(_escape(text) for text in row) + " |")
    notes = [_note(record["runs"][k], n + 1) for n, k in enumerate(used)]
    return "\n".join([*rows, "", *notes, ""])


def machine_line(machine) -> str:
    device = machine["device"]
    on = "" if device == "cpu" else f", {machine['devices']} × {device}"
    return f"{machine['cpu']}, {machine['cores']} cores{on}, {machine['system']}"


def _cell(claim, note: int) -> str:
    measured = claim["measured"]
    value = "not a number" if measured is None else number(measured)
    if claim["spread"] and None not in claim["spread"]:
        value += " ({} … {})".format(*map(number, claim["spread"]))
    mark = "✓" if claim["holds"] else f"✗ **{claim['verdict']}**"
    return f"{mark} {value} [{note}]"


def _note(run, n: int) -> str:
    commit = (run["commit"] or "no commit")[:12]
    if "local changes" in (run["commit"] or ""):
        commit += " with local changes"
    versions = ", ".join(
        f"{k} {run['versions'][k]}" for k in ("python", "jax", "dynax")
    )
    where = machine_line(run["machine"])
    when = f"size {run['size']}, {run['date'][:10]}"
    return f"- [{n}] {when}, {where}; {versions}, {commit}; {run['seconds']:.0f} s."


def _natural(key):
    """2 before 10, 2a before 2b, a control behind all claims of its number."""
    experiment, id, control, place = key
    prefix, digits, rest = re.findall(r"^(\D*)(\d*)(.*)", id)[0]
    return prefix, int(digits or 0), control, rest, place, experiment


def _escape(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def read(folder: pathlib.Path):
    """The record kept in `folder`, an empty one if there is none."""
    path = folder / "record.json"
    if not path.exists():
        return {"runs": []}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        record = None
    if not isinstance(record, dict) or not isinstance(record.get("runs"), list):
        raise UsageError(
            f"--record: {path} is not a record; accepted is a JSON object with a list "
            '"runs", or no such file.'
        )
    return record
