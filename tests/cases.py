"""Small data and modules for runs on several processes; they log as the contract says."""

from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryAUROC, MulticlassAccuracy, MulticlassConfusionMatrix

from lit_tasks.distributed.exact_batches import ExactBatches
from lit_tasks.sampling import LengthBuckets


class Batch(NamedTuple):
    tokens: Tensor
    lengths: Tensor
    label: Tensor
    index: Tensor


class Texts(Dataset[Any]):
    """Made-up texts of 1 to 12 words."""

    def __init__(self, samples: int) -> None:
        draw = torch.Generator().manual_seed(1)
        self.lengths = torch.randint(1, 13, (samples,), generator=draw).tolist()
        self.tokens = [torch.randint(30, (n,), generator=draw) for n in self.lengths]
        self.labels = torch.randint(2, (samples,), generator=draw).tolist()

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        return self.tokens[index], self.labels[index], index


def collate(samples: list[tuple[Tensor, int, int]]) -> Batch:
    tokens, labels, indices = zip(*samples, strict=True)
    lengths = torch.tensor([len(text) for text in tokens])
    return Batch(torch.cat(tokens), lengths, torch.tensor(labels), torch.tensor(indices))


class TextData(LightningDataModule):
    def __init__(
        self,
        samples: int,
        batch_size: int = 8,
        *,
        evaluated: int | None = None,
        buckets: bool = False,
        workers: int = 0,
        drop_last: bool = False,
    ) -> None:
        super().__init__()
        self.train, self.held_out = Texts(samples), Texts(evaluated or samples)
        self.batch_size, self.buckets, self.workers = batch_size, buckets, workers
        self.drop_last = drop_last

    def train_dataloader(self) -> DataLoader[Any]:
        if self.buckets:
            sampler = LengthBuckets(self.train.lengths, self.batch_size, window=2)
            return DataLoader(dataset=self.train, batch_sampler=sampler, collate_fn=collate)
        return DataLoader(
            dataset=self.train,
            batch_size=self.batch_size,
            shuffle=True,
            collate_fn=collate,
            num_workers=self.workers,
            drop_last=self.drop_last,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(dataset=self.held_out, batch_size=self.batch_size, collate_fn=collate)

    test_dataloader = val_dataloader
    predict_dataloader = val_dataloader


class TextClassifier(LightningModule):
    """A bag of words; with BatchNorm and dropout where asked for."""

    def __init__(
        self,
        *,
        lr: float = 0.1,
        dropout: float = 0.0,
        norm: bool = False,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.bag = nn.EmbeddingBag(30, 6, mode="mean", dtype=dtype)
            middle = nn.BatchNorm1d(6, dtype=dtype) if norm else nn.Identity()
            self.head = nn.Sequential(middle, nn.Dropout(dropout), nn.Linear(6, 2, dtype=dtype))
        self.lr = lr
        self.losses: list[float] = []
        self.seen: list[list[int]] = []
        self.metrics = nn.ModuleDict(
            {
                "loss": MeanMetric(),
                "accuracy": MulticlassAccuracy(2, average="micro"),
                "auroc": BinaryAUROC(),
                "table": MulticlassConfusionMatrix(2),
            }
        )

    def forward(self, batch: Batch) -> Tensor:
        offsets = batch.lengths.cumsum(0) - batch.lengths
        return self.head(self.bag(batch.tokens, offsets))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = nn.functional.cross_entropy(self(batch), batch.label)
        self.losses.append(loss.item())
        self.seen.append(batch.index.tolist())
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        logits = self(batch)
        loss = nn.functional.cross_entropy(logits, batch.label, reduction="none")
        self.metrics["loss"].update(loss)
        self.metrics["accuracy"].update(logits, batch.label)
        self.metrics["auroc"].update(logits.softmax(1)[:, 1], batch.label)
        self.metrics["table"].update(logits, batch.label)

    def on_validation_epoch_end(self) -> None:
        table = self.metrics["table"].compute()
        values = {f"val/{name}": self.metrics[name].compute() for name in self.metrics}
        del values["val/table"]
        self.log_dict(values | {"val/samples": table.sum().float()})
        for metric in self.metrics.values():
            metric.reset()

    test_step = validation_step
    on_test_epoch_end = on_validation_epoch_end

    def predict_step(self, batch: Batch, batch_idx: int) -> list[dict[str, int | float]]:
        scores = self(batch).softmax(1)[:, 1]
        rows = zip(scores.tolist(), (scores > 0.5).tolist(), strict=True)
        return [{"score": score, "label": int(label)} for score, label in rows]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)

    def weights(self) -> dict[str, list[float]]:
        return {name: value.flatten().tolist() for name, value in self.state_dict().items()}


def trainer(**options: Any) -> Trainer:
    """Build a quiet trainer for one process of however many the environment says."""
    import os

    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": int(os.environ.get("WORLD_SIZE", 1)),
        "callbacks": [],
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "max_epochs": 2,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
    }
    options = defaults | options
    options["callbacks"] = [ExactBatches(seed=5), *options["callbacks"]]
    return Trainer(**options)
