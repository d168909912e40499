"""Scores of captions: BLEU, CIDEr-D and ROUGE-L."""
