//! Input that could use all memory or run forever. Each run must end soon and report the limit. It may use 2 GiB of
//! address space in addition to what WebAssembly reserves.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{CONFIG, Folder, GOOD, LATEST, Run};

/// Maximum time of a run on a busy machine.
const SOON: Duration = Duration::from_secs(60);

fn timed(folder: &Folder, arguments: &[&str]) -> Run {
    let began = Instant::now();
    let run = folder.check(arguments);
    assert!(began.elapsed() < SOON, "{arguments:?} took {:?}", began.elapsed());
    run
}

#[track_caller]
fn is(run: &Run, status: i32, words: &str) {
    let said = format!("{}{}", run.out, run.err);
    assert!(run.status == status && said.contains(words), "{}: {}", run.status, &said[..said.len().min(4000)]);
}

fn pipe(folder: &Folder, name: &str) {
    assert!(Command::new("mkfifo").arg(folder.path(name)).status().unwrap().success());
}

#[test]
fn only_regular_files_are_read() {
    let folder = Folder::new(&[("a.yaml", GOOD), ("d/good.yaml", GOOD)]);
    pipe(&folder, "pipe.yaml");
    is(&timed(&folder, &["pipe.yaml"]), 4, "it is a pipe; only regular files are read");
    is(&timed(&folder, &["/dev/zero"]), 4, "it is a device; only regular files are read");
    is(&timed(&folder, &["a.yaml", "--config=pipe.yaml"]), 2, "it is a pipe; only regular files are read");
    is(&timed(&folder, &["a.yaml", "--config=/dev/zero"]), 2, "it is a device; only regular files are read");
    is(&timed(&folder, &["a.yaml", "--config=d"]), 2, "it is a folder; only regular files are read");
    for bundle in ["/dev/zero", "./pipe.yaml", "./d", "./link.wasm"] {
        symlink("/dev/zero", folder.path("link.wasm")).ok();
        folder.write("c.yaml", &CONFIG.replace("  profile: none", &format!("  bundle: {bundle}")));
        is(&timed(&folder, &["a.yaml", "--config=c.yaml"]), 2, "only regular files are read");
    }
    let inspect = super::plimsoll(&folder.path(""), "", &["policy", "inspect", "/dev/zero"]);
    is(&inspect, 2, "it is a device; only regular files are read");
    // The pipe is in a folder, is the configuration, and is in a record.
    fs::rename(folder.path("pipe.yaml"), folder.path("d/pipe.yaml")).unwrap();
    is(&timed(&folder, &["d"]), 4, "d/pipe.yaml");
    fs::remove_file(folder.path("d/pipe.yaml")).unwrap();
    pipe(&folder, "d/core.Service.json");
    is(&timed(&folder, &["a.yaml", "--context=d"]), 2, "it is a pipe; only regular files are read");
    fs::remove_file(folder.path(".plimsoll.yaml")).unwrap();
    pipe(&folder, ".plimsoll.yaml");
    is(&timed(&folder, &["a.yaml"]), 2, "it is a pipe; only regular files are read");
    fs::remove_file(folder.path(".plimsoll.yaml")).unwrap();
    symlink("/dev/zero", folder.path(".plimsoll.yaml")).unwrap();
    is(&timed(&folder, &["a.yaml"]), 2, "leads out of its repository");
}

#[test]
fn what_is_too_large_says_how_large_it_may_be() {
    let folder = Folder::new(&[("a.yaml", GOOD)]);
    let sparse = |name: &str, size: u64| fs::File::create(folder.path(name)).unwrap().set_len(size).unwrap();
    sparse("large.yaml", 1 << 40);
    is(&timed(&folder, &["large.yaml"]), 4, "it is larger than 32 MiB");
    is(&timed(&folder, &["a.yaml", "--config=large.yaml"]), 2, "it is larger than 1 MiB");
    folder.write("c.yaml", &CONFIG.replace("  profile: none", "  bundle: ./large.yaml"));
    is(&timed(&folder, &["a.yaml", "--config=c.yaml"]), 2, "it is larger than 16 MiB");
    folder.write("r/core.Service.json", "{}");
    sparse("r/core.Service.json", 1 << 40);
    is(&timed(&folder, &["a.yaml", "--context=r"]), 2, "it is larger than 256 MiB");
    for number in 0..3 {
        folder.write(&format!("many/{number}.yaml"), &"# a comment\n".repeat((30 << 20) / 12));
    }
    is(&timed(&folder, &["many"]), 4, "the files are larger than 64 MiB in all");
}

/// `yes | plimsoll check -`
#[test]
fn an_endless_standard_input_ends() {
    let folder = Folder::new(&[]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["check", "-"])
        .current_dir(folder.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let line = [b'y'; 1 << 16];
    while stdin.write_all(&line).is_ok() {}
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "as of a file that is too large");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot read the standard input: it is larger than 32 MiB"), "{said}");
}

#[test]
fn aliases_and_merge_keys_cost_what_they_stand_for() {
    let folder = Folder::new(&[]);
    // 100,000 aliases of a string of 1 MB.
    let aliases = "*a, ".repeat(100_000);
    folder.write("strings.yaml", &format!("a: &a \"{}\"\nb: [{aliases}]\n", "x".repeat(1 << 20)));
    is(&timed(&folder, &["strings.yaml"]), 4, "the document is larger than 32 MiB with its aliases followed");
    // A mapping of 10,000 members is merged 100,000 times into another one.
    let members: String = (0..10_000).map(|number| format!("k{number}: 1, ")).collect();
    folder.write("merges.yaml", &format!("a: &a {{{members}}}\nb: {{<<: [{aliases}]}}\n"));
    is(&timed(&folder, &["merges.yaml"]), 4, "merge keys bring in more than 1000000 members");
    // Nine levels of nine aliases each.
    let mut lol = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        lol.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    folder.write("lol.yaml", &lol);
    is(&timed(&folder, &["lol.yaml"]), 4, "aliasing");
    // Each document is within its limits, but there are many.
    let one = format!("a: &a [{}]\nb: [{}]\n---\n", "x, ".repeat(100), "*a, ".repeat(3_000));
    folder.write("many.yaml", &one.repeat(200));
    is(&timed(&folder, &["many.yaml"]), 4, "the input has more than 4000000 values");
}

/// Input that can't be read is not written to the standard output, because that output replaces the file.
#[test]
fn a_report_is_no_fixed_text() {
    let folder = Folder::new(&[]);
    let path = folder.path("");
    for text in [vec![b'#'; (32 << 20) + 1], b"a: \xff\n".to_vec()] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
            .args(["check", "--fix", "-"])
            .current_dir(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&text).ok();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(4));
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// The error names the number of places, not a single place.
#[test]
fn too_many_tabs_are_called_too_many() {
    let folder = Folder::new(&[]);
    let many: String = (0..6_000).map(|number| format!("    k{number}:\tb\n")).collect();
    folder.write("tabs.yaml", &format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations:\n{many}"));
    is(&timed(&folder, &["tabs.yaml"]), 4, "too many tabs after colons; replace them with spaces");
    let rows: String = (0..6_000).map(|number| format!("k{number}: [\n1,\n  2]\n")).collect();
    folder.write("rows.yaml", &rows);
    is(
        &timed(&folder, &["rows.yaml"]),
        4,
        "too many lines inside brackets or quotes that are not indented; indent them",
    );
    // A few such places are accepted.
    folder.write("few.yaml", &"a:\tb\n".repeat(100));
    is(&timed(&folder, &["few.yaml", "--allow-empty"]), 0, "0 objects in 1 file");
}

#[test]
fn a_tab_is_called_a_tab() {
    let folder = Folder::new(&[]);
    let pod = "apiVersion: v1\nkind: Pod\n";
    let tabs = "\t".repeat(1 << 20);
    for (text, place) in [
        (format!("{pod}metadata:\n\tname: x\n"), "a.yaml:4:1"),
        (format!("apiVersion: v1\n{}", "\tkind: Pod\n".repeat(50_000)), "a.yaml:2:1"),
        (format!("{pod}metadata: {{name: x}}\nspec:\n{}", "\tcontainers:\n\t- name: b\n".repeat(6_000)), "a.yaml:5:1"),
        (format!("{pod}metadata:\n  -\t-\tb\n"), "a.yaml:4:4"),
        (format!("{pod}{tabs}\n"), "a.yaml:3:1"),
        (format!("{pod}{tabs}metadata: {{}}\n"), "a.yaml:3:1"),
        (format!("{pod}text: |\n{tabs}x\n"), "a.yaml:4:1"),
    ] {
        folder.write("a.yaml", &text);
        let run = timed(&folder, &["a.yaml"]);
        let said = format!("{}{}", run.out, run.err);
        let said: String = said.chars().take(400).collect();
        assert_eq!(run.status, 4, "{said}");
        assert!(said.contains("kubectl accepts no tab here; write spaces"), "{said}");
        assert!(said.contains(place), "{place}: {said}");
    }
}

/// Each place that kubectl accepts and YAML 1.2 rejects costs another reading of the document.
#[test]
fn retries_are_bounded_over_all_documents() {
    let folder = Folder::new(&[]);
    let one = format!("{}---\n", "a:\tb\n".repeat(3_000));
    folder.write("tabs.yaml", &one.repeat(200));
    timed(&folder, &["tabs.yaml", "--allow-empty"]);
}

#[test]
fn one_line_of_megabytes() {
    let folder = Folder::new(&[]);
    let flow = format!("a: [{}]\n", "[1], ".repeat(300_000));
    folder.write("flow.yaml", &flow);
    is(&timed(&folder, &["flow.yaml", "--allow-empty"]), 0, "0 objects in 1 file");
    // Thousands of findings, all on the same line.
    let item =
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"c"}]}},"#;
    let list = format!(r#"{{"apiVersion":"v1","kind":"List","items":[{}null]}}"#, item.repeat(5_000));
    folder.write("list.json", &list);
    is(&timed(&folder, &["list.json"]), 4, "5000 objects in 1 file");
}

#[test]
fn many_problems_are_counted() {
    let folder = Folder::new(&[("broken.yaml", &"a: [\n---\n".repeat(50_000))]);
    is(&timed(&folder, &["broken.yaml"]), 4, "49900 more of its documents cannot be judged");
}

#[test]
fn configurations_with_a_hundred_thousand_of_anything() {
    let folder = Folder::new(&[("a.yaml", GOOD)]);
    let config = |spec: &str| {
        folder.write("c.yaml", &CONFIG.replace("  profile: none\n", &format!("  profile: none\n{spec}")));
        timed(&folder, &["a.yaml", "--config=c.yaml"])
    };
    let names = |form: fn(usize) -> String, count: usize| (0..count).map(form).collect::<Vec<_>>().join(",");
    let modes = |names: String| format!("  namespaceModes: [{{mode: observe, names: [{names}]}}]\n");
    is(&config(&modes(names(|number| format!("n{number}-*"), 100_000))), 2, "more than 1000 patterns");
    is(&config(&modes(names(|number| format!("n{number}"), 100_000))), 0, "The cluster would admit this.");
    is(&config(&modes(names(|_| "n*".to_owned(), 100_000))), 2, "and ");
    let unknown = names(|number| format!("{{name: c{number}, action: Warn}}"), 30_000);
    is(&config(&format!("  categories: [{unknown}]\n")), 2, "and 29900 more");
    is(&config(&format!("  ? {}\n  : 1\n", "x".repeat(900_000))), 2, "unknown field");
    is(&config(&modes(names(|number| format!("n{number}"), 200_000))), 2, "it is larger than 1 MiB");
}

/// A single large document.
#[test]
fn a_list_of_thousands_is_not_edited_for_hours() {
    let folder = Folder::new(&[]);
    let item = "- {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: 'c:1'}]}}\n";
    folder.write("list.yaml", &format!("apiVersion: v1\nkind: List\nitems:\n{}", item.repeat(3_000)));
    let run = timed(&folder, &["list.yaml", "--fix=hardening"]);
    is(&run, 0, "fixed: privilege-escalation × 3000 in 1 file");
    let documents = format!(
        "{}---\n",
        LATEST.replace("nginx", "nginx:1").replace("allowPrivilegeEscalation: false", "runAsUser: 1")
    );
    folder.write("many.yaml", &documents.repeat(2_000));
    let run = timed(&folder, &["many.yaml", "--fix=hardening"]);
    is(&run, 0, "fixed: privilege-escalation × 2000 in 1 file");
}

/// The cost of a broken document depends on its own size, not on the size of the file.
#[test]
fn many_broken_documents() {
    let folder = Folder::new(&[]);
    let took = |documents: usize| {
        folder.write("broken.yaml", &"a: [\n---\n".repeat(documents));
        let began = Instant::now();
        is(&timed(&folder, &["broken.yaml"]), 4, "more of its documents cannot be judged");
        began.elapsed()
    };
    let (few, many) = (took(40_000), took(400_000));
    assert!(many < few * 40 + Duration::from_secs(2), "{few:?}, {many:?} for ten times as many");
}

fn deployment(containers: usize, image: impl Fn(usize) -> String) -> String {
    let containers: String =
        (0..containers).map(|number| format!("      - name: c{number}\n        {}\n", image(number))).collect();
    let head = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n  \
                selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n";
    format!("{head}    spec:\n      containers:\n{containers}")
}

/// The time for a fix does not grow with the number of fixes in the same object.
#[test]
fn an_object_with_thousands_of_fixes_takes_no_longer_for_each() {
    let folder = Folder::new(&[]);
    let mut each = Vec::new();
    for containers in [250, 2_000] {
        folder.write("d.yaml", &deployment(containers, |_| "image: app:1.4.2".to_owned()));
        let began = Instant::now();
        let run = timed(&folder, &["d.yaml", "--fix=hardening"]);
        each.push(began.elapsed().as_secs_f64() / containers as f64);
        is(&run, 0, &format!("fixed: privilege-escalation × {containers} in 1 file"));
        assert!(!run.out.contains("not fixed"), "{}", run.out);
    }
    // A policy returns at most 256 findings, so eight times as many take eight rounds.
    assert!(each[1] < each[0] * 20.0, "{each:?} s for a fix");
}

/// A refused fix does not slow down the others.
#[test]
fn refused_fixes_among_hundreds_stop_no_other() {
    let folder = Folder::new(&[]);
    let image = |number: usize| match number % 2 {
        0 => "image: app:1.4.2".to_owned(),
        _ => format!("image: app:1.4.2\n        securityContext: &s{number} {{runAsUser: 1000}}"),
    };
    folder.write("d.yaml", &deployment(250, image));
    let diff = timed(&folder, &["d.yaml", "--fix=hardening", "--diff"]);
    is(&diff, 0, "not fixed: 125 findings, each with its reason");
    is(&diff, 0, "would fix: privilege-escalation × 125 in 1 file");
    let run = timed(&folder, &["d.yaml", "--fix=hardening"]);
    is(&run, 0, "fixed: privilege-escalation × 125 in 1 file");
    is(&run, 0, "securityContext` is shared through an anchor, an alias or a merge key");
    is(&run, 0, "not fixed: 125 findings, each with its reason");
}

/// If one run can't fix everything, it says so, and the next run continues.
#[test]
fn what_a_run_does_not_fix_is_left_to_the_next_one() {
    let folder = Folder::new(&[]);
    folder.write("d.yaml", &deployment(4_000, |_| "image: app:1.4.2".to_owned()));
    let run = timed(&folder, &["d.yaml", "--fix=hardening"]);
    is(&run, 0, "fixed: privilege-escalation × 2560 in 1 file");
    is(&run, 0, "not fixed: more findings than one run can fix; run `--fix` again");
    let run = timed(&folder, &["d.yaml", "--fix=hardening"]);
    is(&run, 0, "fixed: privilege-escalation × 1440 in 1 file");
    assert!(!run.out.contains("not fixed"), "{}", run.out);
}
