"""Under which ids a person was known before."""

from sqlalchemy import bindparam, select

from gateway.mpi.tables import person

RETIRED_INTO = select(person.c.id).where(person.c.survivor_id == bindparam("patient"))
"""The ids of the persons that were merged into `patient`: what is filed under them is filed for the survivor."""
