"""The frameworks that controls map to: which ids exist, in which edition, their titles and pages.

A control may name only ids that are listed here, so a mistyped id fails when the control is defined, not in
a reader's audit: ``reference`` is that check. Each id has one spelling. Key, spelling, edition and source:

``cis``, ``2.2``, ``1.2.27``
    CIS Kubernetes Benchmark v1.12.0, as kube-bench's ``cfg/cis-1.12`` numbers and words it; "(Automated)"
    and "(Manual)" are left out.
``nsa``, ``N2``
    NSA/CISA Kubernetes Hardening Guide 1.2 of August 2022. The guide numbers nothing: N1 to N5 are ours, for
    its five chapters of advice in their order.
``mitre``, ``T1611``, ``T1552.007``
    MITRE ATT&CK Enterprise v19.2. Not each of these techniques is in the Containers matrix.
``owasp``, ``K09:2022``, ``K07:2025``
    OWASP Kubernetes Top Ten of 2022 and of 2025. Where notes write 22K9 they mean K09:2022, and by 25K10
    K10:2025.
``others``
    ``MS-TA9027``: Microsoft's Threat Matrix for Kubernetes. ``KHV031``: kube-hunter's knowledge base.
    ``C-0154``: kubescape's regolibrary, in the words of its cis-v1.12.0 framework, or of its other ones for a
    control that is not in it. ``KSV-0017`` and ``KCV-0030``: Trivy's trivy-checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple


class Reference(NamedTuple):
    """One id of a framework, as a report shows it."""

    id: str
    title: str
    url: str
    edition: str


class Framework(NamedTuple):
    """A catalogue of ids that others maintain."""

    key: str
    name: str
    edition: str
    url: str
    """The framework's own page."""
    ids: Mapping[str, str]
    """Titles by id."""
    link: Callable[[str], str]
    """From an id to the page that explains it."""
    edition_of: Callable[[str], str] | None = None
    """From an id to its own edition, where a framework holds several."""


class UnknownReference(ValueError):
    """A framework, or an id in it, is not listed here; ``suggestion`` is what was probably meant, or ""."""

    def __init__(self, message: str, *, suggestion: str = "") -> None:
        super().__init__(f'{message}; did you mean "{suggestion}"?' if suggestion else message)
        self.suggestion = suggestion


def reference(framework: str, ident: str, /) -> Reference:
    """Look an id up in a framework.

    Raises:
        UnknownReference: the framework or the id is not listed, or the id is spelled in another way.
    """
    found = FRAMEWORKS.get(framework)
    if found is None:
        nearest = _nearest(framework, FRAMEWORKS)
        raise UnknownReference(f'framework "{framework}": is not known', suggestion=nearest)
    title = found.ids.get(ident)
    if title is None:
        home = next((key for key, other in FRAMEWORKS.items() if ident in other.ids), "")
        if home:
            raise UnknownReference(f'{framework} "{ident}": is an id of another framework, "{home}"')
        raise UnknownReference(f'{framework} "{ident}": is not known', suggestion=_nearest(ident, found.ids))
    edition = found.edition_of(ident) if found.edition_of else found.edition
    return Reference(ident, title, found.link(ident), edition)


def _nearest(wanted: str, known: Iterable[str]) -> str:
    """Return the known spelling that was probably meant, or ""."""
    from difflib import get_close_matches  # only on the way to an error: it costs more than all else here

    plain = wanted.upper()
    year, k, number = plain.partition("K")
    if k and year in {"22", "25"} and number.isdecimal():
        plain = f"K{int(number):02}20{year}"
    by_plain = {_plain(each): each for each in known}
    close = get_close_matches(_plain(plain), by_plain, n=1)
    return by_plain[close[0]] if close else ""


def _plain(ident: str) -> str:
    return "".join(each for each in ident.upper() if each.isalnum() or each == ".")


def _cis_link(ident: str) -> str:
    page = _CIS_PAGES[ident.partition(".")[0]]
    return f"https://github.com/aquasecurity/kube-bench/blob/main/cfg/cis-1.12/{page}.yaml"


def _nsa_link(_ident: str) -> str:
    return _NSA_GUIDE


def _mitre_link(ident: str) -> str:
    return f"https://attack.mitre.org/techniques/{ident.replace('.', '/')}/"


def _owasp_link(ident: str) -> str:
    number, year = ident.split(":")
    page = _OWASP_2022_PAGES[number] if year == "2022" else f"{_OWASP[ident].replace(' ', '-')}.html"
    return f"https://owasp.org/www-project-kubernetes-top-ten/{year}/en/src/{number}-{page}"


def _owasp_edition(ident: str) -> str:
    return ident.split(":")[1]


def _others_link(ident: str) -> str:
    if ident.startswith("MS-TA"):
        page = _MICROSOFT_PAGES[ident].replace(" ", "%20")
        return f"https://microsoft.github.io/Threat-Matrix-for-Kubernetes/techniques/{page}/"
    if ident.startswith("KHV"):
        return f"https://github.com/aquasecurity/kube-hunter/blob/main/docs/_kb/{ident}.md"
    if ident.startswith("C-"):
        return f"https://kubescape.io/docs/controls/{ident.lower()}/"
    return f"https://avd.aquasec.com/misconfig/{ident.lower()}"


def _others_edition(ident: str) -> str:
    return _OTHERS_SOURCES["".join(filter(str.isalpha, ident))]


_NSA_GUIDE = (
    "https://media.defense.gov/2022/Aug/29/2003066362/-1/-1/0/CTR_KUBERNETES_HARDENING_GUIDANCE_1.2_20220829.PDF"
)

_CIS: dict[str, str] = {
    "1.1.11": "Ensure that the etcd data directory permissions are set to 700 or more restrictive",
    "1.1.13": "Ensure that the default administrative credential file permissions are set to 600",
    "1.1.21": "Ensure that the Kubernetes PKI key file permissions are set to 600",
    "1.2.1": "Ensure that the --anonymous-auth argument is set to false",
    "1.2.3": "Ensure that the --DenyServiceExternalIPs is set",
    "1.2.5": "Ensure that the --kubelet-certificate-authority argument is set as appropriate",
    "1.2.6": "Ensure that the --authorization-mode argument is not set to AlwaysAllow",
    "1.2.7": "Ensure that the --authorization-mode argument includes Node",
    "1.2.8": "Ensure that the --authorization-mode argument includes RBAC",
    "1.2.11": "Ensure that the admission control plugin AlwaysPullImages is set",
    "1.2.14": "Ensure that the admission control plugin NodeRestriction is set",
    "1.2.16": "Ensure that the --audit-log-path argument is set",
    "1.2.21": "Ensure that the --service-account-lookup argument is set to true",
    "1.2.27": "Ensure that the --encryption-provider-config argument is set as appropriate",
    "1.2.28": "Ensure that encryption providers are appropriately configured",
    "1.2.29": "Ensure that the API Server only makes use of Strong Cryptographic Ciphers",
    "1.2.30": "Ensure that the --service-account-extend-token-expiration parameter is set to false",
    "1.3.7": "Ensure that the --bind-address argument is set to 127.0.0.1",
    "1.4.2": "Ensure that the --bind-address argument is set to 127.0.0.1",
    "2.1": "Ensure that the --cert-file and --key-file arguments are set as appropriate",
    "2.2": "Ensure that the --client-cert-auth argument is set to true",
    "2.5": "Ensure that the --peer-client-cert-auth argument is set to true",
    "2.7": "Ensure that a unique Certificate Authority is used for etcd",
    "3.1.3": "Bootstrap token authentication should not be used for users",
    "3.2.1": "Ensure that a minimal audit policy is created",
    "3.2.2": "Ensure that the audit policy covers key security concerns",
    "4.1.5": "Ensure that the --kubeconfig kubelet.conf file permissions are set to 600 or more restrictive",
    "4.2.1": "Ensure that the --anonymous-auth argument is set to false",
    "4.2.2": "Ensure that the --authorization-mode argument is not set to AlwaysAllow",
    "4.2.4": "Verify that if defined, the --read-only-port argument is set to 0",
    "4.2.11": "Verify that the RotateKubeletServerCertificate argument is set to true",
    "4.2.12": "Ensure that the Kubelet only makes use of Strong Cryptographic Ciphers",
    "4.2.14": "Ensure that the --seccomp-default parameter is set to true",
    "4.3.1": "Ensure that the kube-proxy metrics service is bound to localhost",
    "5.1.1": "Ensure that the cluster-admin role is only used where required",
    "5.1.2": "Minimize access to secrets",
    "5.1.3": "Minimize wildcard use in Roles and ClusterRoles",
    "5.1.4": "Minimize access to create pods",
    "5.1.5": "Ensure that default service accounts are not actively used",
    "5.1.6": "Ensure that Service Account Tokens are only mounted where necessary",
    "5.1.8": "Limit use of the Bind, Impersonate and Escalate permissions in the Kubernetes cluster",
    "5.1.9": "Minimize access to create persistent volumes",
    "5.1.10": "Minimize access to the proxy sub-resource of nodes",
    "5.1.11": "Minimize access to the approval sub-resource of certificatesigningrequests objects",
    "5.1.12": "Minimize access to webhook configuration objects",
    "5.1.13": "Minimize access to the service account token creation",
    "5.2.1": "Ensure that the cluster has at least one active policy control mechanism in place",
    "5.2.2": "Minimize the admission of privileged containers",
    "5.2.3": "Minimize the admission of containers wishing to share the host process ID namespace",
    "5.2.4": "Minimize the admission of containers wishing to share the host IPC namespace",
    "5.2.5": "Minimize the admission of containers wishing to share the host network namespace",
    "5.2.6": "Minimize the admission of containers with allowPrivilegeEscalation",
    "5.2.7": "Minimize the admission of root containers",
    "5.2.8": "Minimize the admission of containers with the NET_RAW capability",
    "5.2.9": "Minimize the admission of containers with capabilities assigned",
    "5.2.10": "Minimize the admission of Windows HostProcess containers",
    "5.2.11": "Minimize the admission of HostPath volumes",
    "5.2.12": "Minimize the admission of containers which use HostPorts",
    "5.3.1": "Ensure that the CNI in use supports NetworkPolicies",
    "5.3.2": "Ensure that all Namespaces have NetworkPolicies defined",
    "5.4.1": "Prefer using Secrets as files over Secrets as environment variables",
    "5.5.1": "Configure Image Provenance using ImagePolicyWebhook admission controller",
    "5.6.2": "Ensure that the seccomp profile is set to docker/default in your Pod definitions",
}

_CIS_PAGES: dict[str, str] = {
    "1": "master",
    "2": "etcd",
    "3": "controlplane",
    "4": "node",
    "5": "policies",
}
"""Names of kube-bench's files by chapter."""

_NSA: dict[str, str] = {
    "N1": "Kubernetes Pod security",
    "N2": "Network separation and hardening",
    "N3": "Authentication and authorization",
    "N4": "Audit logging and threat detection",
    "N5": "Upgrading and application security practices",
}

_MITRE: dict[str, str] = {
    "T1046": "Network Service Discovery",
    "T1078": "Valid Accounts",
    "T1078.001": "Valid Accounts: Default Accounts",
    "T1098.006": "Account Manipulation: Additional Container Cluster Roles",
    "T1133": "External Remote Services",
    "T1210": "Exploitation of Remote Services",
    "T1496": "Resource Hijacking",
    "T1525": "Implant Internal Image",
    "T1528": "Steal Application Access Token",
    "T1550.001": "Use Alternate Authentication Material: Application Access Token",
    "T1552": "Unsecured Credentials",
    "T1552.001": "Unsecured Credentials: Credentials In Files",
    "T1552.005": "Unsecured Credentials: Cloud Instance Metadata API",
    "T1552.007": "Unsecured Credentials: Container API",
    "T1557": "Adversary-in-the-Middle",
    "T1562": "Impair Defenses (revoked in v19 in favour of T1685)",
    "T1609": "Container Administration Command",
    "T1610": "Deploy Container",
    "T1611": "Escape to Host",
    "T1613": "Container and Resource Discovery",
    "T1685": "Disable or Modify Tools",
    "T1685.002": "Disable or Modify Tools: Disable or Modify Cloud Log",
}

_OWASP: dict[str, str] = {
    "K01:2022": "Insecure Workload Configurations",
    "K02:2022": "Supply Chain Vulnerabilities",
    "K03:2022": "Overly Permissive RBAC Configurations",
    "K04:2022": "Lack of Centralized Policy Enforcement",
    "K05:2022": "Inadequate Logging and Monitoring",
    "K06:2022": "Broken Authentication Mechanisms",
    "K07:2022": "Missing Network Segmentation Controls",
    "K08:2022": "Secrets Management Failures",
    "K09:2022": "Misconfigured Cluster Components",
    "K10:2022": "Outdated and Vulnerable Kubernetes Components",
    "K01:2025": "Insecure Workload Configurations",
    "K02:2025": "Overly Permissive Authorization Configurations",
    "K03:2025": "Secrets Management Failures",
    "K04:2025": "Lack Of Cluster Level Policy Enforcement",
    "K05:2025": "Missing Network Segmentation Controls",
    "K06:2025": "Overly Exposed Kubernetes Components",
    "K07:2025": "Misconfigured And Vulnerable Cluster Components",
    "K08:2025": "Cluster To Cloud Lateral Movement",
    "K09:2025": "Broken Authentication Mechanisms",
    "K10:2025": "Inadequate Logging And Monitoring",
}

_OWASP_2022_PAGES: dict[str, str] = {
    "K01": "insecure-workload-configurations",
    "K02": "supply-chain-vulnerabilities",
    "K03": "overly-permissive-rbac",
    "K04": "policy-enforcement",
    "K05": "inadequate-logging",
    "K06": "broken-authentication",
    "K07": "network-segmentation",
    "K08": "secrets-management",
    "K09": "misconfigured-cluster-components",
    "K10": "vulnerable-components",
}
"""Names of the pages of 2022; those of 2025 follow from the titles."""

_OTHERS: dict[str, str] = {
    "MS-TA9002": "Compromised Image In Registry",
    "MS-TA9003": "Kubeconfig file",
    "MS-TA9005": "Exposed Sensitive Interfaces",
    "MS-TA9019": "Cluster-admin binding",
    "MS-TA9025": "List Kubernetes Secrets",
    "MS-TA9027": "Application Credentials in Configuration Files",
    "MS-TA9029": "Access Kubernetes API Server",
    "MS-TA9030": "Access Kubelet API",
    "MS-TA9034": "Cluster Internal Networking",
    "MS-TA9037": "Images from a Private Registry",
    "KHV002": "Kubernetes version disclosure",
    "KHV003": "Azure Metadata Exposure",
    "KHV005": "Access to Kubernetes API",
    "KHV007": "Specific Access to Kubernetes API",
    "KHV020": "Possible Arp Spoof",
    "KHV029": "Dashboard Exposed",
    "KHV030": "Possible DNS Spoof",
    "KHV031": "Etcd Remote Write Access Event",
    "KHV032": "Etcd Remote Read Access Event",
    "KHV033": "Etcd Remote version disclosure",
    "KHV034": "Etcd is accessible using insecure connection (HTTP)",
    "KHV036": "Anonymous Authentication",
    "KHV039": "Exposed Exec On Container",
    "KHV040": "Exposed Run Inside Container",
    "KHV044": "Privileged Container",
    "KHV047": "Pod With Mount To /var/log",
    "KHV049": "kubectl proxy Exposed",
    "KHV050": "Read access to Pod service account token",
    "KHV052": "Exposed Pods",
    "KHV053": "AWS Metadata Exposure",
    "C-0012": "Applications credentials in configuration files",
    "C-0013": "Non-root containers",
    "C-0014": "Access Kubernetes dashboard",
    "C-0015": "List Kubernetes secrets",
    "C-0016": "Allow privilege escalation",
    "C-0017": "Immutable container filesystem",
    "C-0021": "Exposed sensitive interfaces",
    "C-0030": "Ingress and Egress blocked",
    "C-0034": "Automatic mapping of service account",
    "C-0035": "Administrative Roles",
    "C-0038": "Host PID/IPC privileges",
    "C-0041": "HostNetwork access",
    "C-0044": "Container hostPort",
    "C-0048": "HostPath mount",
    "C-0052": "Instance Metadata API",
    "C-0057": "Privileged container",
    "C-0066": "Secret/etcd encryption enabled",
    "C-0067": "Audit logs enabled",
    "C-0074": "Container runtime socket mounted",
    "C-0078": "Images from allowed registry",
    "C-0088": "RBAC enabled",
    "C-0104": "Ensure that the default administrative credential file permissions are set to 600",
    "C-0112": "Ensure that the Kubernetes PKI key file permissions are set to 600",
    "C-0113": "Ensure that the --anonymous-auth argument is set to false",
    "C-0118": "Ensure that the --authorization-mode argument is not set to AlwaysAllow",
    "C-0119": "Ensure that the --authorization-mode argument includes Node",
    "C-0123": "Ensure that the admission control plugin AlwaysPullImages is set",
    "C-0127": "Ensure that the admission control plugin NodeRestriction is set",
    "C-0135": "Ensure that the --service-account-lookup argument is set to true",
    "C-0141": "Ensure that the --encryption-provider-config argument is set as appropriate",
    "C-0150": "Ensure that the --bind-address argument is set to 127.0.0.1",
    "C-0153": "Ensure that the --cert-file and --key-file arguments are set as appropriate",
    "C-0154": "Ensure that the --client-cert-auth argument is set to true",
    "C-0157": "Ensure that the --peer-client-cert-auth argument is set to true",
    "C-0159": "Ensure that a unique Certificate Authority is used for etcd",
    "C-0161": "Ensure that the audit policy covers key security concerns",
    "C-0172": "Ensure that the --anonymous-auth argument is set to false",
    "C-0173": "Ensure that the --authorization-mode argument is not set to AlwaysAllow",
    "C-0175": "Verify that the --read-only-port argument is set to 0",
    "C-0183": "Verify that the RotateKubeletServerCertificate argument is set to true",
    "C-0185": "Ensure that the cluster-admin role is only used where required",
    "C-0186": "Minimize access to secrets",
    "C-0188": "Minimize access to create pods",
    "C-0191": "Limit use of the Bind, Impersonate and Escalate permissions in the Kubernetes cluster",
    "C-0192": "Ensure that the cluster has at least one active policy control mechanism in place",
    "C-0193": "Minimize the admission of privileged containers",
    "C-0199": "Minimize the admission of containers with the NET_RAW capability",
    "C-0203": "Minimize the admission of HostPath volumes",
    "C-0205": "Ensure that the CNI in use supports Network Policies",
    "C-0206": "Ensure that all Namespaces have Network Policies defined",
    "C-0207": "Prefer using secrets as files over secrets as environment variables",
    "C-0210": "Ensure that the seccomp profile is set to docker/default in your pod definitions",
    "C-0227": "Restrict Access to the Control Plane Endpoint",
    "C-0256": "Exposure to Internet",
    "C-0260": "Missing network policy",
    "C-0261": "ServiceAccount token mounted",
    "C-0262": "Anonymous access enabled",
    "C-0265": "Authenticated user has sensitive permissions",
    "C-0270": "Ensure CPU limits are set",
    "C-0271": "Ensure memory limits are set",
    "C-0277": "Ensure that the API Server only makes use of Strong Cryptographic Ciphers",
    "C-0278": "Minimize access to create persistent volumes",
    "C-0279": "Minimize access to the proxy sub-resource of nodes",
    "C-0280": "Minimize access to the approval sub-resource of certificatesigningrequests objects",
    "C-0281": "Minimize access to webhook configuration objects",
    "C-0282": "Minimize access to the service account token creation",
    "C-0283": "Ensure that the DenyServiceExternalIPs is set",
    "C-0288": "Bootstrap token authentication should not be used for users",
    "C-0289": "Configure Image Provenance using ImagePolicyWebhook admission controller",
    "C-0290": "Ensure that the --service-account-extend-token-expiration parameter is set to false",
    "C-0291": "Ensure that the kube-proxy metrics service is bound to localhost",
    "KCV-0019": "Ensure that the --audit-log-path argument is set",
    "KCV-0030": "Ensure that the --encryption-provider-config argument is set as appropriate",
    "KSV-0014": "Root file system is not read-only",
    "KSV-0017": "Privileged container",
    "KSV-0036": "Protecting Pod service account tokens",
    "KSV-0043": "Do not allow impersonation of privileged groups",
    "KSV-0044": "No wildcard verb and resource roles",
    "KSV-0047": "Do not allow privilege escalation from node proxy",
    "KSV-0109": "ConfigMap with secrets",
    "KSV-0122": "Anonymous user access binding",
}

_OTHERS_SOURCES: dict[str, str] = {
    "MSTA": "Microsoft Threat Matrix for Kubernetes",
    "KHV": "kube-hunter knowledge base",
    "C": "kubescape regolibrary",
    "KSV": "Trivy trivy-checks",
    "KCV": "Trivy trivy-checks",
}
"""Sources by the letters of an id."""

_MICROSOFT_PAGES: dict[str, str] = {
    "MS-TA9002": "Compromised Image In Registry",
    "MS-TA9003": "Kubeconfig file",
    "MS-TA9005": "Exposed sensitive interfaces",
    "MS-TA9019": "Cluster-admin binding",
    "MS-TA9025": "List K8S secrets",
    "MS-TA9027": "Application credentials in configuration files",
    "MS-TA9029": "Access the K8S API server",
    "MS-TA9030": "Access Kubelet API",
    "MS-TA9034": "Cluster internal networking",
    "MS-TA9037": "images from a private registry",
}
"""Names of the pages, whose case differs from the titles'."""

FRAMEWORKS: Mapping[str, Framework] = {
    each.key: each
    for each in (
        Framework(
            key="cis",
            name="CIS Kubernetes Benchmark",
            edition="v1.12.0",
            url="https://www.cisecurity.org/benchmark/kubernetes",
            ids=_CIS,
            link=_cis_link,
        ),
        Framework(
            key="nsa",
            name="NSA/CISA Kubernetes Hardening Guide",
            edition="1.2, August 2022",
            url=_NSA_GUIDE,
            ids=_NSA,
            link=_nsa_link,
        ),
        Framework(
            key="mitre",
            name="MITRE ATT&CK",
            edition="v19.2",
            url="https://attack.mitre.org/matrices/enterprise/containers/",
            ids=_MITRE,
            link=_mitre_link,
        ),
        Framework(
            key="owasp",
            name="OWASP Kubernetes Top Ten",
            edition="2022 and 2025",
            url="https://owasp.org/www-project-kubernetes-top-ten/",
            ids=_OWASP,
            link=_owasp_link,
            edition_of=_owasp_edition,
        ),
        Framework(
            key="others",
            name="Other catalogues and scanners",
            edition="Threat Matrix for Kubernetes, kube-hunter, kubescape, Trivy",
            url="https://microsoft.github.io/Threat-Matrix-for-Kubernetes/",
            ids=_OTHERS,
            link=_others_link,
            edition_of=_others_edition,
        ),
    )
}
"""All frameworks by key."""
