"""A W&B workspace that groups what every run here logs, as code.

    python -m lit_tasks.runs.wandb_workspace ENTITY PROJECT     needs `wandb login`
    python -m lit_tasks.runs.wandb_workspace --print            the same as JSON, offline

It needs ``pip install lit-tasks[workspace]``.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Section, Workspace

#: Sections, each with the metrics of its line plots; all are against optimizer steps.
CURVES: dict[str, list[list[str]]] = {
    "Loss": [["train/loss", "val/loss"]],
    "Validation": [["val/accuracy"], ["val/calibration_error"], ["val/bleu4"], ["val/cider_d"]],
    "Optimisation": [["lr/Adam", "lr/AdamW", "lr/SGD"], ["gradient/norm"]],
    "Speed": [["speed/samples_per_second"]],
}
#: What is compared by one number a run: of the best checkpoint.
RESULTS = ["test/accuracy", "best/val/accuracy", "test/cider_d", "test/bleu4"]
MEDIA = ["val/examples", "val/pictures", "learning_curves", "test/confusion_matrix"]


def workspace(entity: str, project: str) -> "Workspace":
    """Return the workspace; ``.save()`` puts it on the server.

    Args:
        entity: User or team.
        project: Project whose runs it shows.
    """
    import wandb_workspaces.reports.v2.interface as panels
    import wandb_workspaces.workspaces as ws

    results = [panels.BarPlot(title=name, metrics=[name]) for name in RESULTS]
    sections: list[Section] = [ws.Section(name="Results", panels=[*results], is_open=True)]
    for name, plots in CURVES.items():
        lines = [panels.LinePlot(x="trainer/global_step", y=list(plot)) for plot in plots]
        sections.append(ws.Section(name=name, panels=[*lines], is_open=name != "Speed"))
    media = panels.MediaBrowser(media_keys=list(MEDIA))
    sections.append(ws.Section(name="Examples and figures", panels=[media], is_open=True))
    return ws.Workspace(
        entity=entity,
        project=project,
        name="lit_tasks",
        sections=sections,
        runset_settings=ws.RunsetSettings(groupby=[ws.Config("experiment")]),
    )


def main(words: Sequence[str] | None = None) -> int:
    """Save the workspace, or print it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lit_tasks.runs.wandb_workspace")
    parser.add_argument("entity", nargs="?", help="user or team on W&B")
    parser.add_argument("project", nargs="?", default="lit_tasks")
    parser.add_argument("--print", action="store_true", help="print it as JSON, send nothing")
    options = parser.parse_args(words)
    if options.entity is None and not options.print:
        parser.error("name the entity (user or team), or ask for --print")
    made = workspace(options.entity or "entity", options.project)
    if options.print:
        print(json.dumps(_plain(made), indent=2))
        return 0
    made.save()
    print(made.url, file=sys.stderr)
    return 0


def _plain(made: "Workspace") -> Any:
    return json.loads(made._to_model().model_dump_json(by_alias=True, exclude_none=True))


if __name__ == "__main__":
    sys.exit(main())
