//! Files, links and names: attacks of a repository on the machine of `plimsoll check`, on its log, and on readers of
//! the log. Also a second server that takes over the registration.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use plimsoll_tests::{plimsoll_binary, until};
use tempfile::TempDir;

use crate::By::Tool;
use crate::stage::{Said, Theme};
use crate::{Control, Tries, Try};

/// A fix of class `hardening` fixes it.
const ESCALATES: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: escalates}
spec:
  containers:
  - name: app
    image: 'registry.example.com/app:1.4.2'
";

const CONFIG: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: tests}
spec:
  profile: none
  policies: [{id: privilege-escalation}, {id: missing-disruption-budget}]
";

const FIX: &str = "--fix=hardening";

pub(crate) const TRIES: Tries = Tries {
    theme: "Files, names and registrations",
    tries: &[
        Try {
            name: "link-to-a-file-outside",
            exploits: "a symbolic link in the folder that `check --fix` edits, to a file outside of it",
            by: Tool("passed over: 1 symbolic link out of the given paths"),
            run: |_| {
                let it = Repository::new()?;
                symlink("../outside.yaml", it.path("k/link.yaml"))?;
                it.unless_edited(&["check", "k", FIX])
            },
        },
        Try {
            name: "link-to-a-folder-outside",
            exploits: "the same with a link to a folder, and an absolute one",
            by: Tool("passed over: 1 symbolic link out of the given paths"),
            run: |_| {
                let it = Repository::new()?;
                symlink(it.path(""), it.path("k/more"))?;
                it.unless_edited(&["check", "k", FIX])
            },
        },
        Try {
            name: "link-through-a-link",
            exploits: "a link to a link within the folder, which leads out",
            by: Tool("passed over: 2 symbolic links out of the given paths"),
            run: |_| {
                let it = Repository::new()?;
                symlink("second.yaml", it.path("k/first.yaml"))?;
                symlink("../outside.yaml", it.path("k/second.yaml"))?;
                it.unless_edited(&["check", "k", FIX])
            },
        },
        Try {
            name: "new-file-through-a-dangling-link",
            exploits: "a link with the name of the file that a fix writes, to a place where nothing is yet",
            by: Tool("cannot read the file: No such file or directory"),
            run: |_| {
                let it = Repository::new()?;
                it.write("k/web.yaml", WEB)?;
                symlink("../stolen.yaml", it.path("k/web.pdb.yaml"))?;
                let mut said = it.plimsoll(&["check", "k", "--fix=unsafe"])?;
                said.admitted = it.path("stolen.yaml").exists();
                Ok(said)
            },
        },
        Try {
            name: "read-only-file",
            exploits: "a read-only file, in a folder in which a rename would replace it",
            by: Tool("cannot write k/pod.yaml: it is read-only"),
            run: |_| {
                let it = Repository::new()?;
                it.write("k/pod.yaml", ESCALATES)?;
                fs::set_permissions(it.path("k/pod.yaml"), fs::Permissions::from_mode(0o444))?;
                let mut said = it.plimsoll(&["check", "k", FIX])?;
                said.admitted = it.read("k/pod.yaml")? != ESCALATES;
                Ok(said)
            },
        },
        Try {
            name: "file-with-two-names",
            exploits: "a hard link to a file outside, which an edit in place would change there too",
            by: Tool("cannot write k/link.yaml: it has 2 names (hard links)"),
            run: |_| {
                let it = Repository::new()?;
                fs::hard_link(it.path("outside.yaml"), it.path("k/link.yaml"))?;
                it.unless_edited(&["check", "k", FIX])
            },
        },
        Try {
            name: "configuration-of-somebody-else",
            exploits: "a `.plimsoll.yaml` that is a link to a secret, so that the errors in it show that in the log of CI",
            by: Tool("is a symbolic link that leads out of its repository"),
            run: |_| {
                let it = Repository::new()?;
                it.write("secret", "password: hunter2\n")?;
                fs::create_dir(it.path("k/.git"))?;
                symlink("../secret", it.path("k/.plimsoll.yaml"))?;
                let said = it.plimsoll(&["check", "k"])?;
                Ok(Said { admitted: said.text.contains("password") || said.text.contains("hunter2"), ..said })
            },
        },
        Try {
            name: "record-of-somebody-else",
            exploits: "a record with a link to another file, which findings would reveal",
            by: Tool("is a symbolic link that leads out of the folder"),
            run: |_| {
                let it = Repository::new()?;
                it.write("all.json", r#"{"items": []}"#)?;
                fs::create_dir(it.path("record"))?;
                symlink("../all.json", it.path("record/core.Service.json"))?;
                it.plimsoll(&["check", "k", "--context", "record"])
            },
        },
        Try {
            name: "bundle-without-end",
            exploits: "`bundle: /dev/zero` in the configuration of a repository, which takes all memory",
            by: Tool("it is a device; only regular files are read"),
            run: |_| {
                let it = Repository::new()?;
                it.write(".plimsoll.yaml", &CONFIG.replace("  profile: none", "  bundle: /dev/zero"))?;
                it.plimsoll(&["check", "k"])
            },
        },
        Try {
            name: "manifest-that-waits",
            exploits: "a named pipe with the name of a manifest, which blocks its reader",
            by: Tool("it is a pipe; only regular files are read"),
            run: |_| {
                let it = Repository::new()?;
                ensure!(Command::new("mkfifo").arg(it.path("k/pod.yaml")).status()?.success(), "no pipe");
                it.plimsoll(&["check", "k"])
            },
        },
        Try {
            name: "string-behind-aliases",
            exploits: "a string of a megabyte behind 100,000 aliases of three bytes",
            by: Tool("the document is larger than 32 MiB with its aliases followed"),
            run: |_| {
                let it = Repository::new()?;
                let text = format!("kind: Pod\na: &a \"{}\"\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(100_000));
                it.write("k/pod.yaml", &text)?;
                it.plimsoll(&["check", "k"])
            },
        },
        Try {
            name: "merge-keys-without-end",
            exploits: "a mapping of 10,000 members that is merged 100,000 times",
            by: Tool("merge keys bring in more than 1000000 members"),
            run: |_| {
                let it = Repository::new()?;
                let members: String = (0..10_000).map(|number| format!("k{number}: 1, ")).collect();
                it.write(
                    "k/pod.yaml",
                    &format!("kind: Pod\na: &a {{{members}}}\nb: {{<<: [{}]}}\n", "*a, ".repeat(100_000)),
                )?;
                it.plimsoll(&["check", "k"])
            },
        },
        Try {
            name: "patterns-by-the-thousands",
            exploits: "100,000 patterns in `namespaceModes`, each tried on every object",
            by: Tool("there are more than 1000 patterns"),
            run: |_| {
                let it = Repository::new()?;
                let names: String = (0..100_000).map(|number| format!("n{number}*,")).collect();
                let modes = format!("  namespaceModes: [{{mode: observe, names: [{names}]}}]\n");
                it.write(".plimsoll.yaml", &format!("{CONFIG}{modes}"))?;
                it.plimsoll(&["check", "k"])
            },
        },
        Try {
            name: "patch-for-another-file",
            exploits: "a line break in the name of a file, so that `--diff` names another file, or a command of CI",
            by: Tool(r#"+++ "b/k/x\n+++ b/outside.yaml\n::error::.yaml""#),
            run: |_| {
                let it = Repository::new()?;
                it.write("k/x\n+++ b/outside.yaml\n::error::.yaml", ESCALATES)?;
                let said = it.plimsoll(&["check", "k", "--diff", FIX])?;
                let through = said.text.lines().any(|line| line == "+++ b/outside.yaml" || line.starts_with("::"));
                Ok(Said { admitted: through, code: 1, ..said })
            },
        },
        Try {
            name: "escape-in-a-field",
            exploits: "an unknown field whose name clears the terminal and begins a line with a command of CI",
            by: Tool(r"unknown field `\x1b[2J\x9b1m ::error::x`"),
            run: |_| {
                let it = Repository::new()?;
                let field = r#"  "\e[2J\x9b1m\n::error::x": 1"#;
                it.write(".plimsoll.yaml", &CONFIG.replace("  profile: none", field))?;
                printed(it.plimsoll(&["check", "k"])?)
            },
        },
        Try {
            name: "second-registration",
            exploits: "a second `serve --register`, after whose end every apply is refused",
            by: Tool("the webhooks are registered by another: https://127.0.0.1:"),
            run: |it| register(it, &[]),
        },
        Try {
            name: "registration-by-annotation",
            exploits: "the same after the annotation with the owner was changed to the second server",
            by: Tool("the webhooks are registered by another: https://127.0.0.1:"),
            run: |it| {
                let admin = it.stage.control_plane.kubectl();
                let mut owners = Vec::new();
                for kind in KINDS {
                    owners.push(admin.get(kind, "plimsoll")?["metadata"]["annotations"][OWNER].clone());
                    admin.ok(&["annotate", kind, "plimsoll", "--overwrite", &format!("{OWNER}={SECOND}")])?;
                }
                let said = register(it, &[]);
                for (kind, owner) in KINDS.iter().zip(owners) {
                    let owner = owner.as_str().context("no owner")?;
                    admin.ok(&["annotate", kind, "plimsoll", "--overwrite", &format!("{OWNER}={owner}")])?;
                }
                said
            },
        },
    ],
    controls: &[
        Control {
            name: "a file of the folder is edited",
            run: |_| {
                let it = Repository::new()?;
                it.write("k/pod.yaml", ESCALATES)?;
                let said = it.plimsoll(&["check", "k", FIX])?;
                Ok(Said { admitted: it.read("k/pod.yaml")? != ESCALATES, ..said })
            },
        },
        Control {
            name: "a link that was named is followed",
            run: |_| {
                let it = Repository::new()?;
                symlink("../outside.yaml", it.path("k/link.yaml"))?;
                it.unless_edited(&["check", "k/link.yaml", FIX])
            },
        },
        Control {
            name: "a new file where nothing is",
            run: |_| {
                let it = Repository::new()?;
                it.write("k/web.yaml", WEB)?;
                let said = it.plimsoll(&["check", "k", "--fix=unsafe"])?;
                Ok(Said { admitted: it.path("k/web.pdb.yaml").exists(), ..said })
            },
        },
        Control {
            name: "a configuration that is a link within its repository, and whole names by the thousands",
            run: |_| {
                let it = Repository::new()?;
                let names: String = (0..50_000).map(|number| format!("n{number},")).collect();
                it.write("ci.yaml", &format!("{CONFIG}  namespaceModes: [{{mode: observe, names: [{names}]}}]\n"))?;
                fs::remove_file(it.path(".plimsoll.yaml"))?;
                symlink("ci.yaml", it.path(".plimsoll.yaml"))?;
                it.write(
                    "k/pod.yaml",
                    &ESCALATES.replace("1.4.2'", "1.4.2'\n    securityContext: {allowPrivilegeEscalation: false}"),
                )?;
                it.plimsoll(&["check", "k"])
            },
        },
        Control {
            name: "a second registration under another name",
            run: |it| register(it, &["--register-name=beside"]),
        },
    ],
};

const WEB: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: app, image: 'registry.example.com/app:1.4.2'}
";

const KINDS: [&str; 2] = ["validatingwebhookconfiguration", "mutatingwebhookconfiguration"];

const OWNER: &str = "plimsoll.dev/registered-by";

/// URL of the second server. Only the registration uses it.
const SECOND: &str = "https://127.0.0.1:1";

/// A folder with manifests, their configuration, and a file outside of the manifests.
struct Repository(TempDir);

impl Repository {
    fn new() -> Result<Self> {
        let it = Self(tempfile::tempdir()?);
        fs::create_dir_all(it.path(".git"))?;
        fs::create_dir_all(it.path("k"))?;
        it.write(".plimsoll.yaml", CONFIG)?;
        it.write("outside.yaml", ESCALATES)?;
        Ok(it)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        Ok(fs::write(path, text)?)
    }

    fn read(&self, name: &str) -> Result<String> {
        Ok(fs::read_to_string(self.path(name))?)
    }

    /// `admitted` means: the command succeeds within a minute.
    fn plimsoll(&self, arguments: &[&str]) -> Result<Said> {
        let mut command = Command::new("timeout");
        command.arg("60").arg(plimsoll_binary()?).args(arguments).current_dir(self.0.path());
        let output = command.stdin(Stdio::null()).output()?;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let code = output.status.code().and_then(|code| u16::try_from(code).ok()).unwrap_or(u16::MAX);
        ensure!(code != 124, "the command took longer than a minute: {text}");
        Ok(Said { admitted: code == 0, code, text })
    }

    /// `admitted` means: the command changes the file outside of the manifests.
    fn unless_edited(&self, arguments: &[&str]) -> Result<Said> {
        let said = self.plimsoll(arguments)?;
        Ok(Said { admitted: self.read("outside.yaml")? != ESCALATES, ..said })
    }
}

/// `admitted` means: a terminal would obey a control character, or a line begins with text from a name.
fn printed(said: Said) -> Result<Said> {
    let hidden = |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
    let begins = |line: &str| line.starts_with("::") || line.starts_with("• other-policy");
    if said.text.contains(hidden) || said.text.lines().any(begins) {
        return Ok(Said { admitted: true, ..said });
    }
    Ok(said)
}

/// A second server on the control plane of the stage. `admitted` means: it registers.
fn register(it: &Theme, arguments: &[&str]) -> Result<Said> {
    let admin = it.stage.control_plane.kubectl();
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("log");
    let mut server = Command::new(plimsoll_binary()?)
        .args([
            "serve",
            "--register",
            "--listen=127.0.0.1:0",
            "--url",
            SECOND,
            "--only-namespace=nowhere",
            "--kubeconfig",
        ])
        .arg(it.stage.control_plane.kubeconfig())
        .args(arguments)
        .stderr(fs::File::create(&log)?)
        .spawn()?;
    let ended = until(Duration::from_secs(90), "the server exits or registers", || {
        if let Some(status) = server.try_wait()? {
            return Ok(Some(status.code().and_then(|code| u16::try_from(code).ok()).unwrap_or(u16::MAX)));
        }
        Ok(fs::read_to_string(&log)?.contains("registered, failurePolicy").then_some(0))
    });
    let _ = server.kill();
    let _ = server.wait();
    for kind in KINDS {
        admin.ok(&["delete", kind, "beside", "--ignore-not-found"])?;
    }
    let (code, text) = (ended?, fs::read_to_string(&log)?);
    Ok(Said { admitted: code == 0, code, text })
}
