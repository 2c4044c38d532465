"""Who and where: facilities and what they are part of, departments, places, staff and their posts.

https://hl7.org/fhir/R4/administration-module.html
"""
