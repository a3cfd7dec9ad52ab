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
    shipped = resources.files("gateway.consent").joinpath(SHIPPED)
    try:
        return read_label_rules(own.read_text("utf-8") if own.exists() else shipped.read_text("utf-8"))
    except OSError as exc:
        raise ConfigurationError([f"{OWN_LABEL_RULES}: the file can't be read"]) from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError([f"{OWN_LABEL_RULES}: the file is not UTF-8"]) from exc
    except ValueError as exc:
        raise ConfigurationError([f"{OWN_LABEL_RULES}: {exc}"]) from exc
