"""Builds what a checkout needs: ``.venv`` from the hashed lock, and a Prometheus in ``.tools``.

Needs Python's standard library and nothing else, needs no root, and changes nothing outside of this
folder. Idempotent, quick when nothing changed, safe to run twice at once and after a crash.

Not a command (``dev.py`` is), and not part of the distribution: a cluster runs ``seatrial`` from a
plain ``pip install``.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
LOCK = ROOT / "requirements.lock"
PYPROJECT = ROOT / "pyproject.toml"
STAMP = VENV / "seatrial-setup.json"
UNFINISHED = TOOLS / "setup-unfinished"
LOG = TOOLS / "setup.log"
PROMETHEUS = TOOLS / "prometheus" / "usr" / "bin" / "prometheus"

STEP_TIMEOUT_S = 1800.0
LOCK_TIMEOUT_S = 1800.0
LOG_TAIL_LINES = 25


class Stop(Exception):  # noqa: N818 - not an error of ours: the machine lacks something
    """Ends the command with a message for a person and exit code 2."""


def say(text: str) -> None:
    """Print one line at once, so that it stands before what a child prints next."""
    print(text, flush=True)


def logged(*command: str | Path, cwd: Path = ROOT) -> bool:
    """Run ``command`` with its output at the end of the log; True when it succeeded."""
    with LOG.open("a", encoding="utf-8") as log:
        log.write(f"$ {' '.join(map(str, command))}\n")
        log.flush()
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_USER": "0"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=STEP_TIMEOUT_S,
            check=False,
            close_fds=False,
        )
    return done.returncode == 0


def log_tail() -> str:
    """Return the end of the log, indented."""
    lines = LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
    return "\n".join(f"  | {line}" for line in lines)


@contextlib.contextmanager
def only_one_setup(file: Path, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold the lock of this checkout's setup; the kernel frees it however this process ends."""
    file.parent.mkdir(parents=True, exist_ok=True)
    deadline, told = time.monotonic() + timeout_s, False
    with file.open("a", encoding="utf-8") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Stop(f"another setup has held {file} for {timeout_s:.0f} s") from None
                if not told:
                    say("setup: another one is at work here, waiting for it")
                told = True
                time.sleep(0.2)
        # Children hold it too: a pip that outlives a killed setup keeps the next one waiting.
        os.set_inheritable(handle.fileno(), True)
        yield


def stamp_of(lock: str, pyproject: str, python: str, root: Path) -> dict[str, str]:
    """Return what an environment depends on; equal stamps mean there is nothing to do.

    ``base`` covers what only a new environment can follow: the interpreter's minor version, and the
    folder, which is spelled out in every script of it. ``content`` covers the locked packages and
    the metadata of seatrial; the settings of linters in the same file do not count.
    """
    import tomllib  # not at the top: absent from the Pythons that we refuse with a message

    tables = tomllib.loads(pyproject)
    metadata = {name: tables.get(name) for name in ("build-system", "project", "dependency-groups")}
    metadata["hatch"] = tables.get("tool", {}).get("hatch")
    content = lock + json.dumps(metadata, sort_keys=True)
    return {
        "base": f"{python} {root}",
        "content": hashlib.sha256(content.encode()).hexdigest(),
    }


def wanted_stamp() -> dict[str, str]:
    """Return the stamp of an environment that is in step with this checkout."""
    return stamp_of(
        LOCK.read_text(encoding="utf-8"),
        PYPROJECT.read_text(encoding="utf-8"),
        f"{sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]}",
        ROOT,
    )


def found_stamp() -> dict[str, str] | None:
    """Return the stamp of the last setup that ended well, or None."""
    if UNFINISHED.exists() or not (VENV / "bin" / "python").exists():
        return None
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None


def must_rebuild(found: Mapping[str, str] | None, wanted: Mapping[str, str]) -> bool:
    """Say whether the environment is to be made anew rather than brought up to date.

    An environment that somebody made by hand (no stamp, but a working interpreter of the same
    minor version with pip) is adopted.
    """
    if UNFINISHED.exists() or not (VENV / "bin" / "python").exists():
        return True
    if found is not None:
        return found.get("base") != wanted["base"]
    question = "import sys, pip; print(sys.prefix, '%d.%d' % sys.version_info[:2])"
    asked = subprocess.run(
        [VENV / "bin" / "python", "-c", question],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return asked.stdout.split() != [str(VENV), f"{sys.version_info[0]}.{sys.version_info[1]}"]


def setup_packages() -> None:
    """Bring ``.venv`` in step with the lock; the caller holds the lock of the setup."""
    wanted, found = wanted_stamp(), found_stamp()
    if found == wanted:
        return
    LOG.write_text("", encoding="utf-8")
    rebuild = must_rebuild(found, wanted)
    UNFINISHED.touch()
    STAMP.unlink(missing_ok=True)
    if rebuild:
        discard(VENV)
        make_venv()
    python = VENV / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--no-input", "--progress-bar", "off")
    say("setup: installing the locked packages (a minute or two when none is cached)")
    started = time.monotonic()
    if not logged(*pip, "--require-hashes", "-r", LOCK):
        raise Stop(f"the locked packages could not be installed:\n{log_tail()}\n  whole log: {LOG}")
    if not logged(*pip, "--no-deps", "--no-build-isolation", "-e", ROOT):
        raise Stop(f"seatrial itself could not be installed:\n{log_tail()}\n  whole log: {LOG}")
    STAMP.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
    UNFINISHED.unlink()
    say(f"setup: packages installed in {time.monotonic() - started:.0f} s")


def discard(folder: Path) -> None:
    """Remove ``folder``; interrupted, it leaves the folder whole or out of the way."""
    if folder.exists() or folder.is_symlink():
        away = TOOLS / f"old-{folder.name}-{os.getpid()}"
        folder.rename(away)
    for old in TOOLS.glob(f"old-{folder.name}-*"):
        if old.is_symlink():
            old.unlink()
        else:
            shutil.rmtree(old)


def make_venv() -> None:
    """Make ``.venv`` with pip in it, also where Debian left out ``python3-venv``."""
    say(f"setup: making .venv with Python {sys.version.split()[0]}")
    if importlib.util.find_spec("ensurepip") is not None:
        if not logged(sys.executable, "-m", "venv", VENV):
            raise Stop(f"the virtual environment could not be made:\n{log_tail()}")
        return
    advice = (
        "this Python has no ensurepip, and Debian's pip could not be fetched instead. Install it:\n"
        f"  sudo apt-get install python3.{sys.version_info[1]}-venv"
    )
    if not logged(sys.executable, "-m", "venv", "--without-pip", VENV):
        raise Stop(f"{advice}\n{log_tail()}")
    with debian_files("python3-pip-whl") as content:
        wheels = sorted(content.glob("usr/share/python-wheels/pip-*.whl"))
        if not wheels:
            raise Stop(advice)
        wheel = wheels[-1]
        # A wheel is a zip file, and pip runs from inside of it.
        if not logged(VENV / "bin" / "python", wheel / "pip", "install", "--no-index", wheel):
            raise Stop(f"{advice}\n{log_tail()}")


@contextlib.contextmanager
def debian_files(package: str) -> Iterator[Path]:
    """Yield a folder with the files of a Debian package, empty when it cannot be had, then drop it.

    Needs no root and touches no list of the system: without usable package lists, apt reads its
    sources into lists of our own.
    """
    folder = TOOLS / f"fetch-{package}"
    shutil.rmtree(folder, ignore_errors=True)
    content = folder / "content"
    content.mkdir(parents=True)
    try:
        if shutil.which("apt-get") and shutil.which("dpkg-deb"):
            bounded = ("-o", "Acquire::http::Timeout=30", "-o", "Acquire::Retries=2")
            apt = ("apt-get", "-q", *bounded, "-o", "APT::Sandbox::User=root")
            own = (*apt, "-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}")
            (folder / "lists" / "partial").mkdir(parents=True)
            (folder / "archives" / "partial").mkdir(parents=True)
            if logged(*apt, "download", package, cwd=folder) or (
                logged(*own, "update") and logged(*own, "download", package, cwd=folder)
            ):
                for archive in folder.glob("*.deb"):
                    logged("dpkg-deb", "-x", archive, content)
        yield content
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prometheus_version(program: str | Path) -> str | None:
    """Return what ``program --version`` says of itself, or None when it does not run."""
    try:
        asked = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = re.match(r"prometheus, version (\S+)", asked.stdout or asked.stderr)
    return said[1] if said and asked.returncode == 0 else None


def setup_prometheus() -> str | None:
    """Find Prometheus, or fetch Debian's; return a phrase about it, None when it cannot be had."""
    on_path = shutil.which("prometheus")
    for program in (on_path, PROMETHEUS):
        version = prometheus_version(program) if program else None
        if version:
            return f"Prometheus {version} ({'PATH' if program == on_path else '.tools'})"
    say("setup: fetching Prometheus from Debian (about 20 MB)")
    with debian_files("prometheus") as content:
        version = prometheus_version(content / PROMETHEUS.relative_to(TOOLS / "prometheus"))
        if version is None:
            return None
        (content / "VERSION").write_text(f"{version}\n", encoding="utf-8")
        discard(TOOLS / "prometheus")
        content.rename(TOOLS / "prometheus")
    return f"Prometheus {version} (.tools)"


def packages() -> None:
    """Make sure of the locked packages: what formatting, linting and typing need."""
    if found_stamp() != wanted_stamp():
        with only_one_setup(TOOLS / "setup.lock"):
            setup_packages()


def setup(*, need_prometheus: bool = False) -> None:
    """Make sure of everything; idempotent, and safe to run twice at once or after a crash."""
    with only_one_setup(TOOLS / "setup.lock"):
        setup_packages()
        prometheus = setup_prometheus()
    if prometheus is None:
        lack = (
            "no Prometheus on PATH, and none could be fetched with apt-get; "
            "the sandbox needs one (2.40 or later), a cluster brings its own"
        )
        if need_prometheus:
            raise Stop(f"{lack}\n  log: {LOG}")
        say(f"setup: warning: {lack}")
    say(f"setup: ready: Python {sys.version.split()[0]}, {prometheus or 'no Prometheus'}")
