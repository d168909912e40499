"""One LightningDataModule per dataset, one dataset per file."""
