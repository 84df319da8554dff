//! Values that replace others.

/// Texts that some fields take and others refuse.
#[rustfmt::skip]
pub(super) const STRINGS: &[&str] = &[
    "", " ", "a", "A", "Upper", "with space", "under_score", "dot.ted", "-lead", "trail-", "a/b", "a/b/c", "/", "/abs",
    "../up", "a/../b", "/a/../b", "ü", "0", "1", "-1", "80", "65536", "a:b", "a=b", "example.com", "example.com/x",
    "Example.com/x", "https://example.com", "http://x/y?z#f", "10.0.0.1", "256.0.0.1", "::1", "fd00::1", "10.0.0.0/8",
    "10.0.0.1/8", "10.0.0.0/33", "01.2.3.4", "127.0.0.1", "0.0.0.0", "224.0.0.1", "169.254.1.1", "*", "*.example.com",
    "$(VAR)", "100m", "1Gi", "256MB", "-1Gi", "0.5", "1e3", "1.5", "10%", "0%", "100%", "101%", "-5%", "5 %", "%",
    "true", "None", "Always", "Never", "OnFailure", "Exists", "Equal", "In", "Gt", "TCP", "UDP", "SCTP", "HTTP", "Local",
    "Cluster", "2026-01-01T00:00:00Z", "2026-01-01", "aGk=", "e30=", "* * * * *", "@hourly", "60 * * * *",
    "TZ=UTC 0 0 * * *", "UTC", "Mars/Base", "metadata.name", "spec.nodeName", "metadata.labels['x']", "limits.cpu",
    "kubernetes.io/x", "k8s.io/foo", "http", "C:\\dir", "c:/dir", ".", "..", "..data", "a\nb", "\u{7}", "cpu", "memory",
    "storage", "pods", "requests.cpu", "hugepages-2Mi", "example.com/gpu", "localhost", "default", "kube-system",
    "Pod", "Deployment", "v1", "apps/v1", "ReadWriteOnce", "Delete", "Fail", "Opaque", "kubernetes.io/tls", "linux",
    "windows", "RuntimeDefault", "Localhost", "Unconfined", "Utilization", "Value", "AverageValue", "NoSchedule",
    "NoExecute", "RollingUpdate", "Recreate", "OnDelete", "Indexed", "self.x > 1", "object.spec", "1 +", "tru", "{}",
];

/// Numbers at the limits of fields.
#[rustfmt::skip]
pub(super) const NUMBERS: &[i64] = &[
    -1, 0, 1, 2, 7, 53, 80, 100, 101, 255, 256, 420, 511, 512, 1023, 1024, 30000, 32767, 32768, 65535, 65536, 86400,
    86401, 100_000, 1_000_000, 1_000_000_000, 1_000_000_001, 2_147_483_647, 2_147_483_648, 4_294_967_296,
    -2_147_483_648, i64::MAX, i64::MIN,
];
