//! Servers in the background. They end with the harness, however the harness ends.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

/// Kills its registered processes and removes a folder as soon as its standard input closes.
///
/// The kernel closes that pipe when the harness exits, panics or is killed. `PR_SET_PDEATHSIG` does not fit: it fires
/// when the *thread* that started a child ends. The test runner gives every test its own thread, and a shared control
/// plane outlives the test that started it. It also works on Linux only, and needs `unsafe`.
const REAPER: &str = r#"
trap '' HUP INT TERM
pids=' '
while read -r sign pid; do
    case $sign in
        +) pids="$pids$pid " ;;
        -) rest=' '
           for p in $pids; do [ "$p" = "$pid" ] || rest="$rest$p "; done
           pids=$rest ;;
    esac
done
for p in $pids; do kill -s KILL -- "-$p"; done
[ -n "$1" ] || exit 0
for try in 1 2 3 4 5; do
    rm -rf -- "$1" && exit 0
    sleep 1
done
"#;

/// The process that lives a moment longer than the harness, to clean up.
#[derive(Debug)]
pub(crate) struct Reaper {
    shell: Mutex<Child>,
}

impl Reaper {
    /// `folder`, if given, is removed at the end.
    pub(crate) fn start(folder: Option<&Path>) -> Result<Arc<Self>> {
        let shell = Command::new("sh")
            .args(["-c", REAPER, "reaper"])
            .arg(folder.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group(0)
            .spawn()
            .context("sh can't be run")?;
        Ok(Arc::new(Self { shell: Mutex::new(shell) }))
    }

    fn tell(&self, sign: char, pid: u32) -> Result<()> {
        let mut shell = self.shell.lock().map_err(|_| anyhow!("the reaper's lock is poisoned"))?;
        let stdin = shell.stdin.as_mut().context("the reaper has no standard input")?;
        writeln!(stdin, "{sign} {pid}").context("the reaper is gone")
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        if let Ok(shell) = self.shell.get_mut() {
            drop(shell.stdin.take());
            let _ = shell.wait();
        }
    }
}

/// A server in its own process group, with its output in a file. Killed on drop.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    reaper: Arc<Reaper>,
}

impl Process {
    pub(crate) fn spawn(name: &str, command: &mut Command, log: PathBuf, reaper: &Arc<Reaper>) -> Result<Self> {
        let output = File::create(&log).with_context(|| format!("{} can't be written", log.display()))?;
        let errors = output.try_clone().context("a log file can't be shared")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} can't be run", command.get_program().display()))?;
        let process = Self { name: name.to_owned(), child, log, reaper: Arc::clone(reaper) };
        process.reaper.tell('+', process.id())?;
        Ok(process)
    }

    /// Process id, which is also the id of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns an error with the end of the log if the process is no longer running.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait().context("a child can't be waited for")? {
            Some(status) => Err(self.failure(&format!("ended ({status})"))),
            None => Ok(()),
        }
    }

    /// An error with the end of the log.
    pub(crate) fn failure(&self, what: &str) -> anyhow::Error {
        anyhow!("{} {what}; the end of its log:\n{}", self.name, tail(&self.log(), 25))
    }

    /// The whole log so far.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Sends SIGTERM, and SIGKILL after `grace`. Returns the exit status, if it is known.
    pub fn stop(&mut self, grace: Duration) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status);
        }
        let end = Instant::now() + grace;
        // The standard library can only send SIGKILL, and a call of libc would be unsafe.
        let _ = Command::new("kill").args(["-s", "TERM"]).arg(self.id().to_string()).stderr(Stdio::null()).status();
        while Instant::now() < end {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        self.child.wait().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.reaper.tell('-', self.id());
    }
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
