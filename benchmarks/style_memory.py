"""Peak memory of one gradient of a large image, whole and in parts.

    python benchmarks/style_memory.py --weights FILE [--sides 1024 2048] [--tiles 0 512]

SqueezeNet 1.1 with the assignment's layers, images of 4:3, one thread, each case in a process of
its own. What Python and torch take before the image is included.
"""

import argparse
import multiprocessing
import resource
import time
from multiprocessing.connection import Connection
from pathlib import Path

STYLE = {"1": 2e4, "4": 500.0, "6": 12.0, "7": 1.0}


def gradient(side: int, tile: int, weights: Path, sender: Connection) -> None:
    """Send the seconds of one gradient and the peak of memory in GB."""
    import torch

    from lit_tasks.nn.style.features import StyleFeatures
    from lit_tasks.nn.style.objective import StyleObjective
    from lit_tasks.nn.style.tiles import TiledStyleObjective

    torch.set_num_threads(1)
    features = StyleFeatures(["3", *STYLE], "squeezenet1_1", weights)
    arguments = features, {"3": 0.05}, STYLE, 0.05
    if tile:
        objective: StyleObjective = TiledStyleObjective(*arguments, tile=tile)
    else:
        objective = StyleObjective(*arguments)
    image = torch.rand(1, 3, side * 3 // 4, side)
    targets = objective.targets(image, [torch.rand(1, 3, 512, 512)], [1.0])
    start = time.thread_time()
    objective.gradient(image.flip(-1), targets)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    sender.send((time.thread_time() - start, peak))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 2048])
    parser.add_argument("--tiles", type=int, nargs="+", default=[0, 512])
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    print("| image | tile | peak, GB | seconds a gradient |\n| --- | --- | --- | --- |")
    for side in arguments.sides:
        for tile in arguments.tiles:
            receiver, sender = context.Pipe(duplex=False)
            case = context.Process(target=gradient, args=(side, tile, arguments.weights, sender))
            case.start()
            sender.close()
            seconds, peak = receiver.recv()
            case.join()
            name = f"{side} x {side * 3 // 4}"
            print(f"| {name} | {tile or 'whole'} | {peak:.2f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
