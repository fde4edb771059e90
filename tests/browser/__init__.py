"""What needs a real Chromium: `make test-browser`."""
