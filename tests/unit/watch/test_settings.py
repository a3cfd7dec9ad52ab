"""Settings of alerts and of the feed that can't be used are refused before anything starts."""

from pathlib import Path

import pytest

from gateway.cli.serve import check_files
from gateway.config import Settings
from gateway.errors import ConfigurationError
from tests.services.certificate import self_signed

SECRET = "a secret of sixteen and more"
WEBHOOK = {"GATEWAY_ALERT_WEBHOOK": "https://ops.example/hook", "GATEWAY_ALERT_WEBHOOK_SECRET": SECRET}
MAIL = {
    "GATEWAY_ALERT_SMTP": "smtp://user:p%40ss@mail.example:587",
    "GATEWAY_ALERT_MAIL_FROM": "gateway@exchange.example",
    "GATEWAY_ALERT_MAIL_TO": "privacy@exchange.example, it@exchange.example",
}


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({**WEBHOOK, "GATEWAY_ALERT_WEBHOOK": "ops.example"}, "GATEWAY_ALERT_WEBHOOK"),
        ({**WEBHOOK, "GATEWAY_ALERT_WEBHOOK_SECRET": "short"}, "GATEWAY_ALERT_WEBHOOK_SECRET"),
        ({**MAIL, "GATEWAY_ALERT_SMTP": "mail.example:25"}, "GATEWAY_ALERT_SMTP"),
        ({**MAIL, "GATEWAY_ALERT_MAIL_TO": ""}, "GATEWAY_ALERT_MAIL_TO"),
        ({"GATEWAY_ALERT_NOT_FOUND": "0"}, "GATEWAY_ALERT_NOT_FOUND"),
        ({"GATEWAY_ATNA_SYSLOG": "udp://arr.example:514"}, "GATEWAY_ATNA_SYSLOG"),
        ({"GATEWAY_ATNA_CA_FILE": "/nowhere.pem"}, "GATEWAY_ATNA_CA_FILE"),
        ({"GATEWAY_ATNA_CERT_FILE": __file__}, "GATEWAY_ATNA_KEY_FILE"),
    ],
)
def test_what_can_not_be_used_is_named(env: dict[str, str], named: str) -> None:
    """And never a password or a secret."""
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_env(env)

    assert named in refused.value.reason
    assert SECRET not in refused.value.reason


def test_a_plain_webhook_is_refused_in_production(tmp_path: Path) -> None:
    """What it is told must not be read on the way."""
    (tmp_path / "keys.json").touch()
    env = {**WEBHOOK, "GATEWAY_ENVIRONMENT": "production", "GATEWAY_BASE_URL": "https://exchange.example"}
    env |= {"GATEWAY_KEYS_FILE": str(tmp_path / "keys.json"), "GATEWAY_ALERT_WEBHOOK": "http://ops.example/hook"}
    with pytest.raises(ConfigurationError, match="GATEWAY_ALERT_WEBHOOK must be https"):
        Settings.from_env(env)


def test_secrets_are_not_in_what_settings_look_like() -> None:
    """Nor is the mail server's password."""
    settings = Settings.from_env({**WEBHOOK, **MAIL})

    assert SECRET not in repr(settings)
    assert "p%40ss" not in repr(settings)
    assert settings.alert_mail_to == ("privacy@exchange.example", "it@exchange.example")


def test_certificates_that_can_not_be_read_end_serve_before_a_worker_starts(tmp_path: Path) -> None:
    """With those that can, nothing is said."""
    certificate, key = self_signed(tmp_path)
    (tmp_path / "junk.pem").write_text("no certificate")
    known = {"GATEWAY_ATNA_SYSLOG": "tls://arr.example:6514", "GATEWAY_DATA_DIR": str(tmp_path)}

    good = {"GATEWAY_ATNA_CA_FILE": certificate, "GATEWAY_ATNA_CERT_FILE": certificate, "GATEWAY_ATNA_KEY_FILE": key}
    check_files(Settings.from_env({**known, **{name: str(path) for name, path in good.items()}}))
    for name in ("CA", "CERT"):
        bad = {**good, f"GATEWAY_ATNA_{name}_FILE": tmp_path / "junk.pem"}
        with pytest.raises(ConfigurationError, match="PEM"):
            check_files(Settings.from_env({**known, **{name: str(path) for name, path in bad.items()}}))
