//! `make demo`: one story on a real API server. It ends by itself and deletes what it made.
//!
//! 1. A drain is refused, the budget is mended, and the eviction succeeds.
//! 2. With the webhook, `kubectl apply` of that budget is refused, and the message says what to write.
//! 3. An incomplete Deployment is completed with safe defaults.
//! 4. `plimsoll check` and its fixes apply the same policies to files.
//!
//! `--cluster current` uses the cluster that kubectl points at, and a new namespace in it.

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

/// The ClusterPolicySets of the webhook and of `plimsoll check`.
const POLICIES: &str = "policies.yaml";

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let current = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => false,
        ["--cluster", "current"] => true,
        _ => bail!("usage: demo [--cluster current]; with make: make demo, or make demo CLUSTER=current"),
    };
    let demo = Demo::new()?;
    demo.say("Plimsoll checks Kubernetes objects before the cluster accepts them.")?;
    demo.say("Everything below is real: etcd, kube-apiserver, kubectl and the webhook.")?;
    let mut cluster = if current { Cluster::current()? } else { Cluster::own(&demo)? };
    let evictions = !cluster.has_nodes()?;
    let started = Instant::now();
    drain::without_webhook(&demo, &cluster, evictions)?;

    // How the API server stores the incomplete Deployment without the webhook, to compare in step 3.
    let alone =
        cluster.kubectl().ok(&["create", "--dry-run=server", "-o", "json", "-f", &demo.path("incomplete.yaml")])?;
    demo.say("\nNow `plimsoll serve` starts, and registers itself as a webhook of the API server.")?;
    let starting = Instant::now();
    cluster.start_webhook(&demo.path(POLICIES))?;
    demo.say(&format!("It is ready after {:.1} s.", starting.elapsed().as_secs_f64()))?;

    demo.step("2. `kubectl apply` is refused, and the message says what to write")?;
    drain::with_webhook(&demo, &cluster)?;
    demo.say("\nA Deployment with many problems is refused too, with all reasons at once:")?;
    let refused = demo.apply(&cluster, &demo.path("refused.yaml"))?;
    ensure!(!refused.status.success(), "refused.yaml was accepted");

    demo.step("3. An incomplete Deployment is accepted, and completed with safe defaults")?;
    ensure!(demo.apply(&cluster, &demo.path("incomplete.yaml"))?.status.success(), "incomplete.yaml was refused");
    let stored = cluster.kubectl().ok(&["get", "deployment", "lessons", "-o", "json"])?;
    demo.say("\nThe stored object, without and with Plimsoll:")?;
    demo.difference("without Plimsoll", &alone, "with Plimsoll", &stored)?;
    demo.say("\nA complete set (Deployment, Service, autoscaler, budget) is accepted without a warning:")?;
    ensure!(demo.apply(&cluster, &demo.path("good.yaml"))?.status.success(), "good.yaml was refused");

    demo.step("4. `plimsoll check` applies the same policies to files: with line, column and fix")?;
    for (file, expected) in [("refused.yaml", 1), ("incomplete.yaml", 0), ("good.yaml", 0)] {
        let status = demo.check(&[&demo.path(file)])?;
        ensure!(status == Some(expected), "exit status {status:?} instead of {expected}");
    }
    mend(&demo, &cluster)?;

    drop(cluster);
    demo.say(&format!(
        "\nThe demo is over, after {:.0} s. Everything that it made is deleted. Next steps:",
        started.elapsed().as_secs_f64()
    ))?;
    demo.say("  target/release/plimsoll check YOUR-FOLDER   check your own manifests")?;
    demo.say("  target/release/plimsoll explain             list the policies, and the reason for each")?;
    demo.say("  policies/src/image/latest_image_tag.rs      read the source of a policy")?;
    demo.say("  make test                                   run every test, on a real API server too")
}

fn mend(demo: &Demo, cluster: &Cluster) -> Result<()> {
    demo.say("\n`--fix=unsafe` mends the first file. Comments and order stay.")?;
    let mended = demo.scratch.path().join("mended.yaml");
    std::fs::copy(demo.path("refused.yaml"), &mended)?;
    demo.check(&["--fix=unsafe", "--quiet", &text(&mended)])?;
    demo.git_diff(&demo.path("refused.yaml"), &text(&mended))?;
    demo.comments_beside_changes(&demo.path("refused.yaml"), &text(&mended))?;
    demo.say("\nOne problem is left. No fix can know which version `latest` stands for:")?;
    let still = demo.apply(cluster, &text(&mended))?;
    let reasons: Vec<_> = plimsoll_tests::denied_policies(&still.stderr).into_iter().flatten().collect();
    ensure!(!still.status.success(), "an image with the tag latest was accepted");
    ensure!(reasons == ["latest-image-tag"], "refused for {reasons:?}");
    demo.say("\nWith the tag 5.0.2 in place of `latest`:")?;
    let versioned = std::fs::read_to_string(&mended)?.replace("web:latest", "web:5.0.2");
    std::fs::write(&mended, versioned)?;
    ensure!(demo.apply(cluster, &text(&mended))?.status.success(), "the image with a version was refused");
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
        // Relative to the current directory, as a user would type it.
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

    /// Prints the difference between the `spec` of two stored objects.
    fn difference(&self, left_name: &str, left: &str, right_name: &str, right: &str) -> Result<()> {
        let mut files = Vec::new();
        for (name, object) in [("without", left), ("with", right)] {
            let object: Value = serde_json::from_str(object)?;
            let file = self.scratch.path().join(name);
            std::fs::write(
                &file,
                serde_json::to_string_pretty(object.get("spec").context("an object without a spec")?)? + "\n",
            )?;
            files.push(text(&file));
        }
        self.say(&format!("--- {left_name}\n+++ {right_name}"))?;
        self.git_diff(&files[0], &files[1])
    }

    /// Prints the changed lines that still end with a comment of the original. Such a comment may no longer be true.
    fn comments_beside_changes(&self, left: &str, right: &str) -> Result<()> {
        let (left, right) = (std::fs::read_to_string(left)?, std::fs::read_to_string(right)?);
        let is_kept = |line: &str| {
            let comment = line.split_once(" # ").map(|(_, comment)| format!(" # {comment}"));
            comment.is_some_and(|comment| left.lines().any(|other| other.ends_with(&comment)))
        };
        let is_changed = |line: &str| !left.lines().any(|other| other == line);
        let lines: Vec<_> = right.lines().filter(|line| is_kept(line) && is_changed(line)).collect();
        if lines.is_empty() {
            return Ok(());
        }
        self.say("\nThese comments stand beside a changed value. Read whether they are still true:")?;
        lines.iter().try_for_each(|line| self.say(&format!("  {}", line.trim_start())))
    }

    fn git_diff(&self, left: &str, right: &str) -> Result<()> {
        let colour = if self.colours { "--color=always" } else { "--color=never" };
        let output = Command::new("git")
            .args(["diff", "--no-index", "--no-prefix", "-U1", colour, left, right])
            .output()
            .context("git can't be run")?;
        let diff = String::from_utf8_lossy(&output.stdout);
        ensure!(!diff.is_empty(), "{left} and {right} are equal");
        // The four header lines only name temporary files.
        self.say(diff.lines().skip(4).collect::<Vec<_>>().join("\n").as_str())
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
