"""Pretrained backbones, heads and fine-tuning."""

from lit_tasks.nn.image.backbone import Backbone
from lit_tasks.nn.image.classifier import LinearHead
from lit_tasks.nn.image.finetuning import Finetuning

__all__ = ["Backbone", "Finetuning", "LinearHead"]
