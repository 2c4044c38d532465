"""A county's catalogues and evidence as data that is published: workbooks, what a new version would change, its review."""
