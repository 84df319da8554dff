//! Runs the real binary as a server, and replaces files as the kubelet does.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// `plimsoll serve` on a free port of loopback. It is killed on drop.
pub(crate) struct Serving {
    child: Child,
    pub(crate) address: SocketAddr,
    /// The address for health checks without TLS.
    pub(crate) health: Option<SocketAddr>,
    lines: Arc<Mutex<Vec<Value>>>,
    _files: Option<Mounted>,
}

impl Serving {
    /// Keeps files for as long as the server runs.
    pub(crate) fn keeping(mut self, files: Mounted) -> Self {
        self._files = Some(files);
        self
    }

    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// Starts the server with these environment variables.
    pub(crate) fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]).args(arguments);
        command.env_remove("PLIMSOLL_LOG").env_remove("KUBECONFIG").env("HOME", "/nonexistent");
        command.envs(environment.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (stderr, written) = (child.stderr.take().unwrap(), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                written.lock().unwrap().push(line);
            }
        });
        let mut serving =
            Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), health: None, lines, _files: None };
        let ready = serving.logged("ready");
        serving.address = ready["address"].as_str().unwrap().parse().unwrap();
        serving.health = ready["health"].as_str().map(|address| address.parse().unwrap());
        serving
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the first log line with this message.
    pub(crate) fn logged(&self, message: &str) -> Value {
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            let lines = self.lines.lock().unwrap();
            if let Some(line) = lines.iter().find(|line| line["message"] == message) {
                return line.clone();
            }
            drop(lines);
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{message:?} is not in {:#?}", self.lines());
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits for the end of the server, and returns its status.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Number of threads whose names begin with `name`.
    pub(crate) fn threads(&self, name: &str) -> usize {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.filter(|found| found.starts_with(name)).count()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A mounted Secret or ConfigMap. Its files are links into `..data`, and `..data` is a link to a folder that gets a new
/// name with each change.
pub(crate) struct Mounted {
    folder: tempfile::TempDir,
    version: u32,
}

impl Mounted {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let mut mounted = Self { folder: tempfile::tempdir().unwrap(), version: 0 };
        mounted.swap(files);
        for (name, _) in files {
            std::os::unix::fs::symlink(Path::new("..data").join(name), mounted.path(name)).unwrap();
        }
        mounted
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The path of a file as an argument.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Replaces the files like `AtomicWriter` of the kubelet: new folder, new link, rename, old folder removed.
    pub(crate) fn swap(&mut self, files: &[(&str, &str)]) {
        self.version += 1;
        let name = format!("..2026_01_01_00_00_00.{}", self.version);
        fs::create_dir(self.path(&name)).unwrap();
        for (file, text) in files {
            fs::write(self.path(&name).join(file), text).unwrap();
        }
        let before = fs::read_link(self.path("..data")).ok();
        std::os::unix::fs::symlink(&name, self.path("..data_tmp")).unwrap();
        fs::rename(self.path("..data_tmp"), self.path("..data")).unwrap();
        if let Some(before) = before {
            fs::remove_dir_all(self.folder.path().join(before)).unwrap();
        }
    }
}
