"""Speed, memory and gradient norms."""

from csv_table import table
from small_runs import fit


def test_gradient_norms_and_processes_are_measured_on_request() -> None:
    plain = fit("--config", "toy.yaml", "--trainer.logger=lit_tasks.loggers.csv.RunCSVLogger")
    assert "gradient/norm" not in table(plain / "metrics.csv")[0]
    assert table(plain / "monitor.csv")[0].keys() == {"epoch", "step", "speed/samples_per_second"}
    words = ["--monitor.gradient_norm=true", "--monitor.processes=true"]
    run = fit("--config", "toy.yaml", "--trainer.logger=lit_tasks.loggers.csv.RunCSVLogger", *words)
    norms = [row["gradient/norm"] for row in table(run / "metrics.csv") if row["gradient/norm"]]
    assert len(norms) == 12
    assert all(float(norm) > 0 for norm in norms)
    assert float(table(run / "monitor.csv")[-1]["system/peak_memory_mb_rank0"]) > 100
    assert not any(name.startswith(("speed", "system")) for name in table(run / "metrics.csv")[0])
