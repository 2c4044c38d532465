"""The store for more than one process or machine: MongoDB, a replica set, majority writes."""

from hub.store.mongo.store import MongoStore

__all__ = ["MongoStore"]
