"""The fields of Istio's objects that the sandbox honours, as one table per kind. Data only.

A field that is not in these tables has no effect and is reported. Adding a field here without
translating it would be a lie, so the tests ask of every leaf that it changes the result.
"""

from __future__ import annotations

from typing import Any

from runner.targets.sandbox.mesh.fields import (
    ANYTHING,
    BOOL,
    COUNT,
    DURATION,
    PERCENT,
    STRING,
    Schema,
    one_of,
)

STRING_MATCH = {"exact": STRING, "prefix": STRING, "regex": STRING}

HEADER_OPERATIONS = {
    direction: {"add": {"*": STRING}, "set": {"*": STRING}, "remove": [STRING]}
    for direction in ("request", "response")
}

DESTINATION = {"host": STRING, "subset": STRING, "port": {"number": COUNT}}

MATCH = {
    "name": STRING,
    "uri": STRING_MATCH,
    "ignoreUriCase": BOOL,
    "scheme": STRING_MATCH,
    "method": STRING_MATCH,
    "authority": STRING_MATCH,
    "headers": {"*": STRING_MATCH},
    "withoutHeaders": {"*": STRING_MATCH},
    "queryParams": {"*": STRING_MATCH},
    "port": COUNT,
    "sourceLabels": {"*": STRING},
    "sourceNamespace": STRING,
    "gateways": [STRING],
}

FAULT = {
    "delay": {
        "fixedDelay": DURATION,
        "percentage": {"value": PERCENT},
        "percent": PERCENT,
    },
    "abort": {"httpStatus": COUNT, "percentage": {"value": PERCENT}},
}

HTTP_ROUTE = {
    "name": STRING,
    "match": [MATCH],
    "route": [{"destination": DESTINATION, "weight": COUNT, "headers": HEADER_OPERATIONS}],
    "redirect": {
        "uri": STRING,
        "authority": STRING,
        "scheme": STRING,
        "port": COUNT,
        "redirectCode": one_of(301, 302, 303, 307, 308),
    },
    "directResponse": {"status": COUNT, "body": {"string": STRING}},
    "rewrite": {
        "uri": STRING,
        "authority": STRING,
        "uriRegexRewrite": {"match": STRING, "rewrite": STRING},
    },
    "timeout": DURATION,
    "retries": {
        "attempts": COUNT,
        "perTryTimeout": DURATION,
        "retryOn": STRING,
        "retryIgnorePreviousHosts": BOOL,
        "backoff": DURATION,
    },
    "fault": FAULT,
    "headers": HEADER_OPERATIONS,
}

VIRTUAL_SERVICE = {
    "hosts": [STRING],
    "gateways": [STRING],
    "http": [HTTP_ROUTE],
    "exportTo": [one_of("*")],
}

CONSISTENT_HASH = {
    "httpHeaderName": STRING,
    "httpCookie": {"name": STRING, "path": STRING, "ttl": DURATION},
    "useSourceIp": BOOL,
    "httpQueryParameterName": STRING,
    "ringHash": {"minimumRingSize": COUNT},
    "maglev": {"tableSize": COUNT},
    "minimumRingSize": COUNT,
}

TRAFFIC_POLICY: dict[str, Any] = {
    "loadBalancer": {
        "simple": one_of(
            "UNSPECIFIED", "ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "RANDOM", "PASSTHROUGH"
        ),
        "consistentHash": CONSISTENT_HASH,
        "warmupDurationSecs": DURATION,
        "warmup": {"duration": DURATION},
    },
    "connectionPool": {
        "tcp": {
            "maxConnections": COUNT,
            "connectTimeout": DURATION,
            "maxConnectionDuration": DURATION,
            "idleTimeout": DURATION,
            "tcpKeepalive": {"probes": COUNT, "time": DURATION, "interval": DURATION},
        },
        "http": {
            "http1MaxPendingRequests": COUNT,
            "http2MaxRequests": COUNT,
            "maxRequestsPerConnection": COUNT,
            "maxRetries": COUNT,
            "idleTimeout": DURATION,
            # Upstream connections are HTTP/1.1 always, so only this can be honoured.
            "h2UpgradePolicy": one_of("DEFAULT", "DO_NOT_UPGRADE"),
        },
    },
    "outlierDetection": {
        "consecutive5xxErrors": COUNT,
        "consecutiveGatewayErrors": COUNT,
        "consecutiveErrors": COUNT,
        "consecutiveLocalOriginFailures": COUNT,
        "splitExternalLocalOriginErrors": BOOL,
        "interval": DURATION,
        "baseEjectionTime": DURATION,
        "maxEjectionPercent": PERCENT,
        "minHealthPercent": PERCENT,
    },
    # The sandbox's network is the loopback interface: nothing is encrypted, whatever is asked.
    "tls": {"mode": one_of("DISABLE")},
}

TRAFFIC_POLICY_WITH_PORTS = {
    **TRAFFIC_POLICY,
    "portLevelSettings": [{"port": {"number": COUNT}, **TRAFFIC_POLICY}],
}

DESTINATION_RULE = {
    "host": STRING,
    "trafficPolicy": TRAFFIC_POLICY_WITH_PORTS,
    "subsets": [
        {"name": STRING, "labels": {"*": STRING}, "trafficPolicy": TRAFFIC_POLICY_WITH_PORTS}
    ],
    "exportTo": [one_of("*")],
}

GATEWAY = {
    "selector": {"*": STRING},
    "servers": [
        {
            "port": {"number": COUNT, "name": STRING, "protocol": one_of("HTTP", "HTTP2")},
            "hosts": [STRING],
            "name": STRING,
        }
    ],
}

HTTP_FAULT_TYPE = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"

ENVOY_FILTER = {
    "workloadSelector": {"labels": {"*": STRING}},
    "configPatches": [
        {
            "applyTo": one_of("HTTP_FILTER"),
            "match": {
                "context": one_of("SIDECAR_INBOUND"),
                "listener": {
                    "filterChain": {
                        "filter": {
                            "name": one_of("envoy.filters.network.http_connection_manager"),
                            "subFilter": {"name": one_of("envoy.filters.http.router")},
                        }
                    }
                },
            },
            "patch": {
                "operation": one_of("INSERT_BEFORE", "INSERT_FIRST"),
                "value": {
                    "name": STRING,
                    # Envoy itself judges what is below; what it does not know it rejects.
                    "typed_config": ANYTHING,
                    "typedConfig": ANYTHING,
                },
            },
        }
    ],
}

SCHEMAS: dict[str, Schema] = {
    "VirtualService": VIRTUAL_SERVICE,
    "DestinationRule": DESTINATION_RULE,
    "Gateway": GATEWAY,
    "EnvoyFilter": ENVOY_FILTER,
}
