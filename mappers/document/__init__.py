"""A PDF or a scan with a few words about it → DocumentReference, the bytes kept as they came."""

from mappers.document.mapper import map_document_file

__all__ = ["map_document_file"]
