"""Subscriptions: R4's own, by rest-hook and websocket, and topic-based ones after the R5 backport.

A change is matched in its own transaction (`watch`), its event numbered on a shelf (`outbox`) and delivered from there (`deliver`).
https://hl7.org/fhir/R4/subscription.html, https://hl7.org/fhir/uv/subscriptions-backport/
"""
