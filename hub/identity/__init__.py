"""Whose is it: which facilities' Patients are one person.

A facility's Patient stays its own; a golden Patient links those of one person. Linking and unlinking rewrite no clinical
resource and no facility's Patient. What is not certain stays a doubt: a Task that a person decides.
"""

from hub.identity.linking import link_patient, unlink_deleted

__all__ = ["link_patient", "unlink_deleted"]
