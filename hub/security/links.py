"""Page links that only their caller can follow: position and query are signed, so a link outlives a restart and cannot be
altered, moved to another search or handed to someone else.

A position holds what the last row of a page was sorted by, a name perhaps, and addresses end up in logs: so it is hidden too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from hub.errors import HubError, Kind
from hub.security.access import Access
from hub.store.port import ResourceStore, Transaction

FILE = "links.key"
SHELF = "key"
KEY_BYTES = 32
POSITION = "_after"
SIGNATURE = "_sig"


class BadLink(HubError):
    """A page link that was altered, or that belongs to another caller or another search."""

    kind = Kind.INVALID


class LinkSigner:
    def __init__(self, key: bytes) -> None:
        self._signing = hmac.new(key, digestmod=hashlib.sha256)
        self._hiding = hmac.digest(key, b"positions", "sha256")

    @classmethod
    def of_folder(cls, folder: Path) -> LinkSigner:
        """The key is made at the first start and stays."""
        path = folder / FILE
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls(path.read_bytes())
        with os.fdopen(file, "wb") as stream:
            key = secrets.token_bytes(KEY_BYTES)
            stream.write(key)
            stream.flush()
            os.fsync(stream.fileno())
        return cls(key)

    @classmethod
    def of_store(cls, store: ResourceStore) -> LinkSigner:
        """One key for all processes that share the store: the first one makes it."""

        def work(transaction: Transaction) -> bytes:
            key = transaction.item(SHELF, FILE)
            if key is None:
                key = secrets.token_bytes(KEY_BYTES)
                transaction.put_item(SHELF, FILE, key)
            return key

        return cls(store.item(SHELF, FILE) or store.write(work).result())

    def seal(self, access: Access, query: str, position: str) -> tuple[str, str]:
        """A position as a link carries it, and its signature."""
        signature = self.sign(access, query, position)
        return base64.urlsafe_b64encode(self._hidden(position.encode(), signature)).decode(), signature

    def unseal(self, access: Access, query: str, sealed: str, signature: str) -> str:
        """The position. Raise BadLink unless `seal` made both for the same caller and query."""
        try:
            position = self._hidden(base64.urlsafe_b64decode(sealed.encode()), signature).decode()
        except ValueError:
            position = ""
        self.check(access, query, position, signature)
        return position

    def _hidden(self, content: bytes, signature: str) -> bytes:
        """And shown again. No two positions share a key stream, for the signature hangs on all there is to it: RFC 5297's idea."""
        stream = hashlib.shake_256(self._hiding + signature.encode()).digest(len(content))
        return bytes(one ^ other for one, other in zip(content, stream, strict=True))

    def sign(self, access: Access, query: str, position: str) -> str:
        """A signature over caller, query (path and parameters, in order) and position."""
        text = "\x1f".join((access.token_id or access.name, access.facility, query, position))
        signing = self._signing.copy()  # unlike hmac.digest it keeps the interpreter's lock, which others queue for
        signing.update(text.encode())
        return base64.urlsafe_b64encode(signing.digest()[:24]).decode()

    def check(self, access: Access, query: str, position: str, signature: str) -> None:
        """Raise BadLink unless `sign` gave this signature to the same caller for the same query and position."""
        if not hmac.compare_digest(self.sign(access, query, position).encode(), signature.encode()):
            raise BadLink("this page link was altered or was given to someone else: search again")
