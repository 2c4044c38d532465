"""The International Patient Summary of a person, from every record that the caller may see.

https://hl7.org/fhir/uv/ips/ (2.0.0). `sections` says what stands where, `gather` reads it, `document` makes the Bundle of it.
"""
