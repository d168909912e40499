"""Memory and rows per second while Parquet shards stream through, on one and two processes.

    python benchmarks/streaming.py [--rows 2000] [--times 100]

Writes made-up reviews of 200 words into four shards, once ``--rows`` of them and once ``--times``
as many, and reads each set to the end as training does, through `StreamedTextsDataModule`: words
become numbers, batches are collated, and the processes keep in step. Every measurement is a fresh
process (or two, over gloo).
"""

import argparse
import multiprocessing
import os
import random
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist

from lit_tasks.data.streamed_texts import StreamedTextsDataModule
from lit_tasks.distributed.stream_loader import StreamLoader

WORDS = [f"word{i}" for i in range(5000)]
SHARDS, BATCH = 4, 64


def write(folder: Path, rows: int) -> float:
    """Write the shards; return their megabytes."""
    import pyarrow
    from pyarrow import parquet

    folder.mkdir()
    draw = random.Random(0)
    schema = pyarrow.schema([("text", pyarrow.string()), ("label", pyarrow.int64())])
    for shard in range(SHARDS):
        with parquet.ParquetWriter(folder / f"{shard}.parquet", schema) as writer:
            for start in range(0, rows // SHARDS, 500):
                count = min(500, rows // SHARDS - start)
                texts = [" ".join(draw.choices(WORDS, k=200)) for _ in range(count)]
                writer.write_table(
                    pyarrow.table({"text": texts, "label": [i % 2 for i in range(count)]}, schema)
                )
    return sum(path.stat().st_size for path in folder.glob("*.parquet")) / 1e6


def resident() -> float:
    """Return this process's resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def read(folder: Path, rows_here: int, rank: int, world_size: int, port: int, results: Any) -> None:
    """Read everything as one of ``world_size`` processes; report rows, seconds and memory."""
    torch.set_num_threads(1)
    if world_size > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        dist.init_process_group("gloo", rank=rank, world_size=world_size)
    data = StreamedTextsDataModule(
        shards=f"{folder}/*.parquet", batch_size=BATCH, buffer=1000, cache_dir=folder / "cache"
    )
    loader = data.train_dataloader()
    device = torch.device("cpu")
    stream = StreamLoader(loader, rank, world_size, True, lambda: (0, 0), device)
    begin, seen, memory = time.perf_counter(), 0, list[float]()
    for number, _ in enumerate(stream):
        shard = stream.shard(number)
        assert shard is not None
        seen += shard.counted
        if len(memory) < 10 * seen // rows_here:
            memory.append(resident())
    seconds = time.perf_counter() - begin
    results.put((seen, seconds, memory[0], max(memory[1:])))
    if world_size > 1:
        dist.barrier()
        dist.destroy_process_group()


def measured(folder: Path, rows: int, world_size: int) -> tuple[int, float, float, float]:
    """Return rows, rows per second, and memory in MB after a tenth and the highest afterwards."""
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    here = rows // world_size
    args = [(folder, here, rank, world_size, port, results) for rank in range(world_size)]
    processes = [context.Process(target=read, args=arg) for arg in args]
    for process in processes:
        process.start()
    outcomes = [results.get(timeout=1800) for _ in processes]
    for process in processes:
        process.join()
    seen, seconds, tenth, later = zip(*outcomes, strict=True)
    return sum(seen), sum(seen) / max(seconds), max(tenth), max(later)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--times", type=int, default=100)
    arguments = parser.parse_args()
    print("| rows | MB on disk | processes | rows/s | MB in memory after a tenth | at most later |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for rows in (arguments.rows, arguments.rows * arguments.times):
            shards = Path(folder) / str(rows)
            size = write(shards, rows)
            for world_size in (1, 2):
                seen, rate, tenth, later = measured(shards, rows, world_size)
                assert seen == rows // SHARDS * SHARDS
                numbers = (
                    seen,
                    f"{size:.1f}",
                    world_size,
                    *(f"{x:.0f}" for x in (rate, tenth, later)),
                )
                print(f"| {' | '.join(map(str, numbers))} |", flush=True)


if __name__ == "__main__":
    main()
