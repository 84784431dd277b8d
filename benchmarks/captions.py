"""Measures captions by BLIP and CLIP against a plain loop and against other Beam pipelines.

    python -m benchmarks.captions --list
    python -m benchmarks.captions --case cpu-tiny
    python -m benchmarks.captions --memory

The last line is one JSON object; ratios are of wall seconds, below 1 is faster than the peer: the
median of the rounds, with the least and the greatest. Every measurement is a process of its own,
after its imports and without the loading of models (`load_s`; `total_s` is with it); the sides of a
round run in turn. All read the same files with the same image processors and write the captions of
each image. Their length is in the figures, for a side that writes less has less to do.

ours          ReadImages, RunEnsemble with BlipCaptioner and ClipRanker, on Beam's FnApiRunner.
limit         a plain loop of Pillow, image processors, `generate` of transformers and CLIP in the
              batches of ours: no Beam, and the first broken image ends it.
limit_best    the same loop with our decoding: what is left are Beam and the ensemble.
reference     Beam's PyTorch handlers, keyed, one image a batch, image and captions by CoGroupByKey.
beam_example  the handlers of apache_beam/examples/inference/pytorch_image_captioning.py, which
              search with five beams instead of sampling, in batches up to those of ours.

On a GPU ours and the limits compute in bfloat16, the other two in float32, as they come.
"""

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks._caption_sides import Job, Work

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "data" / "captions"
ROUNDS = 3
SIDES = ("ours", "limit", "limit_best", "reference", "beam_example")
MEMORY = "memory"
MEMORY_IMAGES = (1_000, 20_000)

Figures = dict[str, float]


@dataclass(frozen=True)
class Case:
    """What is captioned, and how."""

    images: int
    blip_batch: int
    clip_batch: int
    lengths: tuple[int, int]
    """Least and most tokens of a caption, start and end included."""
    is_tiny: bool = False
    """Scenes, and the models that come with us; else photographs, and random ones of base size."""
    on_gpu: bool = False


CASES = {
    "cpu": Case(16, 8, 8, (10, 50)),
    "cpu-tiny": Case(10_000, 32, 32, (1, 30), is_tiny=True),
    "gpu": Case(2_000, 64, 64, (10, 50), on_gpu=True),
    MEMORY: Case(max(MEMORY_IMAGES), 32, 32, (1, 30), is_tiny=True),
}


def main() -> None:
    arguments = _parse_arguments()
    if arguments.list:
        print("\n".join(_cases_here()))
    elif arguments.child == "make":
        _make(arguments).write(arguments.job)
    elif arguments.child:
        print(json.dumps(_measure(arguments)))
    else:
        run = run_memory if arguments.case == MEMORY else run_case
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps({"case": arguments.case, **run(arguments, Path(folder))}))


def run_case(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Returns the figures of one case."""
    job = _made_job(arguments, folder)
    runs: dict[str, list[Figures]] = {side: [] for side in arguments.sides}
    for number in range(arguments.rounds):
        # There and back: what changes on the machine meanwhile favours nobody.
        for side in arguments.sides[:: -1 if number % 2 else 1]:
            runs[side].append(_run_side(side, job))
            _say(arguments, f"round {number + 1}, {side}: {runs[side][-1]}")
    medians = {side: _medians(of_side) for side, of_side in runs.items()}
    ratios = dict(_ratios(runs)) if "ours" in runs else {}
    for side, figures in medians.items():
        _say(arguments, f"{side:12} {ratios.get(f'ratio_to_{side}', 1):6.3f}  {figures}")
    return {"rounds": arguments.rounds, **ratios, **medians.pop("ours", {}), "peers": medians}


def run_memory(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Returns the greatest memory of ours with few and with many images."""
    job = _made_job(arguments, folder)
    runs = {count: _run_side("ours", job, count) for count in MEMORY_IMAGES}
    few, many = (runs[count]["peak_mb"] for count in MEMORY_IMAGES)
    peaks = {f"peak_mb_of_{count}": run["peak_mb"] for count, run in runs.items()}
    return {**peaks, "growth": round(many / few, 3), "growth_mb": round(many - few, 1)}


def _medians(runs: Sequence[Figures]) -> Figures:
    return {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}


def _ratios(runs: dict[str, list[Figures]]) -> Iterator[tuple[str, Any]]:
    """Of each round, because both sides of a round had the same machine."""
    for side in filter("ours".__ne__, runs):
        for name, key in (("ratio_to", "wall_s"), ("cpu_ratio_to", "cpu_s")):
            pairs = zip(runs["ours"], runs[side], strict=True)
            found = [ours[key] / peer[key] for ours, peer in pairs]
            yield f"{name}_{side}", round(statistics.median(found), 3)
            yield f"{name}_{side}_range", [round(min(found), 3), round(max(found), 3)]


def _made_job(arguments: argparse.Namespace, folder: Path) -> Path:
    job = folder / "job.json"
    options = ["--images", str(arguments.images)] if arguments.images else []
    options += ["--models", str(arguments.models), "--case", arguments.case]
    _run_child("make", job, *options)
    return job


def _run_side(side: str, job: Path, images: int = 0) -> Figures:
    with tempfile.TemporaryDirectory() as out:
        options = ["--images", str(images)] if images else []
        lines = _run_child(side, job, "--out", f"{out}/lines", *options).splitlines()
    return dict(json.loads(lines[-1]))


def _run_child(child: str, job: Path, *options: str) -> str:
    command = [sys.executable, "-m", "benchmarks.captions", "--child", child, "--job", str(job)]
    done = subprocess.run(
        [*command, *options],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def _make(arguments: argparse.Namespace) -> "Job":
    """Makes images and models, in a process of its own: the memory of a child starts from that of
    its parent.
    """
    from benchmarks import _caption_inputs as inputs
    from benchmarks._caption_sides import Job

    case = CASES[arguments.case]
    if case.on_gpu and not _has_gpu():
        sys.exit("the case gpu needs a GPU with CUDA, and PyTorch finds none here")
    models = inputs.tiny_models(arguments.models) if case.is_tiny else inputs.base_models()
    draw = inputs.scenes if case.is_tiny else inputs.photographs
    files = draw(arguments.images or case.images)
    batches = (case.blip_batch, case.clip_batch)
    return Job(files, str(models / "blip"), str(models / "clip"), *batches, *case.lengths)


def _measure(arguments: argparse.Namespace) -> Figures:
    from benchmarks._caption_sides import Job, Loads

    job = replace(Job.read(arguments.job), out=arguments.out)
    job = replace(job, files=job.files[: arguments.images or None])
    work = _side(arguments.child, job)
    before = Loads.now()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    within = Loads.now() - before
    if "tfx" in sys.modules:
        sys.exit(f"{arguments.child} has imported TFX, which a worker need not have")
    wall, cpu = wall - within.wall_s, cpu - within.cpu_s
    figures = {"wall_s": wall, "cpu_s": cpu, "images_per_s": len(job.files) / wall}
    figures |= {"load_s": Loads.now().wall_s, "total_s": wall + Loads.now().wall_s}
    figures |= {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    figures |= {"tokens_per_caption": _tokens(arguments.child, job)}
    return {key: round(value, 3) for key, value in figures.items()}


def _side(name: str, job: "Job") -> "Work":
    file = "_caption_peers" if name in ("reference", "beam_example") else "_caption_sides"
    work: Work = getattr(importlib.import_module(f"benchmarks.{file}"), name)(job)
    return work


def _tokens(side: str, job: "Job") -> float:
    """Mean of the captions, start and end left out: a word is a token in all these models.

    Every image must have its captions, and once.
    """
    parts = Path(job.out).parent.glob(f"{Path(job.out).name}*")
    results = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    if Counter(result["uri"] for result in results) != Counter(job.files):
        sys.exit(
            f"{side} wrote {len(results)} results, not one for each of {len(job.files)} images"
        )
    return statistics.mean(len(text.split()) for one in results for text in one["captions"])


def _cases_here() -> list[str]:
    return [name for name, case in CASES.items() if not case.on_gpu or _has_gpu()]


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _say(arguments: argparse.Namespace, text: str) -> None:
    if not arguments.json:
        print(text, file=sys.stderr, flush=True)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=CASES, help="case to measure")
    parser.add_argument(
        "--memory", action="store_const", dest="case", const=MEMORY, help="that of ours"
    )
    parser.add_argument("--list", action="store_true", help="print the cases of this machine")
    parser.add_argument("--images", type=int, help="other than those of the case")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--models", type=Path, default=MODELS, help="blip/ and clip/ of cpu-tiny")
    parser.add_argument("--json", action="store_true", help="say nothing but the result")
    parser.add_argument("--child", choices=("make", *SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not (arguments.case or arguments.list or arguments.child):
        parser.error("give --case, --memory or --list")
    return arguments


if __name__ == "__main__":
    main()
