"""Training: backbones, objectives, optimizers and one loop for every device."""
