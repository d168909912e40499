"""The workspace names what runs log; it is built offline, and sent by nobody here."""

import json

import pytest

pytest.importorskip("wandb_workspaces", reason="an extra: pip install lit-tasks[workspace]")

from lit_tasks.runs import wandb_workspace


def test_the_workspace_shows_the_metrics_by_section(capsys: pytest.CaptureFixture[str]) -> None:
    assert wandb_workspace.main(["--print"]) == 0
    printed = capsys.readouterr().out
    sections = json.loads(printed)["spec"]["section"]["panelBankConfig"]["sections"]
    shown = {section["name"]: json.dumps(section["panels"]) for section in sections}
    for name, plots in wandb_workspace.CURVES.items():
        assert all(f'"{metric}"' in shown[name] for plot in plots for metric in plot)
    assert all(f'"{name}"' in shown["Results"] for name in wandb_workspace.RESULTS)
    assert '"val/examples"' in shown["Examples and figures"]


def test_without_an_entity_nothing_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        wandb_workspace.main([])
    assert stop.value.code == 2
    assert "name the entity" in capsys.readouterr().err
