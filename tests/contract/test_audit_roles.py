"""Who serves need not own the audit's tables: a stolen gateway can't change what it wrote (T91)."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError

from gateway.audit.checkpoints import Checkpoints
from gateway.audit.delivery import Delivery
from gateway.audit.destinations import Folder
from gateway.audit.log import open_audit_log
from gateway.audit.sequence import Sequencer
from gateway.db.crypto import KeyRing
from gateway.db.session import open_database
from tests.factories_audit import NOON, a_record

pytestmark = pytest.mark.integration
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "prove-the-audit.md"


@pytest.fixture
def serving(postgres_url: str) -> Iterator[Engine]:
    """A database opened by the role that the page describes."""
    (grants,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    owner = open_database(postgres_url)
    with owner.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS serving"))
        connection.execute(text("CREATE ROLE serving LOGIN"))
        for statement in grants.strip().split(";\n"):
            connection.execute(text(statement))
    opened = open_database(make_url(postgres_url).set(username="serving").render_as_string(), serving=True)
    yield opened
    opened.dispose()
    with owner.begin() as connection:
        connection.execute(text("DROP OWNED BY serving"))
        connection.execute(text("DROP ROLE serving"))
    owner.dispose()


def test_t091_a_role_that_serves_records_orders_signs_and_delivers_and_can_change_nothing(
    serving: Engine, keys: KeyRing, tmp_path: Path
) -> None:
    """With the rights that the page gives it, and no others."""
    checkpoints = Checkpoints(serving, keys, "exchange.example")
    with open_audit_log(serving, keys) as log:
        log.record([a_record(), a_record()])
        assert Sequencer(serving, keys).run() == 2
        assert checkpoints.make(NOON) is not None
        Delivery(serving, checkpoints, log, [Folder(tmp_path)], lambda: NOON).run()
        assert len(list(log.read())) == 2
    assert len(list(tmp_path.iterdir())) == 1

    for statement in (
        "UPDATE audit_record SET outcome = 'failed'",
        "DELETE FROM audit_record",
        "DELETE FROM audit_leaf",
        "UPDATE audit_checkpoint SET note = ''",
        "INSERT INTO audit_retention (up_to, pruned_at) VALUES (1000, 0)",
        "TRUNCATE audit_record",
        "DROP TRIGGER audit_record_kept ON audit_record",
        "ALTER TABLE audit_record DISABLE TRIGGER ALL",
        "ALTER TABLE audit_record RENAME TO gone",
        "DROP TABLE audit_leaf",
        "SET session_replication_role = replica",
    ):
        with pytest.raises(DBAPIError, match=r"permission denied|must be owner"), serving.begin() as connection:
            connection.execute(text(statement))
