//! `make demo`: a real API server, a real `kubectl apply` that is refused, one that is completed, one that passes; the
//! same verdicts from files; a fix; and a drain that blocks, until it does not. It ends by itself and leaves nothing behind.
//!
//! With `--cluster current` it is the cluster that kubectl points at, in a namespace of its own.

mod cluster;
mod drain;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use cluster::Cluster;
use plimsoll_tests::{Output, plimsoll_binary};
use serde_json::Value;

/// The ClusterPolicySets that everything is judged by, beside the manifests.
const POLICIES: &str = "policies.yaml";

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let current = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => false,
        ["--cluster", "current"] => true,
        _ => bail!("usage: demo [--cluster current]; with make: make demo, or make demo CLUSTER=current"),
    };
    let demo = Demo::new()?;
    demo.say("Plimsoll, the load line for Kubernetes. Everything you see is real: etcd, kube-apiserver, kubectl.")?;
    let mut cluster = if current { Cluster::current()? } else { Cluster::own(&demo)? };
    let evictions = !cluster.has_nodes()?;
    if evictions {
        drain::before(&demo, &cluster)?;
    }
    let started = Instant::now();
    // What the API server makes of the incomplete one alone, to compare with later.
    let alone =
        cluster.kubectl().ok(&["create", "--dry-run=server", "-o", "json", "-f", &demo.path("incomplete.yaml")])?;
    cluster.start_webhook(&demo.path(POLICIES))?;
    demo.say(&format!("ready after {:.1} s", started.elapsed().as_secs_f64()))?;

    demo.step("1. A Deployment that breaks many policies is refused, with every reason at once")?;
    let refused = demo.apply(&cluster, &demo.path("refused.yaml"))?;
    ensure!(!refused.status.success(), "it was admitted");

    demo.step("2. A Deployment that is merely incomplete is admitted, and completed")?;
    ensure!(demo.apply(&cluster, &demo.path("incomplete.yaml"))?.status.success(), "it was refused");
    let stored = cluster.kubectl().ok(&["get", "deployment", "lessons", "-o", "json"])?;
    demo.difference("as the API server alone would store it", &alone, "as it is stored with Plimsoll", &stored)?;

    demo.step("3. A good set (Deployment, Service, HPA, PDB) is admitted without a word")?;
    ensure!(demo.apply(&cluster, &demo.path("good.yaml"))?.status.success(), "it was refused");

    demo.step("4. `plimsoll check` says the same of the files, with the line: exit status 1, 0, 0")?;
    for (file, expected) in [("refused.yaml", 1), ("incomplete.yaml", 0), ("good.yaml", 0)] {
        let status = demo.check(&[&demo.path(file)])?;
        ensure!(status == Some(expected), "exit status {status:?} instead of {expected}");
    }

    mend(&demo, &cluster)?;
    drain::after(&demo, &cluster, evictions)?;

    drop(cluster);
    demo.say(&format!(
        "\nThat was it, in {:.0} s; everything is cleaned up. How to go on:",
        started.elapsed().as_secs_f64()
    ))?;
    demo.say("  target/release/plimsoll check YOUR-FOLDER        what the cluster would say of your manifests")?;
    demo.say("  target/release/plimsoll explain                  the policies, and why")?;
    demo.say("  policies/src/image/latest_image_tag.rs                 what a policy looks like")?;
    demo.say("  make test                                        every test, those against an API server included")
}

fn mend(demo: &Demo, cluster: &Cluster) -> Result<()> {
    demo.step("5. `plimsoll check --fix=unsafe` mends the first; comments and order stay")?;
    let mended = demo.scratch.path().join("mended.yaml");
    std::fs::copy(demo.path("refused.yaml"), &mended)?;
    demo.check(&["--fix=unsafe", "--quiet", &text(&mended)])?;
    demo.git_diff(&demo.path("refused.yaml"), &text(&mended))?;
    demo.say("\nWhat is left is what no tool can know: which version `latest` was meant to be.")?;
    let still = demo.apply(cluster, &text(&mended))?;
    let reasons: Vec<_> = plimsoll_tests::denied_policies(&still.stderr).into_iter().flatten().collect();
    ensure!(!still.status.success(), "an image without a version was admitted");
    ensure!(reasons == ["latest-image-tag"], "refused for {reasons:?}");
    demo.say("With a version written in:")?;
    let versioned = std::fs::read_to_string(&mended)?.replace("web:latest", "web:5.0.2");
    std::fs::write(&mended, versioned)?;
    ensure!(demo.apply(cluster, &text(&mended))?.status.success(), "it was refused");
    Ok(())
}

struct Demo {
    plimsoll: PathBuf,
    scratch: tempfile::TempDir,
    files: PathBuf,
    colours: bool,
}

impl Demo {
    fn new() -> Result<Self> {
        Ok(Self {
            plimsoll: plimsoll_binary()?,
            scratch: tempfile::tempdir()?,
            files: Path::new(env!("CARGO_MANIFEST_DIR")).join("demo"),
            colours: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        })
    }

    fn path(&self, file: &str) -> String {
        // Shown as a person would type it, where the demo runs in the repository.
        let path = self.files.join(file);
        let here = std::env::current_dir().ok();
        let short = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
        text(&short.unwrap_or(path))
    }

    fn say(&self, line: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).context("stdout is closed")
    }

    fn step(&self, title: &str) -> Result<()> {
        self.say(&if self.colours { format!("\n\u{1b}[1;36m{title}\u{1b}[0m") } else { format!("\n=== {title}") })
    }

    fn command(&self, line: &str) -> Result<()> {
        self.say(&if self.colours { format!("\u{1b}[1m$ {line}\u{1b}[0m") } else { format!("$ {line}") })
    }

    fn apply(&self, cluster: &Cluster, file: &str) -> Result<Output> {
        self.command(&format!("kubectl apply -f {file}"))?;
        let output = cluster.kubectl().run(&["apply", "-f", file], None)?;
        self.say(format!("{}{}", output.stdout, output.stderr).trim_end())?;
        Ok(output)
    }

    fn check(&self, arguments: &[&str]) -> Result<Option<i32>> {
        let policies = self.path(POLICIES);
        self.command(&format!("plimsoll check --config {policies} {}", arguments.join(" ")))?;
        let colour = if self.colours { "always" } else { "never" };
        let output = Command::new(&self.plimsoll)
            .args(["check", "--config", &policies, "--color", colour])
            .args(arguments)
            .output()
            .context("plimsoll can't be run")?;
        self.say(String::from_utf8_lossy(&output.stdout).trim_end())?;
        self.say(&format!(
            "{}exit status {}",
            String::from_utf8_lossy(&output.stderr),
            output.status.code().unwrap_or(-1)
        ))?;
        Ok(output.status.code())
    }

    /// The difference between two stored objects, without what every object has of its own.
    fn difference(&self, left_name: &str, left: &str, right_name: &str, right: &str) -> Result<()> {
        let mut files = Vec::new();
        for (name, object) in [("without", left), ("with", right)] {
            let object: Value = serde_json::from_str(object)?;
            let file = self.scratch.path().join(name);
            std::fs::write(&file, serde_json::to_string_pretty(object.get("spec").context("a spec")?)? + "\n")?;
            files.push(text(&file));
        }
        self.say(&format!("--- {left_name}\n+++ {right_name}"))?;
        self.git_diff(&files[0], &files[1])
    }

    fn git_diff(&self, left: &str, right: &str) -> Result<()> {
        let colour = if self.colours { "--color=always" } else { "--color=never" };
        let output = Command::new("git")
            .args(["diff", "--no-index", "--no-prefix", "-U1", colour, left, right])
            .output()
            .context("git can't be run")?;
        let diff = String::from_utf8_lossy(&output.stdout);
        ensure!(!diff.is_empty(), "nothing differs");
        // Four lines of header name temporary files.
        self.say(diff.lines().skip(4).collect::<Vec<_>>().join("\n").as_str())
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
