//! Replaces certificates and configuration while the real binary runs.

use std::fs;
use std::time::Duration;

use hyper::Method;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::client::{Connector, Http1, request};
use super::review;
use super::serving::{Mounted, Serving};

const EVERY: [&str; 2] = ["--reload-interval", "100ms"];

/// A root CA and an intermediate CA, which signs the server's certificates.
struct Authorities {
    root: String,
    intermediate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate as files, and as the client sees it in a handshake.
struct Leaf {
    chain: String,
    key: String,
    der: CertificateDer<'static>,
    private: PrivateKeyDer<'static>,
}

impl Authorities {
    fn new() -> Self {
        let ca = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, name);
            (params, KeyPair::generate().unwrap())
        };
        let ((root, root_key), (below, key)) = (ca("root"), ca("intermediate"));
        let pem = root.self_signed(&root_key).unwrap().pem();
        let intermediate = below.signed_by(&key, &Issuer::new(root, root_key)).unwrap().pem();
        Self { root: pem, intermediate, issuer: Issuer::new(below, key) }
    }

    fn leaf(&self, name: &str, days: i64) -> Leaf {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = time::OffsetDateTime::now_utc() - time::Duration::days(30);
        params.not_after = time::OffsetDateTime::now_utc() + time::Duration::days(days);
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let chain = format!("{}{}", made.pem(), self.intermediate);
        Leaf { chain, key: key.serialize_pem(), der: made.der().clone(), private }
    }
}

fn pair<'a>(chain: &'a str, key: &'a str) -> [(&'static str, &'a str); 2] {
    [("tls.crt", chain), ("tls.key", key)]
}

/// The certificate that the server shows in a new handshake.
async fn served(connector: &Connector) -> CertificateDer<'static> {
    let stream = connector.tls("http/1.1").await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

async fn until_served(connector: &Connector, leaf: &Leaf) {
    for _ in 0..500 {
        if served(connector).await == leaf.der {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the new certificate is not served");
}

#[tokio::test]
async fn a_mounted_secret_is_rotated_again_and_again() {
    let authorities = Authorities::new();
    let first = authorities.leaf("one", 40);
    let mut mounted = Mounted::new(&pair(&first.chain, &first.key));
    let files = [mounted.text("tls.crt"), mounted.text("tls.key")];
    let server =
        Serving::start(&[&["--tls-cert-file", &files[0], "--tls-private-key-file", &files[1]], &EVERY[..]].concat());
    // The client trusts only the root, so the server must send the chain.
    let connector = Connector::new(server.address, authorities.root.clone());
    assert_eq!(served(&connector).await, first.der);
    let mut standing = connector.connect().await;
    let mut last = first;
    for days in 41..45 {
        // Connected before the rotation, handshake after it.
        let early = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let next = authorities.leaf("next", days);
        mounted.swap(&pair(&next.chain, &next.key));
        until_served(&connector, &next).await;
        let mut early = Http1::over(connector.tls_over(early, "http/1.1").await.unwrap()).await;
        for connection in [&mut early, &mut standing] {
            let review = request(Method::POST, "/validate", review("uid").to_string());
            assert_eq!(connection.send(review).await.response()["uid"], "uid");
        }
        let end = connector.metric("plimsoll_certificate_expiry_timestamp_seconds").await as i64;
        let wanted = time::OffsetDateTime::now_utc() + time::Duration::days(days);
        assert!((end - wanted.unix_timestamp()).abs() < 3_600, "{end}");
        last = next;
    }
    assert_eq!(connector.metric("plimsoll_certificate_generation").await as u32, 5);

    // An invalid certificate is reported, and the old one stays.
    let (other, ended) = (authorities.leaf("other", 50), authorities.leaf("ended", -1));
    let refused = [
        (pair(&other.chain, &last.key), "and its private key cannot be used"),
        (pair("-----BEGIN CERTIFICATE-----\nAAAA", &other.key), "holds no certificate in PEM"),
        (pair("", &other.key), "holds no certificate in PEM"),
        (pair(&other.chain, "nonsense"), "holds no private key in PEM"),
        (pair(&ended.chain, &ended.key), "expired on "),
    ];
    for (number, (files, reason)) in refused.iter().enumerate() {
        mounted.swap(files);
        connector.until("plimsoll_certificate_failed_reloads_total", (number + 1) as f64).await;
        assert_eq!(served(&connector).await, last.der, "{reason}");
        assert_eq!(connector.metric("plimsoll_certificate_last_reload_successful").await as u32, 0);
        let verbose = connector.get("/readyz?verbose").await;
        assert_eq!(verbose.status, 200, "the old one is as good as before");
        assert!(verbose.text().contains(reason), "{reason} is not in {}", verbose.text());
    }
    let line = server.logged("the new certificate is rejected; the previous one stays in use");
    assert!(line["reason"].as_str().unwrap().contains("cannot be used"), "{line}");
    fs::remove_file(mounted.path("tls.crt")).unwrap();
    connector.until("plimsoll_certificate_failed_reloads_total", 6.0).await;
    // Written in place, first the certificate and a moment later the key.
    fs::write(mounted.path("tls.crt"), &other.chain).unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    fs::remove_file(mounted.path("tls.key")).unwrap();
    fs::write(mounted.path("tls.key"), &other.key).unwrap();
    until_served(&connector, &other).await;
    assert_eq!(connector.metric("plimsoll_certificate_last_reload_successful").await as u32, 1);
    assert!(!connector.get("/readyz?verbose").await.text().contains("refused"));
}

/// Starts the server with a certificate from files.
fn serve(arguments: &[&str]) -> (Serving, Connector) {
    serve_with(arguments, &[])
}

/// The same with these environment variables.
pub(crate) fn serve_with(arguments: &[&str], environment: &[(&str, &str)]) -> (Serving, Connector) {
    let authorities = Authorities::new();
    let leaf = authorities.leaf("server", 40);
    let mounted = Mounted::new(&pair(&leaf.chain, &leaf.key));
    let files = [mounted.text("tls.crt"), mounted.text("tls.key")];
    let tls = ["--tls-cert-file", &files[0], "--tls-private-key-file", &files[1]];
    let server = Serving::start_with(&[&tls, arguments].concat(), environment);
    let connector = Connector::new(server.address, authorities.root);
    (server.keeping(mounted), connector)
}

const ENFORCING: &str = "{mode: enforce, profile: production}";

fn set(spec: &str) -> String {
    format!("apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {{name: a}}\nspec: {spec}\n")
}

async fn allows(connector: &Connector) -> bool {
    let answer = connector.send(request(Method::POST, "/validate", review("uid").to_string())).await;
    answer.response()["allowed"].as_bool().unwrap()
}

#[tokio::test]
async fn a_mounted_config_map_is_taken_over_and_what_is_wrong_is_refused() {
    const GENERATION: &str = "plimsoll_configuration_generation";
    const FAILED: &str = "plimsoll_configuration_failed_reloads_total";
    let mut mounted = Mounted::new(&[("policies.yaml", &set("{mode: observe}"))]);
    let (server, connector) = serve(&[&["--config", &mounted.text("")], &EVERY[..]].concat());
    assert!(allows(&connector).await);
    let started = connector.metric("plimsoll_configuration_last_success_timestamp_seconds").await;
    for generation in 2..6 {
        let mode = if generation % 2 == 0 { ENFORCING } else { "{mode: observe}" };
        mounted.swap(&[("policies.yaml", &set(mode))]);
        connector.until(GENERATION, f64::from(generation)).await;
        assert_eq!(allows(&connector).await, generation % 2 != 0, "{generation}");
    }
    assert!(connector.metric("plimsoll_configuration_last_success_timestamp_seconds").await > started);
    mounted.swap(&[("policies.yaml", &set(ENFORCING))]);
    connector.until(GENERATION, 6.0).await;
    let refused = [
        (set("{mode: shout}"), "policies.yaml:4:14: "),
        (set("{policies: [{id: missing-radiness-probe}]}"), "missing-readiness-probe"),
        (set("{bundle: nowhere.wasm}"), "nowhere.wasm"),
        (set("{policies: [{id: excessive-memory-ratio, settings: {limit: [1]}}]}"), "limit"),
        ("{".to_owned(), "policies.yaml:"),
        (String::new(), "there is no ClusterPolicySet in it"),
    ];
    for (number, (text, reason)) in refused.iter().enumerate() {
        mounted.swap(&[("policies.yaml", text)]);
        connector.until(FAILED, (number + 1) as f64).await;
        assert!(!allows(&connector).await, "{text}");
        let verbose = connector.get("/readyz?verbose").await;
        assert_eq!(verbose.status, 200);
        assert!(verbose.text().contains("[+]configuration ok: generation 6; the newest change is refused: "));
        assert!(verbose.text().contains(reason), "{reason} is not in {}", verbose.text());
        assert_eq!(connector.metric("plimsoll_configuration_last_reload_successful").await as u32, 0);
    }
    let line = server.logged("the new configuration is rejected; the previous one stays in use");
    assert!(line["problem"].as_str().unwrap().contains("policies.yaml:4:14: "), "{line}");
    fs::remove_file(mounted.path("policies.yaml")).unwrap();
    connector.until(FAILED, 7.0).await;
    assert!(!allows(&connector).await);
    assert!(connector.get("/readyz?verbose").await.text().contains("there is no .yaml, .yml or .json file"));
    fs::write(mounted.path("policies.yaml"), set("{mode: observe}")).unwrap();
    connector.until(GENERATION, 7.0).await;
    assert!(allows(&connector).await);
    assert_eq!(connector.metric("plimsoll_configuration_last_reload_successful").await as u32, 1);
}

/// Bundles are compiled while reviews run. A known bundle is not compiled again, and unused ones are freed.
#[tokio::test]
async fn a_hundred_reloads_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let engine = plimsoll::engine::Engine::new(plimsoll::engine::Limits::default()).unwrap();
    let builtin = plimsoll::engine::Bundle::load(&engine, plimsoll::engine::BUILTIN).unwrap();
    for version in 0..8_u8 {
        // The same policies with another digest. From the third bundle on, they are renamed, because two bundles can't
        // have policies with the same name.
        let mut bytes = [plimsoll::engine::BUILTIN, &[0, 3, 1, b'x', version]].concat();
        for policy in builtin.metadata().policies.iter().filter(|_| version > 1) {
            rename(&mut bytes, policy.id.as_bytes(), b'0' + version);
        }
        fs::write(at(&format!("{version}.wasm")), bytes).unwrap();
    }
    let configure = |bundles: &[u8]| {
        let one = |bundle: &u8| {
            format!(
                "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {{name: set-{bundle}}}\n\
                 spec: {{mode: enforce, profile: production, bundle: ./{bundle}.wasm}}\n---\n"
            )
        };
        fs::write(at("policies.yaml"), bundles.iter().map(one).collect::<String>()).unwrap();
    };
    configure(&[0]);
    let config = at("policies.yaml").display().to_string();
    let (server, connector) = serve(&["--config", &config, "--reload-interval", "0", "--threads", "2"]);
    let generation = "plimsoll_configuration_generation";
    let mut resident = Vec::new();
    let mut taken_over = 1;
    let mut reload = async |bundles: &[u8]| {
        configure(bundles);
        server.signal("HUP");
        taken_over += 1;
        connector.until(generation, f64::from(taken_over)).await;
        assert!(!allows(&connector).await);
        server.resident()
    };
    for round in 0..100 {
        // Compiling takes a third of a second, so only every tenth reload has a new bundle.
        resident.push(reload(&[round / 10 % 2]).await);
    }
    assert_eq!(server.threads("plimsoll-ticker"), 1, "one engine for all of them");
    let (early, late) = (resident[20], resident[99]);
    println!("resident: {early} KiB after 20 reloads, {late} KiB after 100");
    assert!(late < early + (24 << 10), "{early} KiB after 20 reloads, {late} after 100: {resident:?}");
    // More bundles than the engine has room for need a new engine. The old one is dropped with its last review.
    reload(&[0, 2, 3, 4, 5, 6, 7]).await;
    reload(&[0, 7]).await;
    reload(&[0]).await;
    for _ in 0..100 {
        if server.threads("plimsoll-ticker") == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} engines live", server.threads("plimsoll-ticker"));
}

/// Replaces the last letter of the name wherever it occurs.
fn rename(bytes: &mut [u8], name: &[u8], letter: u8) {
    let found: Vec<_> = bytes.windows(name.len()).enumerate().filter(|(_, it)| *it == name).map(|(at, _)| at).collect();
    found.iter().for_each(|at| bytes[at + name.len() - 1] = letter);
}

#[tokio::test]
async fn clients_must_show_a_certificate_where_that_is_asked_for() {
    let (clients, others) = (Authorities::new(), Authorities::new());
    let mut mounted = Mounted::new(&[("ca.crt", &clients.root)]);
    let ca = mounted.text("ca.crt");
    let arguments =
        ["--client-ca-file", &ca, "--client-allowed-name", "kube-apiserver", "--health-listen", "127.0.0.1:0"];
    let (server, connector) = serve(&[&arguments, &EVERY[..]].concat());
    let ask = async |shown: Option<(&Authorities, &str)>, path: &str| {
        let connector = match shown {
            None => connector.clone(),
            Some((authorities, name)) => {
                let leaf = authorities.leaf(name, 10);
                let intermediate = CertificateDer::from_pem_slice(authorities.intermediate.as_bytes()).unwrap();
                connector.clone().showing(vec![leaf.der, intermediate], leaf.private)
            }
        };
        let stream = connector.tls("http/1.1").await.ok()?;
        let method = if path.starts_with("/validate") { Method::POST } else { Method::GET };
        let answer = Http1::over(stream).await.try_send(request(method, path, review("uid").to_string())).await?;
        Some((answer.status.as_u16(), answer.text()))
    };
    let (status, text) = ask(None, "/validate").await.unwrap();
    assert_eq!(status, 401);
    assert!(text.contains("--client-ca-file"), "{text}");
    let (status, text) = ask(Some((&clients, "mallory")), "/validate").await.unwrap();
    assert_eq!(status, 403);
    assert!(text.contains("mallory") && text.contains("--client-allowed-name"), "{text}");
    assert_eq!(ask(Some((&clients, "kube-apiserver")), "/validate").await.unwrap().0, 200);
    assert_eq!(ask(Some((&others, "kube-apiserver")), "/validate").await, None, "the handshake fails");
    // Health checks of the kubelet have no certificate.
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(ask(None, path).await.unwrap().0, 200, "{path}");
    }
    assert!(connector.metric(r#"plimsoll_reviews_total{webhook="validate",outcome="unauthorized"}"#).await >= 2.0);

    // Without TLS, only health checks are answered.
    let plain = async |method: Method, path: &str| {
        let stream = tokio::net::TcpStream::connect(server.health.unwrap()).await.unwrap();
        Http1::over(stream).await.send(request(method, path, review("uid").to_string())).await
    };
    for path in ["/livez", "/readyz?verbose", "/metrics"] {
        assert_eq!(plain(Method::GET, path).await.status, 200, "{path}");
    }
    for path in ["/validate", "/mutate", "/"] {
        assert_eq!(plain(Method::POST, path).await.status, 404, "{path}");
    }

    // The CA of the clients changes while the server runs.
    mounted.swap(&[("ca.crt", &others.root)]);
    connector.until("plimsoll_certificate_generation", 2.0).await;
    assert_eq!(ask(Some((&others, "kube-apiserver")), "/validate").await.unwrap().0, 200);
    assert_eq!(ask(Some((&clients, "kube-apiserver")), "/validate").await, None);
    mounted.swap(&[("ca.crt", "")]);
    connector.until("plimsoll_certificate_failed_reloads_total", 1.0).await;
    assert_eq!(ask(Some((&others, "kube-apiserver")), "/validate").await.unwrap().0, 200);
}
