//! Rules that depend on the version of Kubernetes.

use serde_json::{Value, json};

use super::{pod, put, refused};

/// The first version that accepts the change, from 1.32 to 1.37; 0 if none does.
#[track_caller]
fn accepted_since(object: &Value, pointer: &str, value: &Value) -> u16 {
    let mut changed = object.clone();
    put(&mut changed, pointer, value);
    let first = (32..=37).find(|minor| !refused(&changed, *minor)).unwrap_or(0);
    if first > 0 {
        assert!((first..=37).all(|minor| !refused(&changed, minor)), "{pointer} = {value} is refused again");
    }
    first
}

#[test]
fn relaxed() {
    let mut object = pod();
    put(&mut object, "/spec/dnsConfig", &json!({"searches": []}));
    assert_eq!(accepted_since(&object, "/spec/dnsConfig/searches", &json!(["_a.b"])), 33);
    let sleep = json!({"preStop": {"sleep": {"seconds": 0}}});
    assert_eq!(accepted_since(&object, "/spec/containers/0/lifecycle", &sleep), 33);
    assert_eq!(accepted_since(&object, "/spec/containers/0/restartPolicy", &json!("Never")), 34);
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "1a"},
        "spec": {"ports": [{"port": 80}]},
    });
    assert_eq!(accepted_since(&service, "/metadata/name", &json!("1a")), 36);
    let scaler = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 4,
            "metrics": [{"type": "External", "external": {"metric": {"name": "a"}, "target": {"type": "Value", "value": "1"}}}],
        },
    });
    assert_eq!(accepted_since(&scaler, "/spec/minReplicas", &json!(0)), 37);
}

#[test]
fn stricter() {
    let refused_since = |object: &Value, pointer: &str, value: &Value| {
        let mut changed = object.clone();
        put(&mut changed, pointer, value);
        (32..=37).find(|minor| refused(&changed, *minor))
    };
    let object = pod();
    let aliases = json!([{"ip": "010.0.0.1"}]);
    assert_eq!(refused_since(&object, "/spec/hostAliases", &aliases), Some(36));
    assert_eq!(refused_since(&object, "/spec/terminationGracePeriodSeconds", &json!(-1)), Some(37));
    assert_eq!(refused_since(&object, "/spec/resources", &json!({"limits": {"example.com/a": "1"}})), Some(34));
    assert_eq!(refused_since(&object, "/spec/resourceClaims", &json!([{"name": "a"}])), Some(34));
}
