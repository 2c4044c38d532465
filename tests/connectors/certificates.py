"""Certificates made for a test by the openssl command: an authority, a server, clients of two names."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Certificates:
    """PEM files in a folder; `make` signs another one by the same authority."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        self._openssl("req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=county authority")

    def make(self, name: str) -> tuple[Path, Path]:
        """Certificate and key of one name, also as DNS name and for 127.0.0.1."""
        extension = self.folder / f"{name}.ext"
        extension.write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n", "ascii")
        self._openssl("req", "-new", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/O=test/CN={name}")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", extension.name)
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing)
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=60)


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
