"""Stages that begin to learn in mid-run learn the same on two processes as on one."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from processes import run

IMAGES = Path(__file__).parents[1] / "fixtures/images"


def fit(cache: Path) -> dict[str, Any]:
    import os

    import torch
    from lightning.pytorch import Trainer, seed_everything

    from lit_tasks.data.image_folder import ImageFolderDataModule
    from lit_tasks.distributed.exact_batches import ExactBatches
    from lit_tasks.nn.image.backbone import Backbone
    from lit_tasks.nn.image.finetuning import Finetuning
    from lit_tasks.tasks.image_classification import ImageClassificationTask

    world = int(os.environ.get("WORLD_SIZE", 1))
    seed_everything(1, verbose=False)
    task = ImageClassificationTask(
        partial(Backbone, name="test_resnet", weights="random", size=32),
        finetuning=Finetuning(from_epoch=1, every=1),
        optimizer=partial(torch.optim.SGD, lr=0.05, momentum=0.9),
    )
    trainer = Trainer(
        accelerator="cpu",
        devices=world,
        strategy="ddp" if world > 1 else "auto",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[ExactBatches(seed=3)],
        default_root_dir=cache,
    )
    trainer.fit(task, datamodule=ImageFolderDataModule(IMAGES, batch_size=5, cache_dir=cache))
    trained = sorted(n for n, p in task.backbone.named_parameters() if p.requires_grad)
    numbers = {n: v.double().flatten()[:5].tolist() for n, v in task.state_dict().items()}
    return {"trained": trained, "numbers": numbers}


def test_unfreezing_is_the_same_on_two_processes(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    [alone] = run(1, fit, tmp_path / "1", seconds=400)
    for other in run(2, fit, tmp_path / "2", seconds=400):
        assert other["trained"] == alone["trained"] != []
        for name, values in alone["numbers"].items():
            if name == "train_loss._extra_state":
                continue  # what is logged of training is the first process's own
            # Features beside zero are scaled up, so float32 sums in another order show.
            assert other["numbers"][name] == pytest.approx(values, abs=2e-4, rel=2e-3), name
