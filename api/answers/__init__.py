"""What was understood, as the API shows it: storage's records -> JSON, one module per noun."""
