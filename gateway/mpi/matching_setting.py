"""Does this gateway match records as they arrive, and how? What the settings say, for every way into the index."""

from gateway.config import Settings
from gateway.errors import ConfigurationError
from gateway.mpi.algorithm import default_algorithm, with_thresholds
from gateway.mpi.matching import MatchingRule


def matching_rule(settings: Settings) -> MatchingRule | None:
    """The rule that `GATEWAY_MATCHING` turns on, None where it is off. Raises ConfigurationError."""
    if settings.matching == "off":
        return None
    algorithm = with_thresholds(default_algorithm(), **settings.matching_bits)
    if algorithm.thresholds.review > algorithm.thresholds.link:
        raise ConfigurationError(["GATEWAY_MATCHING_REVIEW_BITS is above GATEWAY_MATCHING_LINK_BITS"])
    return MatchingRule(algorithm, settings.strong_identifier_systems)
