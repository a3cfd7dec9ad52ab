"""Does this gateway match records as they arrive, and how? What the settings say, for every way into the index."""

from gateway.config import Settings
from gateway.errors import ConfigurationError
from gateway.mpi.algorithm import Algorithm, AlgorithmRefused, default_algorithm, parse_algorithm, with_thresholds
from gateway.mpi.matching import MatchingRule


def matching_rule(settings: Settings) -> MatchingRule | None:
    """The rule that `GATEWAY_MATCHING` turns on, None where it is off. Raises ConfigurationError."""
    if settings.matching == "off":
        return None
    return rule_of(settings, _algorithm(settings))


def rule_of(settings: Settings, algorithm: Algorithm) -> MatchingRule:
    """The rule by `algorithm` with the settings' thresholds. Raises ConfigurationError."""
    algorithm = with_thresholds(algorithm, **settings.matching_bits)
    if algorithm.thresholds.review > algorithm.thresholds.link:
        raise ConfigurationError(["GATEWAY_MATCHING_REVIEW_BITS is above GATEWAY_MATCHING_LINK_BITS"])
    return MatchingRule(algorithm, settings.strong_identifier_systems)


def _algorithm(settings: Settings) -> Algorithm:
    file = settings.matching_algorithm_file
    if file is None:
        return default_algorithm()
    try:
        return parse_algorithm(file.read_bytes())
    except AlgorithmRefused as exc:
        raise ConfigurationError([f"GATEWAY_MATCHING_ALGORITHM_FILE: {file}: {exc}"]) from exc
    except OSError as exc:
        raise ConfigurationError([f"GATEWAY_MATCHING_ALGORITHM_FILE: {file} can't be read"]) from exc
