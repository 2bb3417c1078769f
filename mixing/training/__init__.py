"""Training of mixing models: `dasp train RECIPE`. Recipes are files in `mixing/configs/`."""
