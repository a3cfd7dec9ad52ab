"""Every room's tables, gathered on the one MetaData: what migrations are compared with."""

import gateway.mpi.tables  # noqa: F401  (importing a tables module puts its tables on the metadata)
from gateway.db.base import metadata

__all__ = ["metadata"]
