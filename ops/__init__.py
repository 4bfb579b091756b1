"""The operator's verbs: `python -m ops --help`."""
