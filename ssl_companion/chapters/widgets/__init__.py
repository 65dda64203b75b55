"""What a page shows besides plots: sliders that need no kernel, the explorer, tables."""
