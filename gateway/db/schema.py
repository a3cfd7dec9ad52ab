"""Every room's tables, gathered on the one MetaData: what migrations are compared with."""

# Importing a tables module puts its tables on the metadata.
import gateway.adapters.tables
import gateway.audit.tables
import gateway.auth.app_tables
import gateway.auth.facility_tables
import gateway.auth.people_tables
import gateway.auth.tables
import gateway.consent.tables
import gateway.db.tables
import gateway.hl7v2.tables
import gateway.mpi.tables
import gateway.watch.tables  # noqa: F401
from gateway.db.base import metadata

__all__ = ["metadata"]
