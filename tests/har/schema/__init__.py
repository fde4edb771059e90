"""The HAR 1.2 schema as a validator."""

import json
from pathlib import Path

from jsonschema import Draft6Validator
from referencing import Registry, Resource


def validator() -> Draft6Validator:
    """Validates a whole document, formats included."""
    files = Path(__file__).parent.glob("*.json")
    schemas = [Resource.from_contents(json.loads(path.read_text())) for path in files]
    registry = schemas @ Registry()
    return Draft6Validator(
        {"$ref": "har.json"}, registry=registry, format_checker=Draft6Validator.FORMAT_CHECKER
    )
