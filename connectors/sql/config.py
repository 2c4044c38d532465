"""What a hospital's engineer writes of a database in county.toml: how to reach it, and which views to read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from connectors.credentials import read_secret
from connectors.sql.text import StoredAs

# A name as databases allow it, Chinese letters included; it is looked up in the inspected schema before it is ever used.
NAME = re.compile(r"[^\W\d][\w$#]{0,127}")


def _identifier(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError("not the name of a column")
    return text


def _qualified(text: str) -> str:
    if not all(map(NAME.fullmatch, text.split("."))) or text.count(".") > 1:
        raise ValueError("not the name of a view: write view or schema.view")
    return text


Identifier = Annotated[str, AfterValidator(_identifier)]
QualifiedName = Annotated[str, AfterValidator(_qualified)]


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ViewConfig(Table):
    name: QualifiedName  # v_patient or schema.v_patient
    key: tuple[Identifier, ...] = Field(min_length=1)  # the columns that name a row
    changed_at: Identifier | None = None  # when the row was last written: DATETIME, TIMESTAMP, DATE or ISO text
    # … or, without one: a column that grows with every row, or with every write (rowversion). With neither, all rows are compared
    grows: Identifier | None = None
    tail: int = Field(default=1_000, ge=0)  # with `grows`: how many rows may be numbered before one that commits later
    compare_every: float = Field(default=3_600, gt=0)  # with neither: seconds between two readings of all rows
    columns: tuple[Identifier, ...] = ()  # empty: every column of the view
    deleted: Identifier | None = None  # a flag column: 1, Y, T, true or 是 mean that the row no longer holds
    table: str = Field(default="", pattern=r"^[a-z0-9_]*$")  # the declared table that maps it; empty: the view's own name

    @model_validator(mode="after")
    def one_order(self) -> ViewConfig:
        if self.changed_at and self.grows:
            raise ValueError("state changed_at or grows, not both")
        return self

    @property
    def kind(self) -> str:
        return f"row/{self.table or self.name.rpartition('.')[2].lower()}"


class SqlConfig(Table):
    url: SecretStr | None = None  # a SQLAlchemy URL: mariadb+pymysql://reader:…@his/hisdb, postgresql+psycopg://…
    url_env: str = ""  # or the environment variable …
    url_file: Path | None = None  # … or the file that holds it, for it holds a password
    views: tuple[ViewConfig, ...] = Field(min_length=1)
    batch: int = Field(default=500, ge=1, le=50_000)  # rows a page
    overlap: float = Field(default=300, ge=0)  # seconds: the longest time between writing changed_at and its commit
    remember: int = Field(default=5_000, ge=0)  # rows of the overlap known by digest, so that they are not sent again
    every: float = Field(default=60, gt=0)  # seconds between two polls
    stored_as: StoredAs = (
        ""  # "latin1" or "bytes": text is held under a character set that it is not; the channel's charset says which
    )
    writer: Literal["warn", "refuse"] = "warn"  # what becomes of an account that may also write
    timeout: int = Field(default=60, ge=1)  # seconds one statement may take, where the driver has a limit

    @model_validator(mode="after")
    def one_url(self) -> SqlConfig:
        if sum(map(bool, (self.url, self.url_env, self.url_file))) != 1:
            raise ValueError("state exactly one of url, url_env and url_file")
        if len({view.kind for view in self.views}) != len(self.views):
            raise ValueError("two views of one channel would share a table's name; give one of them another `table`")
        return self

    def read_url(self) -> str:
        """The URL itself. Raise LookupError naming the variable or file that is missing, never what it holds."""
        if self.url is not None:
            return self.url.get_secret_value()
        return read_secret(self.url_file, self.url_env, "url")
