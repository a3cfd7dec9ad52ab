"""Which table of label rules holds here? The operators' own, else the one that comes with the gateway."""

from importlib import resources

from gateway.config import Settings
from gateway.consent.label_rules import LabelRules, read_label_rules
from gateway.errors import ConfigurationError

OWN_LABEL_RULES = "label-rules.toml"
SHIPPED = "label_rules.toml"


def load_label_rules(settings: Settings) -> LabelRules:
    """The operators' own rule table, `label-rules.toml` in the data folder, else the one that comes with the gateway.

    Raises ConfigurationError that says what is wrong with it.
    """
    own = settings.data_dir / OWN_LABEL_RULES
    text = own.read_text("utf-8") if own.exists() else resources.files("gateway.consent").joinpath(SHIPPED).read_text()
    try:
        return read_label_rules(text)
    except ValueError as exc:
        raise ConfigurationError([f"{OWN_LABEL_RULES}: {exc}"]) from exc
