//! Only files in the given paths are edited, and each is written as a whole or not at all.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use serde_json::json;

use super::{CONFIG, ESCALATES, FIXED, Folder, GOOD, schema_of};

const FIX: &str = "--fix=hardening";

#[test]
fn links_in_folders_that_lead_out_are_passed_over() {
    let folder = Folder::new(&[("k/a.yaml", GOOD), ("outside/x.yaml", ESCALATES), ("outside/more/y.yaml", ESCALATES)]);
    symlink("../outside/x.yaml", folder.path("k/link.yaml")).unwrap();
    symlink("../outside/more", folder.path("k/folder")).unwrap();
    symlink(folder.path("outside"), folder.path("k/absolute")).unwrap();
    symlink("a.yaml", folder.path("k/inside.yaml")).unwrap();
    let run = folder.check(&["k", FIX]);
    assert!(run.out.contains("passed over: 3 symbolic links out of the given paths; `--verbose`"), "{}", run.out);
    assert_eq!(folder.read("outside/x.yaml"), ESCALATES);
    assert_eq!(folder.read("outside/more/y.yaml"), ESCALATES);
    let named = folder.check(&["k", "--verbose"]);
    for name in ["k/absolute", "k/folder", "k/link.yaml"] {
        let note = format!("passed over: {name} is a symbolic link that leads out of the given paths\n");
        assert!(named.out.contains(&note) && run.status == 0, "{}", named.out);
    }
    let report = folder.json(&["k"]);
    assert_eq!(report["summary"]["passedOverLinks"], json!(["k/absolute", "k/folder", "k/link.yaml"]));
    assert_eq!(report["summary"]["files"], 1);
    schema_of(&report);
    // If the target is given too, it is edited.
    let run = folder.check(&["k", "outside", FIX]);
    assert_eq!(folder.read("outside/x.yaml"), FIXED, "{}", run.out);
    assert!(!run.out.contains("symbolic link"), "{}", run.out);
}

/// A folder's hidden files are skipped, also if a visible link leads to them.
#[test]
fn links_in_folders_to_what_is_hidden_are_passed_over() {
    let folder = Folder::new(&[
        ("k/a.yaml", GOOD),
        ("k/.hidden.yaml", ESCALATES),
        ("k/.hidden/x.yaml", ESCALATES),
        ("k/.hidden/deep/y.yaml", ESCALATES),
        ("k/b/.c/z.yaml", ESCALATES),
    ]);
    symlink(".hidden.yaml", folder.path("k/file.yaml")).unwrap();
    symlink(".hidden", folder.path("k/folder")).unwrap();
    symlink("../.hidden/deep", folder.path("k/b/deep")).unwrap();
    symlink("b/.c/z.yaml", folder.path("k/z.yaml")).unwrap();
    // A link to a link, and a path whose later part is hidden.
    symlink("file.yaml", folder.path("k/again.yaml")).unwrap();
    symlink("b/../.hidden/x.yaml", folder.path("k/x.yaml")).unwrap();
    let run = folder.check(&["k", FIX]);
    let hidden = ["k/.hidden.yaml", "k/.hidden/x.yaml", "k/.hidden/deep/y.yaml", "k/b/.c/z.yaml"];
    assert!(hidden.iter().all(|name| folder.read(name) == ESCALATES), "{}", run.out);
    let names = ["k/again.yaml", "k/b/deep", "k/file.yaml", "k/folder", "k/x.yaml", "k/z.yaml"];
    let note = "passed over: 6 symbolic links to hidden files; `--verbose` lists them\n";
    assert!(run.out.contains(note) && run.status == 0, "{}", run.out);
    let named = folder.check(&["k", "-v"]);
    assert_eq!(named.out.matches("is a symbolic link that leads to hidden files\n").count(), 6, "{}", named.out);
    let report = folder.json(&["k"]);
    assert_eq!(report["summary"]["passedOverLinks"], json!(names));
    assert_eq!(report["summary"]["files"], 1);
    schema_of(&report);
    // A hidden path on the command line is read.
    assert_eq!(folder.check(&["k", "k/.hidden", "k/file.yaml", FIX]).status, 0);
    assert_eq!((folder.read("k/.hidden/x.yaml").as_str(), folder.read("k/.hidden.yaml").as_str()), (FIXED, FIXED));
    assert_eq!(folder.read("k/b/.c/z.yaml"), ESCALATES);
}

#[test]
fn a_link_that_was_named_is_followed() {
    let folder = Folder::new(&[("outside/x.yaml", ESCALATES), ("k/a.yaml", GOOD)]);
    symlink("../outside/x.yaml", folder.path("k/link.yaml")).unwrap();
    let run = folder.check(&["k/link.yaml", FIX]);
    assert_eq!(run.status, 0, "{}{}", run.out, run.err);
    assert_eq!(folder.read("outside/x.yaml"), FIXED);
    assert!(fs::symlink_metadata(folder.path("k/link.yaml")).unwrap().is_symlink());
    // A linked folder is skipped too.
    symlink("../outside", folder.path("k/outside")).unwrap();
    folder.write("outside/x.yaml", ESCALATES);
    folder.check(&["k/outside", FIX]);
    assert_eq!(folder.read("outside/x.yaml"), FIXED);
}

/// If one file can't be written, no file is written.
#[test]
fn nothing_is_written_unless_all_of_it_can_be() {
    let folder = Folder::new(&[("k/a.yaml", ESCALATES), ("k/b.yaml", ESCALATES), ("k/c.yaml", ESCALATES)]);
    let before = fs::metadata(folder.path("k/a.yaml")).unwrap();
    let set = |mode| fs::set_permissions(folder.path("k/b.yaml"), fs::Permissions::from_mode(mode)).unwrap();
    let unchanged = || ["k/a.yaml", "k/b.yaml", "k/c.yaml"].iter().all(|name| folder.read(name) == ESCALATES);
    set(0o444);
    let run = folder.check(&["k", FIX]);
    assert!(run.status == 2 && run.err.contains("cannot write k/b.yaml: it is read-only"), "{}", run.err);
    assert!(unchanged() && run.err.contains("nothing was written"), "{}", run.err);
    set(0o600);
    fs::hard_link(folder.path("k/b.yaml"), folder.path("b.txt")).unwrap();
    let run = folder.check(&["k", FIX]);
    assert!(run.status == 2 && run.err.contains("cannot write k/b.yaml: it has 2 names (hard links)"), "{}", run.err);
    assert!(unchanged());
    fs::remove_file(folder.path("b.txt")).unwrap();
    let names: Vec<_> = fs::read_dir(folder.path("k")).unwrap().collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(folder.check(&["k", FIX]).status, 0);
    let (a, b) = (fs::metadata(folder.path("k/a.yaml")).unwrap(), fs::metadata(folder.path("k/b.yaml")).unwrap());
    assert_eq!((folder.read("k/a.yaml").as_str(), folder.read("k/b.yaml").as_str()), (FIXED, FIXED));
    assert_eq!((a.uid(), a.gid(), a.mode()), (before.uid(), before.gid(), before.mode()));
    assert_eq!(b.mode() & 0o777, 0o600);
}

const BUDGETS: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: tests}
spec: {profile: none, policies: [{id: missing-disruption-budget}]}
";

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
      - {name: app, image: app:1.4.2}
";

/// A fix never overwrites a file with its new file, and never writes through a link.
#[test]
fn new_files_follow_no_link() {
    let folder = Folder::new(&[("k/web.yaml", WEB), (".plimsoll.yaml", BUDGETS)]);
    for target in ["../stolen.yaml", "../nowhere/stolen.yaml"] {
        symlink(target, folder.path("k/web.pdb.yaml")).unwrap();
        folder.check(&["k", "--fix=unsafe"]);
        assert!(!folder.path("stolen.yaml").exists() && !folder.path("nowhere").exists());
        fs::remove_file(folder.path("k/web.pdb.yaml")).unwrap();
    }
    let run = folder.check(&["k", "--fix=unsafe"]);
    assert!(folder.read("k/web.pdb.yaml").contains("kind: PodDisruptionBudget"), "{}{}", run.out, run.err);
}

#[test]
fn configurations_and_records_stay_where_they_belong() {
    let folder = Folder::new(&[("repository/a.yaml", GOOD), ("secret.yaml", "password: hunter2\n")]);
    fs::create_dir(folder.path("repository/.git")).unwrap();
    symlink("../secret.yaml", folder.path("repository/.plimsoll.yaml")).unwrap();
    let run = folder.check(&["repository"]);
    assert!(run.status == 2 && run.err.contains("leads out of its repository"), "{}", run.err);
    assert!(!run.err.contains("password") && !run.err.contains("hunter2"), "{}", run.err);
    // A link inside the repository is followed, and so is a path on the command line.
    fs::remove_file(folder.path("repository/.plimsoll.yaml")).unwrap();
    folder.write("repository/ci/plimsoll.yaml", CONFIG);
    symlink("ci/plimsoll.yaml", folder.path("repository/.plimsoll.yaml")).unwrap();
    assert_eq!(folder.check(&["repository/a.yaml"]).status, 0);
    symlink("../.plimsoll.yaml", folder.path("repository/named.yaml")).unwrap();
    assert_eq!(folder.check(&["repository/a.yaml", "--config=repository/named.yaml"]).status, 0);
    folder.write("record/apps.Deployment.json", r#"{"items": []}"#);
    folder.write("services.json", r#"{"items": []}"#);
    symlink("../services.json", folder.path("record/core.Service.json")).unwrap();
    let run = folder.check(&["repository/a.yaml", "--context=record"]);
    assert!(run.status == 2 && run.err.contains("leads out of the folder"), "{}", run.err);
    // A broken link is an error, not an absent configuration.
    fs::remove_file(folder.path("repository/.plimsoll.yaml")).unwrap();
    symlink("nowhere", folder.path("repository/.plimsoll.yaml")).unwrap();
    assert_eq!(folder.check(&["repository/a.yaml"]).status, 2);
}

#[test]
fn loops_of_links_end() {
    let folder = Folder::new(&[("k/a/a.yaml", GOOD), ("k/b/b.yaml", GOOD)]);
    symlink("../b", folder.path("k/a/to-b")).unwrap();
    symlink("../a", folder.path("k/b/to-a")).unwrap();
    symlink("self.yaml", folder.path("k/self.yaml")).unwrap();
    let run = folder.check(&["k"]);
    assert!(run.out.contains("2 objects in 2 files"), "{}", run.out);
    assert!(run.status == 4 && run.out.contains("k/self.yaml"), "{}", run.out);
}
