"""Requests per second of one core: the fast client beside FastHttpUser, HttpUser, wrk and k6.

    python3 dev.py bench client [--pairs 5] [--seconds 3] [--users 50] [--patience 120]
                                [--json FILE]

The first three are runs of the load engine: the real Locust as a child, with our plug-in and its
full recording, and ``locustfiles/shop.py`` with its headers and bodies, but for its base class and
its waiting time, which is 0. wrk and k6 are used if they are found, and send the shop's reads only.
See ``loopback.py`` for who has which core and how it is counted. All take turns; every other round
goes the other way round.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import loopback
from loopback import HOST, LONG_S, Server, Window

GOAL = 3.0
FIELDS = {"Host": HOST, "Accept-Encoding": "gzip, deflate, br"}


def engine(client: str, target: Server, folder: Path, args: argparse.Namespace) -> Window:
    users = loopback.shop_on(client, folder)
    window, failed = loopback.our_load(users, target, args.users, args.seconds)
    if failed:
        raise SystemExit(f"{client}: {failed} requests failed")
    return window


def program(tool: str, target: Server, folder: Path, args: argparse.Namespace) -> Window:
    """wrk or k6 on the shop's reads."""
    url = f"{target.url}/api/v1/products"
    if tool == "wrk":
        argv = ["wrk", "-t1", f"-c{args.users}", f"-d{LONG_S}s", url]
        argv += [part for name, value in FIELDS.items() for part in ("-H", f"{name}: {value}")]
    else:
        script = folder / "k6.js"
        script.write_text(
            "import http from 'k6/http';\n"
            f"export default () => http.get({url!r}, {{headers: {json.dumps(FIELDS)}}});\n"
        )
        argv = ["k6", "run", "--quiet", "--vus", str(args.users), "--duration", f"{LONG_S}s"]
        argv += [str(script)]
    with loopback.process(argv, folder) as pid:
        return loopback.measure(target, pid, args.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="measured ones of a trial")
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument(
        "--patience", type=float, default=120.0, help="seconds in all to wait for a quiet machine"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    trials: dict[str, Callable[..., Window]] = {
        name: partial(engine, name) for name in ("swift", "fast", "requests")
    }
    trials |= {tool: partial(program, tool) for tool in ("wrk", "k6") if shutil.which(tool)}
    print(f"{loopback.machine()}; {args.users} users; not found: {missing(trials)}")
    windows: dict[str, list[Window]] = {name: [] for name in trials}
    with loopback.server() as target, tempfile.TemporaryDirectory() as folder:
        loopback.stay_on_client_core()
        patience = loopback.Patience(args.patience)
        for number in range(args.pairs):
            for name in list(trials)[:: -1 if number % 2 else 1]:
                trial = partial(trials[name], target, Path(folder), args)
                windows[name].append(patience.calmly(trial))
                loopback.show(name, windows[name][-1])
    report(windows, args.json)


def missing(trials: dict[str, Any]) -> str:
    return ", ".join(sorted({"wrk", "k6"} - set(trials))) or "nothing"


def report(windows: dict[str, list[Window]], path: Path | None) -> None:
    print("\nthe fast client beside others: median and range, of quiet pairs if there are three")
    print(loopback.machine())
    figures: dict[str, Any] = {"machine": loopback.machine(), "goal": GOAL}
    figures["windows"] = {name: [w._asdict() for w in found] for name, found in windows.items()}
    swift = windows["swift"]
    for name, others in windows.items():
        if name == "swift":
            continue
        rate, cpu = loopback.rate_ratios(swift, others), loopback.cpu_ratios(others, swift)
        met = f"   goal {GOAL:g}: {loopback.goal(cpu['median'] >= GOAL)}"
        print(
            f"{name:>9}: per second of CPU {loopback.spelled(cpu)} x{met if name == 'fast' else ''}"
        )
        doubt = "" if rate["trusted"] else "   (disturbed by others)"
        print(f"{'':>9}  by the clock      {loopback.spelled(rate)} x{doubt}")
        figures[name] = {"per_cpu_second": cpu, "by_the_clock": rate}
    if path:
        path.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
