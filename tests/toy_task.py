"""The smallest task and data module: what a user's own package would look like."""

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanMetric


class ToyData(LightningDataModule):
    """Numbers from a seed."""

    def __init__(self, samples: int = 24, batch_size: int = 4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.samples, self.batch_size = samples, batch_size
        self.offset: float | None = None

    def setup(self, stage: str) -> None:
        x = torch.randn(self.samples, 4, generator=torch.Generator().manual_seed(0))
        self.offset = 0.5 if self.offset is None else self.offset
        self.dataset = TensorDataset(x + self.offset)

    def state_dict(self) -> dict[str, float | None]:
        return {"offset": self.offset}

    def load_state_dict(self, state_dict: dict[str, float | None]) -> None:
        self.offset = state_dict["offset"]

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(dataset=self.dataset, batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(dataset=self.dataset, batch_size=self.batch_size)

    test_dataloader = predict_dataloader = val_dataloader


class ToyTask(LightningModule):
    """Push the outputs of a linear layer towards zero."""

    def __init__(
        self,
        hidden_size: int = 4,
        features: int | None = None,
        scale: float = 1.0,
        optimizer: OptimizerCallable = torch.optim.SGD,
    ) -> None:
        super().__init__()
        if hidden_size % 2:
            raise ValueError(f"hidden_size must be even, got {hidden_size}")
        self.save_hyperparameters()
        self.scale, self.optimizer = scale, optimizer
        self.net, self.loss = nn.Linear(4, hidden_size), MeanMetric()

    def configure_model(self) -> None:
        self.hparams["features"] = 4

    def training_step(self, batch: tuple[Tensor], batch_idx: int) -> Tensor:
        loss = self.net(batch[0]).square().mean()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor], batch_idx: int) -> None:
        self.loss.update(self.scale * self.net(batch[0]).square().mean(1))

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        loss = self.loss.compute()
        fields = {"loss": loss, "loss_low": loss - 1, "loss_high": loss + 1, "samples": 24.0}
        self.log_dict({f"val/{name}": value for name, value in fields.items()})
        self.loss.reset()

    def on_test_epoch_end(self) -> None:
        self.log("test/loss", self.loss.compute())
        self.loss.reset()

    def predict_step(self, batch: tuple[Tensor], batch_idx: int) -> list[dict[str, float]]:
        return [{"size": float(value)} for value in self.net(batch[0]).square().mean(1)]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer(self.parameters())
