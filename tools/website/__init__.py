"""What the documentation site has besides the pages of docs/: generated pages, pictures, sounds, and parts of Sphinx."""
