"""One LightningModule per task, one task per file."""
