"""What the gateway counts. Labels are facilities, clients' routes and closed words: never a patient's value."""

from prometheus_client import Counter, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS = Counter("gateway_requests_total", "Requests answered", ["route", "method", "status"])
REQUEST_SECONDS = Histogram("gateway_request_seconds", "Time to answer a request", ["route"], buckets=_SECONDS)
FACILITY_REPLIES = Counter("gateway_facility_replies_total", "Replies of facilities", ["facility", "status"])
FACILITY_SECONDS = Histogram("gateway_facility_seconds", "Time a facility took", ["facility"], buckets=_SECONDS)
FACILITY_ROWS_REFUSED = Counter(
    "gateway_facility_rows_refused_total", "Rows of a facility that were not used", ["facility", "reason"]
)
CONSENT_DECISIONS = Counter("gateway_consent_decisions_total", "Decisions about a facility's data", ["decision"])
TOKENS = Counter("gateway_tokens_total", "Token requests", ["outcome"])
SIGN_INS = Counter("gateway_sign_ins_total", "Attempts to sign in to a page", ["outcome"])
ADT_MESSAGES = Counter("gateway_adt_messages_total", "HL7 v2 messages acknowledged", ["answer"])
AUDIT_RECORDS = Counter("gateway_audit_records_total", "Audit records", ["outcome"])
AUDIT_LOGGED = Counter("gateway_audit_logged_total", "Audit records that have their place in the log")
AUDIT_CHECKPOINTS = Counter("gateway_audit_checkpoints_total", "Checkpoints of the audit log that were signed")
AUDIT_CHECKPOINTS_SENT = Counter(
    "gateway_audit_checkpoints_sent_total", "Checkpoints taken to places outside", ["place", "outcome"]
)
AUDIT_SECONDS = Histogram("gateway_audit_seconds", "Time to store an audit record durably", buckets=_SECONDS)
RETRIEVAL_DECISIONS = Counter(
    "gateway_retrieval_decisions_total", "Decisions about requests at archives", ["asked_by", "decision"]
)
THROTTLED = Counter("gateway_throttled_total", "Requests refused because there were too many", ["kind"])
NOTICES_SENT = Counter(
    "gateway_notices_sent_total", "Notices that went out, or tries that failed", ["channel", "outcome"]
)
AUDIT_FOLLOWED = Counter("gateway_audit_followed_total", "Audit records that a follower has dealt with", ["follower"])
ALERTS = Counter("gateway_alerts_total", "Things a person should look at", ["kind"])
DROPPED_LOG_FIELDS = Counter("gateway_dropped_log_fields_total", "Log fields outside the allow-list")
