"""The table of kubectl's verbs: what is typed, what must be printed, what must be true then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from api_rig import Obj, deployment, virtual_service


@dataclass(frozen=True)
class Verb:
    """One call: what is typed, what must be printed (a pattern), what must be true afterwards.

    ``NS`` stands for the namespace. ``then`` is an API path (below the namespace when relative), a
    dotted field, and its value; ``None`` for a field or object that must be absent.
    """

    name: str
    typed: str
    prints: str
    then: tuple[str, str, Any] | None = None
    stdin: Obj | None = None
    code: int = 0


WEB = "apps:deployments/web"
POD = "core:pods/web-1"
CM = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}, "data": {"x": "y"}}
JSON_TYPE = '--type=json -p=[{"op":"replace","path":"/spec/replicas","value":4}]'
STRATEGIC = '{"spec":{"template":{"spec":{"containers":[{"name":"app","tty":true}]}}}}'
FAULT = '[{"op":"add","path":"/spec/http/0/fault","value":{"abort":{"httpStatus":503}}}]'

VERBS = [
    Verb(
        "autoscale",
        "autoscale deployment web --min=2 --max=5 --cpu-percent=60",
        r"horizontalpodautoscaler.autoscaling/web autoscaled",
        (
            "/apis/autoscaling/v2/namespaces/NS/horizontalpodautoscalers/web",
            "spec.metrics.0.resource.target.averageUtilization",
            60,
        ),
    ),
    # reading
    Verb("get", "get pods", r"NAME +READY +STATUS +RESTARTS +AGE\nweb-1 +2/2 +Running +0 +\d+s\n"),
    Verb("get wide", "get pods -o wide", r"IP +NODE .*\n.*127\.64\.0\.2 +node-NS +<none>"),
    Verb("get yaml", "get deploy web -o yaml", r"apiVersion: apps/v1\nkind: Deployment\n"),
    Verb("get name", "get pods,svc -o name", r"^pod/web-1\npod/web-2\nservice/web\n$"),
    Verb("get jsonpath", "get deploy web -o jsonpath={.spec.replicas}", r"^2$"),
    Verb("get columns", "get po -o custom-columns=N:.metadata.name", r"^N\nweb-1\nweb-2\n$"),
    Verb("get labels", "get pods --show-labels", r"web-1 .*app=web"),
    Verb("get by label", "get pods -l app in (web),!x -o name", r"^pod/web-1\npod/web-2\n$"),
    Verb("get by no label", "get pods -l app!=web", r"No resources found in NS namespace"),
    Verb("get by field", "get po --field-selector metadata.name=web-2 -o name", r"^pod/web-2\n$"),
    Verb("get sorted", "get po --sort-by=.metadata.name -o name", r"^pod/web-1\npod/web-2\n$"),
    Verb("get all", "get all", r"pod/web-1 [\s\S]*service/web [\s\S]*deployment\.apps/web "),
    Verb("get everywhere", "get pods -A", r"NS +web-1 +2/2"),
    Verb("get missing", "get pod nobody", r'Error .*NotFound.*pods "nobody" not found', code=1),
    Verb("get istio", "get vs,dr", r'virtualservice\S*/web +\["?web|virtualservice\S*/web .*web'),
    Verb("get old istio", "get virtualservices.v1alpha3.networking.istio.io -o name", r"/web\n"),
    Verb("get crd", "get crd virtualservices.networking.istio.io", r"virtualservices\.net"),
    Verb("get raw", "get --raw /api/v1/namespaces/NS/pods/web-1", r'"name":"web-1"'),
    Verb("get node", "get node node-NS -o wide", r"node-NS +Ready .*127\.0\.0\.1"),
    Verb("describe pod", "describe pod web-1", r"Node: +node-NS/\n[\s\S]*Events: +<none>"),
    Verb("describe deployment", "describe deploy web", r"Replicas: +2 desired"),
    Verb("describe service", "describe svc web", r"TargetPort: +8080/TCP"),
    Verb("describe node", "describe node node-NS", r"Non-terminated Pods: +\(2 in total\)"),
    Verb("describe istio", "describe vs web", r"Host: +web"),
    Verb("explain", "explain deploy.spec.replicas", r"FIELD: replicas <integer>"),
    Verb("api-resources", "api-resources --api-group=apps", r"deployments +deploy +apps/v1"),
    Verb("api-versions", "api-versions", r"networking\.istio\.io/v1alpha3\n"),
    Verb("version", "version", r"Server Version: v1\.\d+\.\d+"),
    Verb("cluster-info", "cluster-info", r"control plane.* is running at .*https://127\.0\.0\.1"),
    Verb("can-i", "auth can-i delete pods", r"^yes\n$"),
    Verb("can-i list", "auth can-i --list", r"\*\.\* +\[\] +\[\] +\[\*\]"),
    Verb("whoami", "auth whoami", r"Username +seatrial-admin"),
    Verb("logs", "logs web-1 --tail=3", r"^asked /containerLogs/NS/web-1/app\?tailLines=3\n$"),
    Verb("logs of", "logs web-2 -c app --timestamps", r"web-2/app\?timestamps=true"),
    Verb("logs of none", "logs web-1 -c nobody", r"container nobody is not valid", code=1),
    Verb("logs by label", "logs -l app=web --prefix", r"\[pod/web-2/app\] asked"),
    Verb("events none", "events", r"No events found in NS namespace"),
    # creating
    Verb(
        "create ns",
        "create ns NS-b",
        r"namespace/NS-b created",
        ("/api/v1/namespaces/NS-b", "status.phase", "Active"),
    ),
    Verb(
        "create configmap",
        "create configmap c --from-literal=k=v",
        r"configmap/c created",
        ("core:configmaps/c", "data", {"k": "v"}),
    ),
    Verb(
        "create secret",
        "create secret generic s --from-literal=k=v",
        r"secret/s created",
        ("core:secrets/s", "data", {"k": "dg=="}),
    ),
    Verb(
        "create deployment",
        "create deployment d --image=a:1 --replicas=0 --port=80",
        r"created",
        ("apps:deployments/d", "spec.replicas", 0),
    ),
    Verb(
        "create service",
        "create service clusterip s --tcp=80:8080",
        r"service/s created",
        (
            "core:services/s",
            "spec.ports",
            [{"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080}],
        ),
    ),
    Verb(
        "create account",
        "create sa robot",
        r"serviceaccount/robot created",
        ("core:serviceaccounts/robot", "metadata.name", "robot"),
    ),
    Verb(
        "create pdb",
        "create pdb p --selector=app=web --min-available=50%",
        r"p created",
        ("/apis/policy/v1/namespaces/NS/poddisruptionbudgets/p", "status.disruptionsAllowed", 1),
    ),
    Verb(
        "create role",
        "create role r --verb=get --resource=pods",
        r"/r created",
        (
            "/apis/rbac.authorization.k8s.io/v1/namespaces/NS/roles/r",
            "rules",
            [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}],
        ),
    ),
    Verb(
        "create job",
        "create job j --image=a:1 -- echo hi",
        r"job.batch/j created",
        ("/apis/batch/v1/namespaces/NS/jobs/j", "spec.parallelism", 1),
    ),
    Verb(
        "create ingress",
        "create ingress i --rule=a.b/c=web:80",
        r"/i created",
        (
            "/apis/networking.k8s.io/v1/namespaces/NS/ingresses/i",
            "spec.rules",
            [
                {
                    "host": "a.b",
                    "http": {
                        "paths": [
                            {
                                "path": "/c",
                                "pathType": "Exact",
                                "backend": {"service": {"name": "web", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ],
        ),
    ),
    Verb(
        "create file",
        "create -f -",
        r"configmap/new created",
        ("core:configmaps/new", "data.x", "y"),
        CM,
    ),
    Verb("create twice", "create configmap settings", r"AlreadyExists|already exists", code=1),
    Verb("create bad name", "create configmap Not_Valid", r"Invalid value: \"Not_Valid\"", code=1),
    Verb(
        "create dry",
        "create configmap c --dry-run=server",
        r"configmap/c created \(server dry",
        ("core:configmaps/c", "", None),
    ),
    Verb(
        "run",
        "run r --image=seatrial.dev/shop:1",
        r"pod/r created",
        ("core:pods/r", "spec.containers.0.image", "seatrial.dev/shop:1"),
    ),
    Verb(
        "expose",
        "expose deploy web --name=w2 --port=81",
        r"service/w2 exposed",
        ("core:services/w2", "spec.selector", {"app": "web"}),
    ),
    # changing
    Verb(
        "apply new",
        "apply -f -",
        r"configmap/new created",
        ("core:configmaps/new", "data.x", "y"),
        CM,
    ),
    Verb(
        "apply server-side",
        "apply --server-side -f -",
        r"configmap/new serverside-applied",
        ("core:configmaps/new", "metadata.managedFields.0.operation", "Apply"),
        CM,
    ),
    Verb(
        "apply istio",
        "apply -f -",
        r"virtualservice.* created",
        (
            "/apis/networking.istio.io/v1/namespaces/NS/virtualservices/other",
            "spec.hosts",
            ["other"],
        ),
        virtual_service("other", "v1beta1"),
    ),
    Verb(
        "apply dry",
        "apply --dry-run=server -f -",
        r"configmap/new created \(server dry run\)",
        ("core:configmaps/new", "", None),
        CM,
    ),
    Verb(
        "diff",
        "diff -f -",
        r"\+ +image: a:2",
        (WEB, "spec.template.spec.containers.0.image", "seatrial.dev/shop:1"),
        deployment(image="a:2"),
        1,
    ),
    Verb(
        "replace",
        "replace -f -",
        r"deployment.apps/web replaced",
        (WEB, "spec.replicas", 7),
        deployment(replicas=7),
    ),
    Verb(
        "patch strategic",
        f"patch deploy web -p {STRATEGIC}",
        r"web patched",
        (WEB, "spec.template.spec.containers.0.env", [{"name": "A", "value": "1"}]),
    ),
    Verb(
        "patch merge",
        'patch deploy web --type=merge -p {"spec":{"paused":true}}',
        r"web patched",
        (WEB, "spec.paused", True),
    ),
    Verb("patch json", f"patch deploy web {JSON_TYPE}", r"web patched", (WEB, "spec.replicas", 4)),
    Verb(
        "patch status",
        "patch deploy web --subresource=status --type=merge"
        ' -p {"status":{"replicas":9},"spec":{"replicas":9}}',
        r"patched",
        (WEB, "spec.replicas", 2),
    ),
    Verb(
        "patch istio",
        f"patch vs web --type=json -p {FAULT}",
        r"web patched",
        (
            "/apis/networking.istio.io/v1alpha3/namespaces/NS/virtualservices/web",
            "spec.http.0.fault.abort.httpStatus",
            503,
        ),
    ),
    Verb(
        "label",
        "label pod web-1 tier=front",
        r"pod/web-1 labeled",
        (POD, "metadata.labels", {"app": "web", "tier": "front"}),
    ),
    Verb("unlabel", "label pod web-1 app-", r"pod/web-1 unlabeled", (POD, "metadata.labels", None)),
    Verb(
        "annotate",
        "annotate pod web-1 sandbox.seatrial.dev/slow=200ms",
        r"pod/web-1 annotated",
        (POD, "metadata.annotations", {"sandbox.seatrial.dev/slow": "200ms"}),
    ),
    Verb("scale", "scale deploy web --replicas=5", r"web scaled", (WEB, "spec.replicas", 5)),
    Verb(
        "scale guarded",
        "scale deploy web --replicas=5 --current-replicas=9",
        r"Expected replicas to be 9, was 2",
        (WEB, "spec.replicas", 2),
        code=1,
    ),
    Verb(
        "rollout restart",
        "rollout restart deploy/web",
        r"web restarted",
        (WEB, "metadata.generation", 2),
    ),
    Verb("rollout pause", "rollout pause deploy/web", r"web paused", (WEB, "spec.paused", True)),
    Verb(
        "set image",
        "set image deploy/web app=a:3",
        r"image updated",
        (WEB, "spec.template.spec.containers.0.image", "a:3"),
    ),
    Verb(
        "set env",
        "set env deploy/web B=2",
        r"env updated",
        (WEB, "spec.template.spec.containers.0.env.1", {"name": "B", "value": "2"}),
    ),
    Verb(
        "set resources",
        "set resources deploy/web --limits=cpu=1",
        r"requirements updated",
        (WEB, "spec.template.spec.containers.0.resources.limits.cpu", "1"),
    ),
    Verb(
        "cordon",
        "cordon node-NS",
        r"node/node-NS cordoned",
        ("/api/v1/nodes/node-NS", "spec.unschedulable", True),
    ),
    Verb("uncordon", "uncordon node-NS", r"already uncordoned"),
    Verb(
        "taint",
        "taint node node-NS a=b:NoSchedule",
        r"tainted",
        ("/api/v1/nodes/node-NS", "spec.taints.0.effect", "NoSchedule"),
    ),
    Verb(
        "drain",
        "drain node-NS --timeout=10s",
        r"pod/web-1 evicted[\s\S]*node/node-NS drained",
        (POD, "", None),
    ),
    # deleting
    Verb(
        "delete now",
        "delete pod web-1 --grace-period=0 --force",
        r'"web-1" force deleted',
        (POD, "", None),
    ),
    Verb(
        "delete with grace",
        "delete pod web-1 --grace-period=7 --wait=false",
        r"deleted",
        (POD, "metadata.deletionGracePeriodSeconds", 7),
    ),
    Verb(
        "delete by label",
        "delete pods -l app=web",
        r'"web-1" deleted\npod "web-2" deleted\n',
        (POD, "", None),
    ),
    Verb(
        "delete all",
        "delete configmaps --all",
        r'"settings" deleted',
        ("core:configmaps/settings", "", None),
    ),
    Verb("delete owner", "delete deploy web", r'"web" deleted', (POD, "", None)),
    Verb(
        "delete orphaning",
        "delete deploy web --cascade=orphan",
        r'"web" deleted',
        (POD, "metadata.ownerReferences", None),
    ),
    Verb(
        "delete foreground",
        "delete deploy web --cascade=foreground",
        r'"web" deleted',
        (POD, "", None),
    ),
    Verb(
        "delete dry",
        "delete pod web-1 --dry-run=server",
        r"deleted \(server dry run\)",
        (POD, "metadata.deletionTimestamp", None),
    ),
    Verb(
        "delete ns", "delete ns NS", r'namespace "NS" deleted', ("/api/v1/namespaces/NS", "", None)
    ),
    Verb("delete missing", "delete pod nobody --ignore-not-found", r"^$"),
    Verb(
        "wait condition",
        "wait pod -l app=web --for=condition=Ready --timeout=5s",
        r"pod/web-1 condition met\npod/web-2 condition met",
    ),
    Verb(
        "wait jsonpath",
        "wait pod web-1 --for=jsonpath={.status.phase}=Running --timeout=5s",
        r"condition met",
    ),
    Verb("wait in vain", "wait pod web-1 --for=condition=Gone --timeout=1s", r"timed out", code=1),
]
