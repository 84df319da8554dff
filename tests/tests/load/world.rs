//! Processes of the real binary, and the files that they reload.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_tests::plimsoll_binary;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// A mounted ConfigMap and a mounted Secret.
pub(crate) struct Files {
    folder: tempfile::TempDir,
    authority: Issuer<'static, KeyPair>,
    intermediate: String,
    pub(crate) root: String,
    version: u32,
}

impl Files {
    pub(crate) fn new(config: &str) -> Self {
        let (root, intermediate, authority) = authorities();
        let mut files = Self { folder: tempfile::tempdir().unwrap(), authority, intermediate, root, version: 0 };
        for name in ["config", "tls"] {
            fs::create_dir(files.path(name)).unwrap();
        }
        files.configure(config);
        files.rotate();
        let link = |to: &str, from: &str| std::os::unix::fs::symlink(to, files.path(from)).unwrap();
        link("..data/policies.yaml", "config/policies.yaml");
        for name in ["tls.crt", "tls.key", "ca.crt"] {
            link(&format!("..data/{name}"), &format!("tls/{name}"));
        }
        files
    }

    pub(crate) fn configure(&mut self, config: &str) {
        self.swap("config", &[("policies.yaml", config)]);
    }

    /// Writes another certificate of the same CA.
    pub(crate) fn rotate(&mut self) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "plimsoll");
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.authority).unwrap();
        let chain = format!("{}{}", leaf.pem(), self.intermediate);
        let root = self.root.clone();
        self.swap("tls", &[("tls.crt", &chain), ("tls.key", &key.serialize_pem()), ("ca.crt", &root)]);
    }

    /// Writes a certificate of a new CA, which no client trusts yet.
    pub(crate) fn replace_authority(&mut self) {
        (self.root, self.intermediate, self.authority) = authorities();
        self.rotate();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the files in the same way as the kubelet.
    fn swap(&mut self, mount: &str, files: &[(&str, &str)]) {
        self.version += 1;
        let (mount, name) = (self.path(mount), format!("..{}", self.version));
        fs::create_dir(mount.join(&name)).unwrap();
        for (file, text) in files {
            fs::write(mount.join(&name).join(file), text).unwrap();
        }
        let before = fs::read_link(mount.join("..data")).ok();
        std::os::unix::fs::symlink(&name, mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        if let Some(before) = before {
            fs::remove_dir_all(mount.join(before)).unwrap();
        }
    }
}

/// A root CA, and an intermediate CA that signs the served certificates.
fn authorities() -> (String, String, Issuer<'static, KeyPair>) {
    let ca = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        (params, KeyPair::generate().unwrap())
    };
    let ((root, root_key), (below, key)) = (ca("root"), ca("intermediate"));
    let pem = root.self_signed(&root_key).unwrap().pem();
    let intermediate = below.signed_by(&key, &Issuer::new(root, root_key)).unwrap().pem();
    (pem, intermediate, Issuer::new(below, key))
}

/// `plimsoll serve`. Killed on drop.
pub(crate) struct Replica {
    child: Child,
    log: PathBuf,
    pub(crate) address: SocketAddr,
    pub(crate) health: SocketAddr,
}

impl Replica {
    /// Starts the process, and waits until it is ready.
    pub(crate) fn start(files: &Files, arguments: &[&str]) -> Self {
        let mut replica = Self::begin(files, "127.0.0.1:0", arguments);
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            let log = fs::read_to_string(&replica.log).unwrap();
            let ready = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            if let Some(line) = ready.into_iter().find(|line| line["message"] == "ready") {
                let address = |name: &str| line[name].as_str().unwrap().parse().unwrap();
                (replica.address, replica.health) = (address("address"), address("health"));
                return replica;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("not ready: {}", fs::read_to_string(&replica.log).unwrap());
    }

    /// Starts the process without waiting.
    pub(crate) fn begin(files: &Files, listen: &str, arguments: &[&str]) -> Self {
        let log = tempfile::Builder::new().prefix("replica-").tempfile_in(files.folder.path()).unwrap();
        let (_, log) = log.keep().unwrap();
        let binary = plimsoll_binary().unwrap();
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", listen, "--health-listen", "127.0.0.1:0", "--log-format", "json"]);
        command.args(["--threads", "2", "--reload-interval", "200ms", "--drain-delay", "1s"]);
        let file = |name: &str| files.path(name).display().to_string();
        command.args(["--config", &file("config"), "--tls-cert-file", &file("tls/tls.crt")]);
        command
            .args(["--tls-private-key-file", &file("tls/tls.key"), "--ca-file", &file("tls/ca.crt")])
            .args(arguments);
        command.env_remove("PLIMSOLL_LOG").env_remove("KUBECONFIG").env("HOME", "/nonexistent");
        let child = command.stderr(File::create(&log).unwrap()).stdout(Stdio::null()).spawn().unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { child, log, address: nowhere, health: nowhere }
    }

    /// Sends SIGTERM. Returns the exit status.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let status = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
        self.child.wait().unwrap().code()
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(Path::new("/proc").join(self.child.id().to_string()).join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
