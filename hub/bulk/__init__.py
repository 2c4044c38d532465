"""Many resources at once, as newline-delimited JSON: out by `$export`, in by `$import`. https://hl7.org/fhir/uv/bulkdata/STU2/"""
