"""The names that other parts use of `profiles.validation` and `profiles.structures`."""

from profiles.structures import required_names as mandatory_elements
from profiles.structures import summary_names as summary_elements
from profiles.validation import ValidationIssue, known_type, resource_types, validate

__all__ = ["ValidationIssue", "known_type", "mandatory_elements", "resource_types", "summary_elements", "validate"]
