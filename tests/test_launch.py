"""`dynax launch`: what it prints is run by bash, with stand-ins for all programs."""

import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import time

import pytest

from dynax.cli import main
from dynax.cli._launch import PLACES
from dynax.sweep.launch import Slurm, shell


ROOT = pathlib.Path(__file__).parents[1]
SWEEP = ["experiments/lion/digits.py", "--axis", "learning_rate=log:1e-4:1e-1:9"]
SHARED = [*SWEEP, "--store", "/mnt/dynax/runs/a"]
AWKWARD = [
    "experiments/my script.py",
    "--axis",
    "name=a b,*.py,[x]",
    "--note",
    'it\'s "$HOME" `date` \\ ! & ; | > ~ # é\nsecond line\n',
    "",
    "--store",
    "/mnt/dynax/my runs/a*",
]
CASES = {
    "array": "slurm --array 8 --gpus 1 --cpus 4 --memory 16G --partition g --mail a@b",
    "nodes": "slurm --nodes 2 --gpus 4 --cpus 3 --option qos=high --setup true",
    "gpu": "gpu --devices 0,1 --memory-fraction 0.4 --no-preallocate",
    "hosts": "gpu --hosts one two three --folder .",
    "ray": "ray --address 10.0.0.1:6379",
    "cluster": "ray --head 10.0.0.1 --workers one two --tpus 4 --setup true",
    "bucket": "tpu --name lion --zone z --share gs://b/ --project p --spot",
    "filestore": "tpu --name lion --zone z --share 10.0.0.2:/share --keep",
}

# A stand-in notes its name and arguments; ssh does besides what the real one does: it
# joins its arguments with spaces and has a shell read that, in the home of the host.
NOTE = """#!/bin/bash
printf '%s\\037' "${0##*/}" "$@" >"$LOG/$EPOCHREALTIME-$$"
"""
SSH = (
    NOTE
    + """
while [ "${1#-}" != "$1" ]; do shift; done
export HOME="$HOME/$1"
mkdir -p "$HOME"
shift
exec bash -c "$*"
"""
)
RAY = (
    NOTE
    + '[ "$1" != get-auth-token ] || { mkdir -p ~/.ray; echo a >~/.ray/auth_token; }'
)
GCLOUD = NOTE + 'case "$*" in *describe*) echo ACTIVE ;; esac\n'


class Stage:
    """An empty folder, stand-ins on PATH, and what they were called with."""

    def __init__(self, folder, monkeypatch):
        self.bin, self.log = folder / "bin", folder / "log"
        self.bin.mkdir()
        self.patch = monkeypatch
        for name in ("sbatch", "srun", "scontrol", "squeue", "dynax"):
            self.program(name)
        self.program("ray", RAY)
        self.program("ssh", SSH)
        self.program("gcloud", GCLOUD)
        for name in ("bash", "mkdir", "cat", "env", "sleep"):
            (self.bin / name).symlink_to(shutil.which(name) or "")
        monkeypatch.setenv("PATH", str(self.bin))
        monkeypatch.setenv("LOG", str(self.log))
        monkeypatch.setenv("HOME", str(folder))
        self.enter(folder / "work")

    def enter(self, folder):
        folder.mkdir()
        (folder / "experiments").mkdir()
        self.patch.chdir(folder)
        self.forget()

    def forget(self):
        shutil.rmtree(self.log, ignore_errors=True)
        self.log.mkdir()

    def program(self, name, text=NOTE):
        (self.bin / name).write_text(text, encoding="utf-8")
        (self.bin / name).chmod(0o755)

    def calls(self, name=""):
        texts = [p.read_text(encoding="utf-8") for p in sorted(self.log.iterdir())]
        found = [text.split("\037")[:-1] for text in texts]
        return [c for c in found if not name or c[0] == name]

    def bash(self, *argv, **env):
        return subprocess.run(
            ["bash", *argv],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture
def stage(tmp_path, monkeypatch):
    return Stage(tmp_path, monkeypatch)


@pytest.fixture
def launch(capsys):
    """Run `dynax launch`; its exit code and what it printed."""

    def run(options, sweep=SHARED, *, ok=True):
        own = options if isinstance(options, list) else shlex.split(options)
        code = main(["launch", *own, "--", *sweep])
        out, err = capsys.readouterr()
        assert not ok or code == 0, err
        return out if ok else (code, err)

    return run


def files():
    return {p.name: p.read_text("utf-8") for p in pathlib.Path("launch").glob("*.sh")}


def written(printed):
    """Run the part of a printed plan that writes the files."""
    part = printed.rpartition("\nEND\n")[0] + "\nEND\n"
    subprocess.run(["bash", "-e", "-c", part], check=True)
    return files()


# ------------------------------------------------------------------ what is printed


@pytest.mark.parametrize("sweep", [SHARED, AWKWARD], ids=["plain", "awkward"])
@pytest.mark.parametrize("case", CASES)
def test_pasting_what_is_printed_does_what_go_does(case, sweep, stage, launch):
    printed = launch(CASES[case], sweep)
    assert not stage.calls() and not pathlib.Path("launch").exists()
    assert subprocess.run(["bash", "-n"], input=printed, text=True).returncode == 0
    done = stage.bash("-e", "-c", printed)
    assert done.returncode == 0 and not done.stderr
    pasted, scripts = sorted(stage.calls()), files()
    for name in scripts:
        assert not stage.bash("-n", f"launch/{name}").stderr
    stage.enter(pathlib.Path.cwd().parent / "again")
    launch(CASES[case] + " --go", sweep)
    assert sorted(stage.calls()) == pasted and pasted
    assert files() == scripts


def test_control_bash_sees_a_broken_script(stage):
    assert stage.bash("-n", "-c", "if true; then echo 'x").returncode != 0


def directives(text):
    """As sbatch reads them: up to the first line that is neither comment nor empty."""
    found = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            break
        if line.startswith("#SBATCH "):
            found += line.removeprefix("#SBATCH ").split()
    return found


def test_directives_of_an_array(stage, launch):
    found = directives(written(launch(CASES["array"]))["dynax.sh"])
    assert found == [
        "--job-name=dynax",
        "--array=0-7",
        "--ntasks=1",
        "--cpus-per-task=4",
        "--gpus-per-node=1",
        "--mem=16G",
        "--time=01:00:00",
        "--partition=g",
        "--mail-user=a@b",
        "--mail-type=END,FAIL",
        "--output=launch/dynax-%A_%a.log",
        "--open-mode=append",
        "--signal=B:USR1@60",
        "--requeue",
    ]


def test_directives_of_several_tasks(stage, launch):
    text = written(launch(CASES["nodes"]))["dynax.sh"]
    found = directives(text)
    assert {"--nodes=2", "--ntasks-per-node=4", "--gpus-per-node=4"} < set(found)
    assert "--qos=high" in found and "--output=launch/dynax-%j.log" in found
    assert not any(word.startswith(("--array", "--gpus-per-task")) for word in found)
    assert "xla_gpu_deterministic_ops" in text
    never = written(launch("slurm --nodes 2 --restarts 0 --out launch"))["dynax.sh"]
    assert "signal=" not in never and "trap" not in never and "XLA" not in never


def test_control_a_directive_below_a_command_is_not_read():
    assert directives("#!/bin/bash\n#SBATCH --a=1\n\ntrue\n#SBATCH --b=2\n") == [
        "--a=1"
    ]


# ------------------------------------------------------------------ what it comes to


@pytest.mark.parametrize("sweep", [SHARED, AWKWARD], ids=["plain", "awkward"])
@pytest.mark.parametrize(
    "case, added",
    [
        ("array", [[]]),
        ("nodes", [["--distributed"]]),
        ("gpu", [[]]),
        ("hosts", [["--worker", f"{k}/3"] for k in range(3)]),
        ("ray", [["--ray", "10.0.0.1:6379"]]),
        ("cluster", [["--ray", "10.0.0.1:6379"]]),
        ("bucket", [["--distributed"]]),
    ],
)
def test_the_sweep_gets_its_arguments_as_they_are(case, added, sweep, stage, launch):
    launch(CASES[case] + " --go", sweep)
    stage.program(
        "srun", '#!/bin/bash\nwhile [ "$1" != dynax ]; do shift; done\n"$@"\n'
    )
    if case in ("array", "nodes"):
        assert stage.bash("launch/dynax.sh", SLURM_JOB_ID="1").returncode == 0
    elif case == "bucket":
        there = pathlib.Path.home() / "dynax-env" / "bin"
        there.mkdir(parents=True)
        shutil.copy(stage.bin / "dynax", there)
        (stage.bin / "dynax").unlink()
        assert stage.bash("launch/tpu-sweep.sh").returncode == 0
    calls = [c[1:] for c in stage.calls("dynax")]
    assert sorted(calls) == [["sweep", *sweep, *more] for more in added]


def test_control_without_quotes_they_would_not(stage):
    stage.bash("-c", "dynax sweep " + " ".join(AWKWARD[:3]))
    assert stage.calls() != [["dynax", "sweep", *AWKWARD[:3]]]
    line = shell(("dynax", *AWKWARD), width=10)
    assert line.count(" \\\n") == 3
    stage.forget()
    stage.bash("-c", line)
    assert stage.calls() == [["dynax", *AWKWARD]]


def test_settings_of_the_gpus(stage, launch, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)  # the tests' own
    names = "CUDA_VISIBLE_DEVICES XLA_CLIENT_MEM_FRACTION XLA_PYTHON_CLIENT_PREALLOCATE"
    show = f'#!/bin/bash\nfor k in {names} XLA_FLAGS; do echo "${{!k-unset}}"; done\n'
    stage.program("dynax", show)
    written(launch(CASES["gpu"]))
    out = stage.bash("launch/gpu.sh", XLA_FLAGS="--mine").stdout
    flag = "--xla_gpu_deterministic_ops=true"
    assert out.splitlines() == ["0,1", "0.4", "false", f"{flag} --mine"]
    written(launch("gpu --no-deterministic"))
    assert stage.bash("launch/gpu.sh").stdout.split() == ["unset"] * 4


def test_one_host_fails_the_others_go_on(stage, launch):
    stage.program("dynax", NOTE + 'case "$*" in *1/3) exit 5 ;; esac\n')
    code, err = launch(CASES["hosts"] + " --go", ok=False)
    assert code == 5 and len(stage.calls("dynax")) == 3
    assert "ended with exit code 5" in err
    assert pathlib.Path("launch/two.log").exists()


# --------------------------------------------------------------------- a Slurm array


def array(stage, launch, program="", **env):
    """Task 3 of 8, run by bash."""
    stage.program("dynax", NOTE + 'echo "$SLURM_ARRAY_TASK_ID"\n' + program)
    written(launch("slurm --array 8 --restarts 2"))
    slurm = {
        "SLURM_JOB_ID": "107",
        "SLURM_ARRAY_JOB_ID": "100",
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_ARRAY_TASK_COUNT": "8",
    }
    return subprocess.Popen(
        ["bash", "launch/dynax.sh"],
        env={**os.environ, **slurm, **env},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("code", [0, 3])
def test_array_task(code, stage, launch):
    task = array(stage, launch, f"exit {code}\n")
    out, _ = task.communicate(timeout=30)
    assert out == "3\n" and task.returncode == code
    assert stage.calls() == [["dynax", "sweep", *SHARED]]


@pytest.mark.parametrize("restarts, queued", [(None, True), ("1", True), ("2", False)])
def test_when_its_time_is_up_a_task_queues_itself_again(
    restarts, queued, stage, launch
):
    env = {} if restarts is None else {"SLURM_RESTART_COUNT": restarts}
    task = array(stage, launch, "sleep 0.8\necho end\nexit 4\n", **env)
    assert task.stdout is not None and task.stdout.readline() == "3\n"
    for _ in range(2):
        time.sleep(0.15)
        task.send_signal(signal.SIGUSR1)
    out, _ = task.communicate(timeout=30)
    assert out == "end\n" and task.returncode == 4  # the worker was left in peace
    asked = [["scontrol", "requeue", "100_3"]] * 2
    assert stage.calls("scontrol") == (asked if queued else [])


def test_control_without_the_trap_the_signal_ends_the_task(stage, launch):
    task = array(stage, launch, "sleep 0.8\n")
    script = pathlib.Path("launch/dynax.sh")
    task.communicate(timeout=30)
    script.write_text(script.read_text("utf-8").replace("trap again USR1", ""))
    task = subprocess.Popen(["bash", str(script)])
    time.sleep(0.3)
    task.send_signal(signal.SIGUSR1)
    assert task.wait(timeout=30) == -signal.SIGUSR1


# ------------------------------------------------------------------------------ --go


def verbs(stage):
    """`gcloud compute tpus tpu-vm ssh …` → `tpu-vm ssh`, and other programs."""
    calls = stage.calls()
    return [" ".join(c[3:5] if c[1] == "compute" else c[:3]) for c in calls]


TPU = [
    "queued-resources create",
    "queued-resources describe",
    "tpu-vm scp",
    "tpu-vm ssh",
    "tpu-vm ssh",
    "gcloud storage rsync",
    "queued-resources delete",
]


def test_go_on_a_tpu(stage, launch):
    out = launch(CASES["bucket"] + " --go")
    assert verbs(stage) == TPU
    create, _, scp, install, run, rsync, delete = stage.calls()
    assert {"lion", "--node-id=lion", "--zone=z", "--project=p", "--spot"} < set(create)
    assert "--accelerator-type=v5litepod-16" in create
    assert "--runtime-version=v2-alpha-tpuv5-lite" in create
    assert {"launch/tpu-setup.sh", "launch/tpu-sweep.sh", "lion:"} < set(scp)
    assert "--worker=all" in install and "--command=bash tpu-setup.sh" in install
    assert "--worker=all" in run and "--command=bash tpu-sweep.sh" in run
    assert rsync[3:] == ["gs://b/runs/a", "runs/a", "--recursive"]
    assert pathlib.Path("runs/a").is_dir()
    assert {"lion", "--force", "--quiet"} < set(delete)
    assert "#   gcloud compute tpus tpu-vm ssh lion" in out


@pytest.mark.parametrize("at", range(len(TPU)))
def test_go_stops_at_what_fails(at, stage, launch):
    stage.program("gcloud", GCLOUD + f'set -- "$LOG"/*; [ $# -ne {at + 1} ]')
    code, err = launch(CASES["bucket"] + " --go", ok=False)
    assert verbs(stage) == TPU[: at + 1]
    assert code == 1 and "exit code 1" in err
    assert ("queued-resources delete" in err.partition("Not run:")[2]) == (at < 6)


@pytest.mark.parametrize("state, code", [("FAILED", 1), ("ACTIVE", 0)])
def test_waiting_for_a_slice(state, code, stage, launch):
    script = written(launch(CASES["bucket"]))["tpu-wait.sh"]
    assert "--format=value(state.state)" in script
    stage.program("gcloud", f"#!/bin/bash\necho {state}\n")
    assert stage.bash("launch/tpu-wait.sh").returncode == code
    stage.program("gcloud", "#!/bin/bash\nexit 2\n")
    assert stage.bash("launch/tpu-wait.sh").returncode != 0


def test_setting_up_a_host(stage, launch):
    for name in ("sudo", "python3", "gcsfuse", "mountpoint", "id", "mount.nfs"):
        stage.program(name)
    stage.program("mountpoint", NOTE + "exit 1\n")
    written(launch(CASES["bucket"] + " --install 'a b' --mount /mnt/dynax"))
    assert stage.bash("launch/tpu-setup.sh").returncode == 0
    install = stage.calls("python3")[-1]
    assert install[-2:] == ["a b", "jax[tpu]"]
    assert stage.calls("gcsfuse")[0][-2:] == ["b", "/mnt/dynax"]
    written(launch(CASES["filestore"]))
    assert stage.bash("launch/tpu-setup.sh").returncode == 0
    mount = ["sudo", "mount", "-t", "nfs", "10.0.0.2:/share", "/mnt/dynax"]
    assert stage.calls("sudo")[-1] == mount
    stage.program("python3", NOTE + "exit 1\n")
    assert stage.bash("launch/tpu-setup.sh").returncode != 0  # and does not go on
    assert stage.calls("sudo")[-1] == mount and stage.calls()[-1][0] == "python3"


def test_go_on_ray(stage, launch):
    launch(CASES["cluster"] + " --go")
    start = ["--port=6379", '--resources={"TPU": 4}']
    join = ["ray", "start", "--address=10.0.0.1:6379", start[1]]
    stop = ["ray", "stop"]
    head = ["ray", "start", "--head", "--node-ip-address=10.0.0.1", *start]
    here = [c for c in stage.calls() if c[0] in ("ray", "dynax")]
    sweep = ["dynax", "sweep", *SHARED, "--ray", "10.0.0.1:6379"]
    token = ["ray", "get-auth-token", "--generate"]
    assert here == [token, head, join, join, sweep, stop, stop, stop]
    assert [c[2] for c in stage.calls("ssh")[2:]] == ["one", "two", "one", "two"]


def test_the_token_of_ray(stage, launch):
    home = pathlib.Path.home()
    (home / "two" / ".ray").mkdir(parents=True)
    (home / "two" / ".ray" / "auth_token").write_text("its own\n")
    stage.program("dynax", '#!/bin/bash\necho "$RAY_AUTH_MODE" >"$HOME/mode"\n')
    launch(CASES["cluster"] + " --go")
    tokens = [home / host / ".ray" / "auth_token" for host in ("", "one", "two")]
    assert [t.read_text() for t in tokens] == ["a\n", "a\n", "its own\n"]
    assert [oct(t.stat().st_mode)[-3:] for t in tokens[:2]] == ["600", "600"]
    assert (home / "mode").read_text() == "token\n"
    (stage.bin / "dynax").unlink()
    stage.program("dynax")
    launch(CASES["ray"] + " --go")  # a cluster that is there has its own ways
    assert stage.calls()[-1] == ["dynax", "sweep", *SHARED, "--ray", "10.0.0.1:6379"]


def test_go_on_slurm_queues_and_nothing_else(stage, launch):
    out = launch(CASES["array"] + " --go")
    assert stage.calls() == [["sbatch", "launch/dynax.sh"]]
    assert "#   dynax sweep status /mnt/dynax/runs/a" in out
    stage.program("sbatch", NOTE + "kill -9 $$\n")
    assert launch(CASES["array"] + " --go", ok=False)[0] == 128 + 9


def test_nothing_is_overwritten(stage, launch):
    launch(CASES["array"] + " --go")
    launch(CASES["array"] + " --go")  # the same files: fine
    assert len(stage.calls("sbatch")) == 2
    kept = files()
    code, err = launch(CASES["array"] + " --time 2:00:00 --go", ok=False)
    assert code == 2 and files() == kept and len(stage.calls("sbatch")) == 2
    assert "--out: given launch, in which dynax.sh exists and differs" in err
    launch(CASES["array"] + " --time 2:00:00 --go --out other")
    assert stage.calls()[-1] == ["sbatch", "other/dynax.sh"]


@pytest.mark.parametrize(
    "case, programs",
    [
        ("array", "sbatch"),
        ("hosts", "ssh"),
        ("cluster", "ray, ssh"),
        ("bucket", "gcloud"),
    ],
)
def test_a_missing_program_is_named_before_anything_is_done(
    case, programs, stage, launch
):
    for name in programs.split(", "):
        (stage.bin / name).unlink()
    code, err = launch(CASES[case] + " --go", ok=False)
    assert code == 2 and err.startswith(f"dynax: --go: {programs} not found on this")
    assert not stage.calls() and not pathlib.Path("launch").exists()


def test_what_is_to_be_copied_is_there_before_anything_is_paid_for(stage, launch):
    pathlib.Path("experiments").rmdir()
    code, err = launch(CASES["bucket"] + " --go", ok=False)
    assert code == 2 and "--copy: given experiments, which is not there" in err
    assert not stage.calls() and not pathlib.Path("launch").exists()


# ------------------------------------------------------------------- bad input, help


TO_TPU = "tpu --name n --zone z --share gs://b -- experiments/x.py --store /mnt/dynax/a"


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("", "launch: none given; accepted are tpu, gpu, slurm, ray"),
        ("nix", "launch: given 'nix'; accepted are tpu, gpu, slurm, ray"),
        ("slurm --array 2", "sweep: none given after --"),
        ("slurm --array 2 --", "sweep: none given after --"),
        ("slurm --array 2 -- dynax sweep x.py", "sweep: given 'dynax' first"),
        ("slurm --array 2 -- x.py --worker 0/2 --store s", "--worker: given after --"),
        ("slurm --array 2 -- x.py --ray=local --store s", "--ray: given after --"),
        ("slurm --array 2 -- x.py", "--store: none given after --"),
        ("slurm --array 2 -- x.py --store", "--store: none given after --"),
        ("slurm --array x -- x.py", "--array: given 'x'; accepted is INT"),
        ("slurm --arry 2 -- x.py", "--arry: not an argument of `dynax launch slurm`"),
        ("slurm --array 2 x.py", "x.py: not an argument of `dynax launch slurm`"),
        ("slurm -- x.py --store s", "--array: given 0 and --nodes 0"),
        ("slurm --array 2 --nodes 2 -- x.py --store s", "--array: given 2 and --no"),
        ("slurm --array -1 -- x.py --store s", "--array: given -1"),
        ("slurm --nodes 2 --gpus 4 --tasks-per-node 2 -- x.py", "--tasks-per-node: g"),
        ("slurm --array 2 --option a=b#c -- x.py --store s", "--a: given '--a=b#c'"),
        ("gpu --memory-fraction 40 -- x.py", "--memory-fraction: given 40.0"),
        ("gpu --hosts a b -- x.py --store s", "--folder: none given with --hosts"),
        ("ray -- x.py", "--address: given '' and --head ''"),
        ("ray --address a --workers b -- x.py", "--address: given 'a' and --head ''"),
        ("tpu --zone z -- x.py", "--name, --share: none given; see `dynax launch tpu"),
        (
            "tpu --name n --zone z --share s3://b -- x.py --store runs/a",
            "--store: give",
        ),
        (
            "tpu --name n --zone z --share gs://b -- x.py --store /mnt/dynax/../a",
            "--st",
        ),
        (
            TO_TPU.replace("gs:", "s3:"),
            "--share: given 's3://b'; accepted is gs://BUCK",
        ),
        (TO_TPU.replace("experiments", "mine"), "--copy: given experiments; accepted"),
        (
            TO_TPU.replace("tpu", "tpu --accelerator-type tpu7x-8", 1),
            "--accelerator-type: given tpu7x-8; accepted without --version are",
        ),
    ],
)
def test_bad_input_is_one_sentence(arguments, words, stage, capsys):
    assert main(["launch", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith(f"dynax: {words}") and err.count("\n") == 1
    assert err.endswith(".\n") and "Traceback" not in err
    assert not stage.calls() and not pathlib.Path("launch").exists()


@pytest.mark.parametrize("place", ["", *PLACES])
def test_help_teaches(place, capsys):
    assert main(["launch", *place.split(), "--help"]) == 0
    assert f"\n  dynax launch {place or 'slurm'}" in capsys.readouterr().out


def examples():
    texts = [text for _, text in PLACES.values()]
    texts.append((ROOT / "docs" / "how-to" / "launch.md").read_text("utf-8"))
    joined = "\n".join(texts).replace("\\\n", " ")
    return re.findall(r"^ *dynax (launch (?:tpu|gpu|slurm|ray) .*)$", joined, re.M)


@pytest.mark.parametrize("line", examples())
def test_examples_of_help_and_docs(line, stage, capsys):
    assert main(shlex.split(line)) == 0, capsys.readouterr().err


def test_a_plan_needs_no_machine_and_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = Slurm(array=2).plan(SHARED, "out")
    assert list(plan.files) == ["out/dynax.sh"] and not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"^array: given 0 and --nodes 0; accepted"):
        Slurm().plan(SHARED, "out")
