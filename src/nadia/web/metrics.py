"""What the web counts."""

from nadia import metrics

KINDS = ("api", "page", "static", "operations")

requests = metrics.counter(
    "nadia_web_requests_total",
    "Requests answered, by what was asked for and class of HTTP status.",
    {"kind": KINDS, "status": ("1xx", "2xx", "3xx", "4xx", "5xx")},
)
route_seconds = metrics.histogram(
    "nadia_web_route_seconds",
    "Time until an answer began, by method and route; what leads nowhere is `none`.",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
response_seconds = metrics.histogram(
    "nadia_web_response_seconds",
    "Time until an answer began, by what was asked for.",
    {"kind": KINDS},
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
