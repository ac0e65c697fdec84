"""How often the doctor is right: python benchmarks/doctor.py [--split tune].

Trains programs whose faults are known, and healthy ones, each with several seeds and with
`Recorder`, then reads each log and diagnoses it. Prints the shares beside the goals, with
95 % confidence intervals that count programs, and exits with 1 if a goal is missed.

    python benchmarks/doctor.py --split tune --seeds 5 --jobs 2
    python benchmarks/doctor.py --rescore            diagnose the logs that are there
    python benchmarks/doctor.py --only NAME ...      some programs, each with its findings
    python benchmarks/doctor.py --effects            plain fit: faulty beside mended

Of held-out programs only counts are shown, unless `--reveal`: rules are not chosen by them.
"""

import argparse
import sys
from pathlib import Path

from doctor_programs import Entry, load
from doctor_programs.scoring import (
    Scored,
    Share,
    by_fault,
    confusions,
    goals,
)
from doctor_programs.workers import Outcome, Task, perform

LOGS = Path(__file__).parents[1] / "logs" / "runs" / "doctor"


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--split", choices=["tune", "held-out", "all"], default="tune")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each program")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="these programs alone"
    )
    parser.add_argument("--logs", type=Path, default=LOGS, help="folder of the runs")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument(
        "--rescore", action="store_true", help="train nothing, diagnose the logs again"
    )
    parser.add_argument(
        "--reveal", action="store_true", help="show held-out programs one by one"
    )
    parser.add_argument(
        "--effects", action="store_true", help="no doctor: does each fault do harm?"
    )
    return parser.parse_args()


def chosen(args: argparse.Namespace) -> dict[str, Entry]:
    """Return the programs that are asked for, by name."""
    programs = load()
    if args.only:
        missing = sorted(set(args.only) - set(programs))
        if missing:
            sys.exit(f"no program is named {', '.join(missing)}")
        return {name: programs[name] for name in args.only}
    return {
        name: entry
        for name, entry in programs.items()
        if args.split in ("all", entry.split)
        # Effects are shown program by program.
        if entry.split == "tune" or args.reveal or not args.effects
    }


def tasks(args: argparse.Namespace, programs: dict[str, Entry]) -> list[Task]:
    """Return what is to be done; with `--rescore` only for logs that are there."""
    kind = "effect" if args.effects else "diagnose" if args.rescore else "train"
    found = []
    for seed in range(args.seeds):
        for name in programs:
            folder = args.logs / f"{name}-{seed}"
            if kind != "diagnose" or folder.is_dir():
                found.append(Task(name, seed, kind, str(folder)))
    return found


def codes(outcome: Outcome) -> tuple[str, ...]:
    """Return the faults of the findings above note, ranked."""
    return tuple(f["fault"] for f in outcome.findings if f["severity"] != "note")


def percent(share: Share) -> str:
    """Return the share with its interval."""
    return f"{share.value:6.1%} ({share.low:.0%} to {share.high:.0%})"


def print_scores(runs: list[Scored]) -> bool:
    """Print the goals and the lines per fault; return whether all goals are met."""
    met = True
    for goal, share in goals(runs):
        sign = "at least" if goal.at_least else "at most"
        verdict = "met" if goal.met(share) else "missed"
        met = met and goal.met(share)
        print(
            f"{goal.title:30} {percent(share):24} {sign:8} {goal.limit:4.0%}  {verdict:6}"
            f"  {share.programs} programs, {share.runs} runs"
        )
    print(f"\n{'fault':28} programs  found  first  first three")
    for code, found, first, three in by_fault(runs):
        print(
            f"{code:28} {found.programs:8}  {found.value:5.0%}  {first.value:5.0%}"
            f"  {three.value:11.0%}"
        )
    return met


def print_details(runs: list[Scored]) -> None:
    """Print the confusions and each program that isn't diagnosed as it should be."""
    print("\nintended -> first finding, where it isn't right")
    for intended, first, count in confusions(runs):
        print(f"{count:5}  {intended} -> {first}")
    print("\nprograms with a wrong diagnosis (seed: findings above note)")
    for name in sorted({run.program for run in runs}):
        wrong = [
            run
            for run in runs
            if run.program == name and run.findings[:1] != run.faults[:1]
            if not (run.findings and run.findings[0] in run.faults)
        ]
        if wrong:
            print(f"{name}  [{', '.join(wrong[0].faults) or 'healthy'}]")
            for run in wrong:
                print(f"    {run.seed}: {', '.join(run.findings) or 'nothing'}")


def print_effects(outcomes: list[Outcome], programs: dict[str, Entry]) -> None:
    """Print the last values of each history, a faulty program beside its mended twin."""
    for outcome in sorted(outcomes, key=lambda o: (o.name, o.seed)):
        entry = programs[outcome.name]
        last = {key: values[-1] for key, values in (outcome.history or {}).items()}
        values = "  ".join(f"{key} {value:.4g}" for key, value in last.items())
        if outcome.history and "val_loss" in outcome.history:
            values += f"  best val_loss {min(outcome.history['val_loss']):.4g}"
        expected = ", ".join(entry.faults) or "healthy"
        print(f"{outcome.name}-{outcome.seed} [{expected}] {outcome.seconds:.1f} s")
        print(f"    {values}")


def progress(outcome: Outcome) -> None:
    """Print a dot per run on stderr, so that a pipe gets the scores alone."""
    print("x" if outcome.error else ".", end="", file=sys.stderr, flush=True)


def print_errors(outcomes: list[Outcome], hidden: set[str]) -> None:
    """Print what could not be scored; programs in `hidden` without names and traces."""
    broken = [outcome for outcome in outcomes if outcome.error]
    for outcome in broken:
        if outcome.name in hidden:
            print(f"not scored: a held-out program: {outcome.error.splitlines()[-1]}")
        else:
            print(f"not scored: {outcome.name}-{outcome.seed}: {outcome.error}")


def main() -> None:
    """Train or rescore, and print."""
    args = arguments()
    programs = chosen(args)
    outcomes = perform(tasks(args, programs), args.jobs, progress)
    print(file=sys.stderr)
    shown = args.reveal or args.only
    hidden = {n for n, e in programs.items() if e.split == "held-out" and not shown}
    print_errors(outcomes, hidden)
    if args.effects:
        print_effects(outcomes, programs)
        sys.exit(any(outcome.error for outcome in outcomes))
    runs = [
        Scored(
            o.name, o.seed, programs[o.name].faults, programs[o.name].split, codes(o)
        )
        for o in outcomes
        if not o.error
    ]
    if not runs:
        sys.exit("nothing was scored: train first, without --rescore")
    met = True
    for split in sorted({run.split for run in runs}, reverse=True):
        of_split = [run for run in runs if run.split == split]
        print(f"\n== {split} ==")
        met = print_scores(of_split) and met
        if split == "tune" or shown:
            print_details(of_split)
    complete = not any(outcome.error for outcome in outcomes)
    sys.exit(0 if met and complete else 1)


if __name__ == "__main__":
    main()
