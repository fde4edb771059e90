"""Storage's records as streams for other tools, one module per format."""
