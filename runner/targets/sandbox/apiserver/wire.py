"""Numbers of the fields of those messages that typed clients send as protobuf. Data only.

The numbers are Kubernetes' published wire format (the ``generated.proto`` files of ``k8s.io/api``).
A line of a message is ``name number type``. The types:

``s`` text, ``i`` whole number, ``b`` boolean, ``y`` bytes (base64 in JSON), ``t`` time, ``q``
quantity, ``x`` number or text, ``-`` left out (what only a server writes), else another message.
``[]`` before a type: repeated. ``{}``: a map from texts. ``?`` after a type: optional, so that a
zero was meant. ``~`` before a type: its fields stand in the parent, as in JSON.
"""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """One field of a message."""

    name: str
    type: str
    many: bool
    mapped: bool
    inline: bool
    optional: bool


_TEXT: dict[str, str] = {
    "ObjectMeta": """name 1 s, generateName 2 s, namespace 3 s, selfLink 4 -, uid 5 s,
        resourceVersion 6 s, generation 7 -, creationTimestamp 8 -, deletionTimestamp 9 -,
        deletionGracePeriodSeconds 10 -, labels 11 {}s, annotations 12 {}s,
        ownerReferences 13 []OwnerReference, finalizers 14 []s, managedFields 17 -""",
    "OwnerReference": """kind 1 s, name 3 s, uid 4 s, apiVersion 5 s, controller 6 b?,
        blockOwnerDeletion 7 b?""",
    "DeleteOptions": """gracePeriodSeconds 1 i?, preconditions 2 Preconditions,
        orphanDependents 3 b?, propagationPolicy 4 s, dryRun 5 []s""",
    "Preconditions": "uid 1 s, resourceVersion 2 s",
    "LabelSelector": "matchLabels 1 {}s, matchExpressions 2 []LabelSelectorRequirement",
    "LabelSelectorRequirement": "key 1 s, operator 2 s, values 3 []s",
    "ObjectReference": """kind 1 s, namespace 2 s, name 3 s, uid 4 s, apiVersion 5 s,
        resourceVersion 6 s, fieldPath 7 s""",
    "LocalObjectReference": "name 1 s",
    # core/v1
    "v1/Namespace": "metadata 1 ObjectMeta, spec 2 NamespaceSpec, status 3 -",
    "NamespaceSpec": "finalizers 1 []s",
    "v1/ConfigMap": "metadata 1 ObjectMeta, data 2 {}s, binaryData 3 {}y, immutable 4 b?",
    "v1/Secret": """metadata 1 ObjectMeta, data 2 {}y, type 3 s, stringData 4 {}s,
        immutable 5 b?""",
    "v1/ServiceAccount": """metadata 1 ObjectMeta, secrets 2 []ObjectReference,
        imagePullSecrets 3 []LocalObjectReference, automountServiceAccountToken 4 b?""",
    "v1/Service": "metadata 1 ObjectMeta, spec 2 ServiceSpec, status 3 -",
    "ServiceSpec": """ports 1 []ServicePort, selector 2 {}s, clusterIP 3 s, type 4 s,
        externalIPs 5 []s, sessionAffinity 7 s, loadBalancerIP 8 s,
        loadBalancerSourceRanges 9 []s, externalName 10 s, externalTrafficPolicy 11 s,
        healthCheckNodePort 12 i, publishNotReadyAddresses 13 b, ipFamilyPolicy 17 s,
        clusterIPs 18 []s, ipFamilies 19 []s, allocateLoadBalancerNodePorts 20 b?,
        loadBalancerClass 21 s, internalTrafficPolicy 22 s, trafficDistribution 23 s""",
    "ServicePort": """name 1 s, protocol 2 s, port 3 i, targetPort 4 x, nodePort 5 i,
        appProtocol 6 s""",
    "v1/Pod": "metadata 1 ObjectMeta, spec 2 PodSpec, status 3 -",
    "PodTemplateSpec": "metadata 1 ObjectMeta, spec 2 PodSpec",
    "PodSpec": """volumes 1 []Volume, containers 2 []Container, restartPolicy 3 s,
        terminationGracePeriodSeconds 4 i?, activeDeadlineSeconds 5 i?, dnsPolicy 6 s,
        nodeSelector 7 {}s, serviceAccountName 8 s, serviceAccount 9 s, nodeName 10 s,
        hostNetwork 11 b, hostPID 12 b, hostIPC 13 b, securityContext 14 PodSecurityContext?,
        imagePullSecrets 15 []LocalObjectReference, hostname 16 s, subdomain 17 s,
        schedulerName 19 s, initContainers 20 []Container, automountServiceAccountToken 21 b?,
        tolerations 22 []Toleration, priorityClassName 24 s, priority 25 i?,
        shareProcessNamespace 27 b?, runtimeClassName 29 s, enableServiceLinks 30 b?,
        preemptionPolicy 31 s, setHostnameAsFQDN 35 b?, hostUsers 37 b?""",
    "Container": """name 1 s, image 2 s, command 3 []s, args 4 []s, workingDir 5 s,
        ports 6 []ContainerPort, env 7 []EnvVar, resources 8 ResourceRequirements,
        volumeMounts 9 []VolumeMount, livenessProbe 10 Probe, readinessProbe 11 Probe,
        terminationMessagePath 13 s, imagePullPolicy 14 s, securityContext 15 SecurityContext?,
        stdin 16 b, stdinOnce 17 b, tty 18 b, envFrom 19 []EnvFromSource,
        terminationMessagePolicy 20 s, startupProbe 22 Probe, restartPolicy 24 s""",
    "ContainerPort": "name 1 s, hostPort 2 i, containerPort 3 i, protocol 4 s, hostIP 5 s",
    "EnvVar": "name 1 s, value 2 s, valueFrom 3 EnvVarSource",
    "EnvVarSource": """fieldRef 1 ObjectFieldSelector, configMapKeyRef 3 KeySelector,
        secretKeyRef 4 KeySelector""",
    "ObjectFieldSelector": "apiVersion 1 s, fieldPath 2 s",
    "KeySelector": "localObjectReference 1 ~LocalObjectReference, key 2 s, optional 3 b?",
    "EnvFromSource": "prefix 1 s, configMapRef 2 EnvSource, secretRef 3 EnvSource",
    "EnvSource": "localObjectReference 1 ~LocalObjectReference, optional 2 b?",
    "VolumeMount": """name 1 s, readOnly 2 b, mountPath 3 s, subPath 4 s, mountPropagation 5 s,
        subPathExpr 6 s, recursiveReadOnly 7 s""",
    "ResourceRequirements": "limits 1 {}q, requests 2 {}q",
    "Probe": """handler 1 ~ProbeHandler, initialDelaySeconds 2 i, timeoutSeconds 3 i,
        periodSeconds 4 i, successThreshold 5 i, failureThreshold 6 i,
        terminationGracePeriodSeconds 7 i?""",
    "ProbeHandler": "exec 1 ExecAction, httpGet 2 HTTPGetAction, tcpSocket 3 TCPSocketAction",
    "ExecAction": "command 1 []s",
    "HTTPGetAction": "path 1 s, port 2 x, host 3 s, scheme 4 s, httpHeaders 5 []HTTPHeader",
    "HTTPHeader": "name 1 s, value 2 s",
    "TCPSocketAction": "port 1 x, host 2 s",
    "Volume": "name 1 s, volumeSource 2 ~VolumeSource",
    "VolumeSource": """hostPath 1 HostPathVolume, emptyDir 2 EmptyDirVolume?,
        secret 6 SecretVolume, configMap 19 ConfigMapVolume""",
    "HostPathVolume": "path 1 s, type 2 s",
    "EmptyDirVolume": "medium 1 s, sizeLimit 2 q",
    "SecretVolume": "secretName 1 s, items 2 []KeyToPath, defaultMode 3 i?, optional 4 b?",
    "ConfigMapVolume": """localObjectReference 1 ~LocalObjectReference, items 2 []KeyToPath,
        defaultMode 3 i?, optional 4 b?""",
    "KeyToPath": "key 1 s, path 2 s, mode 3 i?",
    "SecurityContext": """privileged 2 b?, runAsUser 4 i?, runAsNonRoot 5 b?,
        readOnlyRootFilesystem 6 b?, allowPrivilegeEscalation 7 b?, runAsGroup 8 i?,
        procMount 9 s""",
    "PodSecurityContext": """runAsUser 2 i?, runAsNonRoot 3 b?, supplementalGroups 4 []i,
        fsGroup 5 i?, runAsGroup 6 i?""",
    "Toleration": "key 1 s, operator 2 s, value 3 s, effect 4 s, tolerationSeconds 5 i?",
    "v1/ResourceQuota": "metadata 1 ObjectMeta, spec 2 ResourceQuotaSpec, status 3 -",
    "ResourceQuotaSpec": "hard 1 {}q, scopes 2 []s",
    "v1/Event": """metadata 1 ObjectMeta, involvedObject 2 ObjectReference, reason 3 s,
        message 4 s, source 5 EventSource, firstTimestamp 6 t, lastTimestamp 7 t, count 8 i,
        type 9 s, eventTime 10 t, action 12 s, related 13 ObjectReference,
        reportingComponent 14 s, reportingInstance 15 s""",
    "EventSource": "component 1 s, host 2 s",
    "v1/Binding": "metadata 1 ObjectMeta, target 2 ObjectReference",
    # apps/v1, batch/v1
    "apps/v1/Deployment": "metadata 1 ObjectMeta, spec 2 DeploymentSpec, status 3 -",
    "DeploymentSpec": """replicas 1 i?, selector 2 LabelSelector, template 3 PodTemplateSpec,
        strategy 4 DeploymentStrategy, minReadySeconds 5 i, revisionHistoryLimit 6 i?,
        paused 7 b, progressDeadlineSeconds 9 i?""",
    "DeploymentStrategy": "type 1 s, rollingUpdate 2 RollingUpdate",
    "RollingUpdate": "maxUnavailable 1 x?, maxSurge 2 x?",
    "batch/v1/Job": "metadata 1 ObjectMeta, spec 2 JobSpec, status 3 -",
    "JobSpec": """parallelism 1 i?, completions 2 i?, activeDeadlineSeconds 3 i?,
        selector 4 LabelSelector, manualSelector 5 b?, template 6 PodTemplateSpec,
        backoffLimit 7 i?, ttlSecondsAfterFinished 8 i?, completionMode 9 s, suspend 10 b?""",
    "batch/v1/CronJob": "metadata 1 ObjectMeta, spec 2 CronJobSpec, status 3 -",
    "CronJobSpec": """schedule 1 s, startingDeadlineSeconds 2 i?, concurrencyPolicy 3 s,
        suspend 4 b?, jobTemplate 5 JobTemplateSpec, successfulJobsHistoryLimit 6 i?,
        failedJobsHistoryLimit 7 i?, timeZone 8 s""",
    "JobTemplateSpec": "metadata 1 ObjectMeta, spec 2 JobSpec",
    # policy/v1, autoscaling/v1, coordination/v1, networking/v1
    "policy/v1/Eviction": "metadata 1 ObjectMeta, deleteOptions 2 DeleteOptions",
    "policy/v1/PodDisruptionBudget": """metadata 1 ObjectMeta, spec 2 DisruptionBudgetSpec,
        status 3 -""",
    "DisruptionBudgetSpec": """minAvailable 1 x?, selector 2 LabelSelector?, maxUnavailable 3 x?,
        unhealthyPodEvictionPolicy 4 s""",
    "autoscaling/v1/Scale": "metadata 1 ObjectMeta, spec 2 ScaleSpec, status 3 -",
    "ScaleSpec": "replicas 1 i?",
    "autoscaling/v1/HorizontalPodAutoscaler": """metadata 1 ObjectMeta, spec 2 AutoscalerSpec,
        status 3 -""",
    "AutoscalerSpec": """scaleTargetRef 1 WorkloadReference, minReplicas 2 i?, maxReplicas 3 i,
        targetCPUUtilizationPercentage 4 i?""",
    "WorkloadReference": "kind 1 s, name 2 s, apiVersion 3 s",
    "coordination.k8s.io/v1/Lease": "metadata 1 ObjectMeta, spec 2 LeaseSpec",
    "LeaseSpec": """holderIdentity 1 s, leaseDurationSeconds 2 i?, acquireTime 3 t,
        renewTime 4 t, leaseTransitions 5 i?""",
    "networking.k8s.io/v1/Ingress": "metadata 1 ObjectMeta, spec 2 IngressSpec, status 3 -",
    "IngressSpec": """defaultBackend 1 IngressBackend, tls 2 []IngressTLS,
        rules 3 []IngressRule, ingressClassName 4 s""",
    "IngressBackend": "service 4 IngressService",
    "IngressService": "name 1 s, port 2 IngressPort",
    "IngressPort": "name 1 s, number 2 i",
    "IngressTLS": "hosts 1 []s, secretName 2 s",
    "IngressRule": "host 1 s, ingressRuleValue 2 ~IngressRuleValue",
    "IngressRuleValue": "http 1 HTTPIngressRule",
    "HTTPIngressRule": "paths 1 []HTTPIngressPath",
    "HTTPIngressPath": "path 1 s, backend 2 IngressBackend, pathType 3 s",
    # access
    "rbac.authorization.k8s.io/v1/Role": "metadata 1 ObjectMeta, rules 2 []PolicyRule",
    "rbac.authorization.k8s.io/v1/ClusterRole": """metadata 1 ObjectMeta, rules 2 []PolicyRule,
        aggregationRule 3 AggregationRule""",
    "AggregationRule": "clusterRoleSelectors 1 []LabelSelector",
    "PolicyRule": """verbs 1 []s, apiGroups 2 []s, resources 3 []s, resourceNames 4 []s,
        nonResourceURLs 5 []s""",
    "rbac.authorization.k8s.io/v1/RoleBinding": """metadata 1 ObjectMeta, subjects 2 []Subject,
        roleRef 3 RoleRef""",
    "rbac.authorization.k8s.io/v1/ClusterRoleBinding": """metadata 1 ObjectMeta,
        subjects 2 []Subject, roleRef 3 RoleRef""",
    "RoleRef": "apiGroup 1 s, kind 2 s, name 3 s",
    "Subject": "kind 1 s, apiGroup 2 s, name 3 s, namespace 4 s",
    "authorization.k8s.io/v1/SelfSubjectAccessReview": """metadata 1 ObjectMeta,
        spec 2 AccessReviewSpec, status 3 -""",
    "AccessReviewSpec": """resourceAttributes 1 ResourceAttributes,
        nonResourceAttributes 2 NonResourceAttributes""",
    "ResourceAttributes": """namespace 1 s, verb 2 s, group 3 s, version 4 s, resource 5 s,
        subresource 6 s, name 7 s""",
    "NonResourceAttributes": "path 1 s, verb 2 s",
    "authorization.k8s.io/v1/SelfSubjectRulesReview": """metadata 1 ObjectMeta,
        spec 2 RulesReviewSpec, status 3 -""",
    "RulesReviewSpec": "namespace 1 s",
    "authentication.k8s.io/v1/SelfSubjectReview": "metadata 1 ObjectMeta, status 2 -",
}

_messages: dict[str, dict[int, Field]] = {}


def message(name: str) -> dict[int, Field] | None:
    """The fields of a message by their numbers; ``None`` when it is not known."""
    if name.endswith("/DeleteOptions"):
        name = "DeleteOptions"
    if name not in _messages and name in _TEXT:
        _messages[name] = dict(_field(line) for line in _TEXT[name].split(","))
    return _messages.get(name)


def _field(line: str) -> tuple[int, Field]:
    name, number, kind = line.split()
    bare = kind.removeprefix("[]").removeprefix("{}").removeprefix("~").removesuffix("?")
    flags = (kind.startswith("[]"), kind.startswith("{}"), kind.startswith("~"))
    return int(number), Field(name, bare, *flags, kind.endswith("?"))
