use serde_json::json;

use super::{errors, fine, put, silent, warnings};
use crate::Rule::*;

#[test]
fn service() {
    let object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
    });
    errors(
        &object,
        "/spec",
        &[
            ("/type", json!("Cluster"), NotOneOf, "/type"),
            ("/ports", json!([]), MissingField, "/ports"),
            ("/ports/0/port", json!(0), MissingField, "/ports/0/port"),
            ("/ports/0/port", json!(65536), OutOfRange, "/ports/0/port"),
            ("/ports/0/targetPort", json!("8080"), InvalidName, "/ports/0/targetPort"),
            ("/ports/0/protocol", json!("HTTP"), NotOneOf, "/ports/0/protocol"),
            ("/ports/0/nodePort", json!(30080), ExclusiveFields, "/ports/0/nodePort"),
            ("/ports/0/appProtocol", json!("a b"), InvalidName, "/ports/0/appProtocol"),
            ("/ports/-", json!({"port": 81}), MissingField, "/ports/0 name"),
            ("/selector/app", json!("a b"), InvalidLabel, "/selector/app"),
            ("/sessionAffinity", json!("Client"), NotOneOf, "/sessionAffinity"),
            ("/clusterIP", json!("a"), InvalidFormat, "/clusterIP"),
            ("/clusterIPs", json!(["10.0.0.1"]), DependentFields, "/clusterIPs/0"),
            ("/ipFamilies", json!(["IPv4", "IPv6"]), DependentFields, " ipFamilyPolicy"),
            ("/ipFamilies", json!(["IPv4", "IPv4"]), DuplicateEntry, "/ipFamilies/1"),
            ("/externalTrafficPolicy", json!("Local"), ExclusiveFields, "/externalTrafficPolicy"),
            ("/loadBalancerClass", json!("a"), ExclusiveFields, "/loadBalancerClass"),
            ("/loadBalancerSourceRanges", json!(["10.0.0.0/8"]), ExclusiveFields, "/loadBalancerSourceRanges"),
            ("/externalIPs", json!(["127.0.0.1"]), InvalidValue, "/externalIPs/0"),
            ("/internalTrafficPolicy", json!("local"), NotOneOf, "/internalTrafficPolicy"),
            ("/trafficDistribution", json!("Near"), NotOneOf, "/trafficDistribution"),
            ("/healthCheckNodePort", json!(30000), ExclusiveFields, "/healthCheckNodePort"),
        ],
    );
    fine(&object, "/spec", &[("/ports/0/targetPort", json!(0)), ("/clusterIP", json!("None"))]);
    warnings(&object, "/spec", &[("/externalName", json!("a.b"), ServerWarning, "/externalName")]);
    let mut external = object.clone();
    put(&mut external, "/spec", &json!({"type": "ExternalName", "externalName": "db.example.com"}));
    errors(
        &external,
        "/spec",
        &[
            ("/externalName", json!("()"), MissingField, " externalName"),
            ("/externalName", json!("a_b"), InvalidName, "/externalName"),
            ("/clusterIP", json!("None"), ExclusiveFields, "/clusterIP"),
        ],
    );
    let mut balanced = object;
    put(&mut balanced, "/spec/type", &json!("LoadBalancer"));
    errors(
        &balanced,
        "/spec",
        &[
            ("/loadBalancerSourceRanges", json!(["10.0.0.1/8"]), InvalidFormat, "/loadBalancerSourceRanges/0"),
            ("/clusterIP", json!("None"), ExclusiveFields, "/clusterIP"),
        ],
    );
    warnings(&balanced, "/spec", &[("/ports/0/nodePort", json!(80), OutOfRange, "/ports/0/nodePort")]);
}

#[test]
fn ingress() {
    let object = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web"},
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": ["a.example.com"], "secretName": "tls"}],
            "rules": [{"host": "*.example.com", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}},
            ]}}],
        },
    });
    errors(
        &object,
        "/spec",
        &[
            ("/rules", json!([]), MissingField, ""),
            ("/rules/0/host", json!("1.2.3.4"), InvalidName, "/rules/0/host"),
            ("/rules/0/host", json!("A"), InvalidName, "/rules/0/host"),
            ("/rules/0/http/paths", json!([]), MissingField, "/rules/0/http/paths"),
            ("/rules/0/http/paths/0/pathType", json!("()"), MissingField, "/rules/0/http/paths/0 pathType"),
            ("/rules/0/http/paths/0/pathType", json!("Regex"), NotOneOf, "/rules/0/http/paths/0/pathType"),
            ("/rules/0/http/paths/0/path", json!("a"), InvalidFormat, "/rules/0/http/paths/0/path"),
            ("/rules/0/http/paths/0/path", json!("/a//b"), InvalidFormat, "/rules/0/http/paths/0/path"),
            ("/rules/0/http/paths/0/backend", json!({}), MissingField, "/rules/0/http/paths/0/backend"),
            (
                "/rules/0/http/paths/0/backend/service/port",
                json!({"name": "a", "number": 1}),
                ExclusiveFields,
                "/rules/0/http/paths/0/backend/service/port",
            ),
            ("/tls/0/hosts/0", json!("A"), InvalidName, "/tls/0/hosts/0"),
            ("/ingressClassName", json!("A"), InvalidName, "/ingressClassName"),
        ],
    );
    silent(&json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "nginx"},
        "spec": {"controller": "k8s.io/ingress-nginx"},
    }));
}

#[test]
fn network_policy() {
    let object = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "web"},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [{
                "ports": [{"port": 80, "endPort": 90}],
                "from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}, {"podSelector": {}}],
            }],
        },
    });
    errors(
        &object,
        "/spec",
        &[
            ("/policyTypes/0", json!("ingress"), NotOneOf, "/policyTypes/0"),
            ("/ingress/0/ports/0/endPort", json!(79), DependentFields, "/ingress/0/ports/0/endPort"),
            ("/ingress/0/ports/0/port", json!("http"), ExclusiveFields, "/ingress/0/ports/0/endPort"),
            ("/ingress/0/from/0/podSelector", json!({}), ExclusiveFields, "/ingress/0/from/0/podSelector"),
            ("/ingress/0/from/1", json!({}), MissingField, "/ingress/0/from/1"),
            ("/ingress/0/from/0/ipBlock/cidr", json!("10.0.0.0"), InvalidFormat, "/ingress/0/from/0/ipBlock/cidr"),
            (
                "/ingress/0/from/0/ipBlock/except/0",
                json!("11.0.0.0/16"),
                DependentFields,
                "/ingress/0/from/0/ipBlock/except/0",
            ),
        ],
    );
}

#[test]
fn endpoints() {
    let object = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "web"},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 80}],
        "endpoints": [{"addresses": ["10.0.0.1"], "hints": {"forZones": [{"name": "a"}]}}],
    });
    errors(
        &object,
        "",
        &[
            ("/addressType", json!("IP"), NotOneOf, "/addressType"),
            ("/endpoints/0/addresses", json!([]), MissingField, "/endpoints/0/addresses"),
            ("/endpoints/0/addresses/0", json!("::1"), InvalidFormat, "/endpoints/0/addresses/0"),
            ("/endpoints/0/addresses/0", json!("127.0.0.1"), InvalidValue, "/endpoints/0/addresses/0"),
            (
                "/endpoints/0/hints/forZones/-",
                json!({"name": "a"}),
                DuplicateEntry,
                "/endpoints/0/hints/forZones/1/name",
            ),
            ("/ports/-", json!({"name": "http", "port": 81}), DuplicateEntry, "/ports/1"),
        ],
    );
    let object = json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web"},
        "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}],
    });
    let found = super::faults(&object, 36);
    assert!(found.iter().all(|fault| fault.severity == crate::Severity::Warning), "{found:#?}");
}
