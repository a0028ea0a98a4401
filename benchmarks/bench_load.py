"""What riding along costs: one worker with our plug-in and recorder beside Locust alone and Taurus.

    python3 dev.py bench load [--pairs 5] [--seconds 4] [--users 50] [--client fast]
                              [--taurus | --bzt PATH] [--patience 120] [--json FILE]

All drive the same locustfile: ``locustfiles/shop.py`` without its waiting time, its users on
Locust's FastHttpUser. See ``loopback.py`` for who has which core and how it is counted. What
supervises the generator shares its core: for ours, the reader of the record; for Taurus, all of
bzt, which is also tried once more with only Locust on that core ("taurus apart").

Locust alone, and Taurus, are also tried side by side with ours, at the same moment on the same
core, which is fair to both however busy the machine is.

``--taurus`` builds an environment with bzt and this Locust's version in a folder that is removed
afterwards (pip, some minutes); ``--bzt`` names the bzt of one that exists. Without either, Taurus
is left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Barrier
from typing import Any

import loopback
import psutil
from loopback import LONG_S, Server, Window

BARE_RATE, BARE_CPU, TAURUS_RATE = 0.97, 1.05, 1.2
INSTALL_S = 900
Trial = Callable[..., Window]


def ours(locustfile: Path, args: argparse.Namespace) -> Trial:
    def trial(target: Server, gate: Callable[[], object] = loopback.nothing) -> Window:
        window, failed = loopback.our_load(locustfile, target, args.users, args.seconds, gate)
        if failed:
            raise SystemExit(f"{failed} requests failed")
        return window

    return trial


def bare(locustfile: Path, args: argparse.Namespace) -> Trial:
    def trial(target: Server, gate: Callable[[], object] = loopback.nothing) -> Window:
        with tempfile.TemporaryDirectory() as folder:
            argv = loopback.bare_locust(locustfile, target, args.users)
            with loopback.process(argv, Path(folder)) as pid:
                return loopback.measure(target, pid, args.seconds, gate=gate)

    return trial


def taurus(bzt: Path, locustfile: Path, args: argparse.Namespace, *, apart: bool) -> Trial:
    """Taurus as its manual has it, but for the screen and the request for its newest version."""

    def trial(target: Server, gate: Callable[[], object] = loopback.nothing) -> Window:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            execution = {
                "executor": "locust",
                "concurrency": args.users,
                "ramp-up": 0,
                "hold-for": f"{LONG_S}s",
                "scenario": {"script": str(locustfile), "default-address": target.url},
            }
            settings = {"check-updates": False, "artifacts-dir": str(folder / "artifacts")}
            modules = {"console": {"disable": True}}
            config = {"execution": [execution], "settings": settings, "modules": modules}
            path = folder / "taurus.json"
            path.write_text(json.dumps(config), encoding="utf-8")
            argv = [str(bzt), str(path)]
            with loopback.process(argv, folder, HOME=name) as pid:

                def set_apart() -> None:
                    process = psutil.Process(pid)
                    if apart and process.children():
                        process.cpu_affinity([loopback.SERVER_CORE])

                return loopback.measure(target, pid, args.seconds, set_apart, gate)

    return trial


def side_by_side(name: str, other: Trial, own: Trial, pairs: int) -> dict[str, Any]:
    """Both at the same moment on the same core: what others do to the machine, they do to both."""
    print(f"\nside by side on one core: {name} and ours")
    found: list[tuple[Window, Window]] = []
    with loopback.server() as one, loopback.server() as two, ThreadPoolExecutor(2) as pool:
        for _ in range(pairs):
            gate = Barrier(2, timeout=loopback.BOUND_S).wait
            running = [pool.submit(other, one, gate), pool.submit(own, two, gate)]
            theirs, ours = (each.result(4 * loopback.BOUND_S) for each in running)
            found.append((theirs, ours))
            loopback.show(name, theirs)
            loopback.show("ours", ours)
    rounds = range(pairs)
    rate = loopback.ratios([o.rate for _, o in found], [t.rate for t, _ in found], rounds)
    cpu = loopback.ratios([o.cpu_us for _, o in found], [t.cpu_us for t, _ in found], rounds)
    print(f"ours / {name}: rate {loopback.spelled(rate)} x")
    print(f"{'':{len(name) + 7}}  CPU per request {loopback.spelled(cpu)} x")
    return {"rate": rate, "cpu_per_request": cpu}


def install_bzt(folder: Path) -> Path:
    """An environment with Taurus, and Locust in the version that is measured here."""
    print(f"installing bzt and locust {version('locust')} in a throw-away environment", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=INSTALL_S)
    python, wanted = folder / "bin" / "python", ["bzt", f"locust=={version('locust')}"]
    pip = [str(python), "-m", "pip", "install", "-qq", *wanted]
    subprocess.run(pip, check=True, timeout=INSTALL_S, stdout=subprocess.DEVNULL)
    return folder / "bin" / "bzt"


def versions(bzt: Path) -> str:
    code = "from importlib.metadata import version as v; print(v('bzt'), v('locust'), v('gevent'))"
    python = bzt.with_name("python")
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return "bzt {} with locust {}, gevent {}".format(*done.stdout.split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="measured ones of a trial")
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--client", choices=["fast", "swift", "requests"], default="fast")
    parser.add_argument("--taurus", action="store_true", help="install and measure Taurus, too")
    parser.add_argument("--bzt", type=Path, help="the bzt of an environment that exists")
    parser.add_argument(
        "--patience", type=float, default=120.0, help="seconds in all to wait for a quiet machine"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    print(f"{loopback.machine()}; locust {version('locust')}, gevent {version('gevent')}; ", end="")
    print(f"{args.users} users of {args.client!r}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        users = loopback.shop_on(args.client, folder)
        trials = {"locust alone": bare(users, args), "ours": ours(users, args)}
        bzt = args.bzt or (install_bzt(folder / "bzt") if args.taurus else None)
        if bzt is None:
            print("Taurus is left out: --taurus installs it, --bzt PATH names one")
        else:
            print(versions(bzt))
            trials["taurus"] = taurus(bzt, users, args, apart=False)
            trials["taurus apart"] = taurus(bzt, users, args, apart=True)
        target = stack.enter_context(loopback.server())
        loopback.stay_on_client_core()
        windows: dict[str, list[Window]] = {name: [] for name in trials}
        patience = loopback.Patience(args.patience)
        for number in range(args.pairs):
            for name in list(trials)[:: -1 if number % 2 else 1]:
                windows[name].append(patience.calmly(partial(trials[name], target)))
                loopback.show(name, windows[name][-1])
        together = {
            name: side_by_side(name, trials[name], trials["ours"], args.pairs)
            for name in ("locust alone", "taurus")
            if name in trials
        }
    report(windows, together, args.json)


def report(windows: dict[str, list[Window]], together: dict[str, Any], path: Path | None) -> None:
    print("\nours beside others: median and range, of quiet pairs if there are three")
    print(loopback.machine())
    figures: dict[str, Any] = {"machine": loopback.machine(), "side_by_side": together}
    figures["windows"] = {name: [w._asdict() for w in found] for name, found in windows.items()}
    own = windows["ours"]
    for name, others in windows.items():
        if name == "ours":
            continue
        rate, cpu = loopback.rate_ratios(own, others), loopback.cpu_ratios(own, others)
        figures[name] = {"rate": rate, "cpu_per_request": cpu}
        least = BARE_RATE if name == "locust alone" else TAURUS_RATE
        print(f"{name:>14}: rate by the clock {loopback.spelled(rate)} x")
        print(f"{'':>14}  CPU per request   {loopback.spelled(cpu)} x")
        if name not in together:
            continue  # on two cores, against one
        judged, how = rate["median"], "by the clock"
        if not rate["trusted"]:
            judged, how = together[name]["rate"]["median"], "side by side; the clock was disturbed"
        met = loopback.goal(judged >= least)
        print(f"{'':>14}  goal: rate {least:g} x: {judged:.3f}, {met} ({how})")
        if name == "locust alone":
            judged = together[name]["cpu_per_request"]["median"]
            met = f"{loopback.goal(judged <= BARE_CPU)} (side by side)"
            print(f"{'':>14}  goal: CPU per request {BARE_CPU:g} x: {judged:.3f}, {met}")
    if path:
        path.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
