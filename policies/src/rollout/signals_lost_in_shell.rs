use plimsoll_sdk::prelude::*;
use plimsoll_sdk::shell;

/// Programs that never hear that they are to end.
///
/// ## What it finds
/// `warning`: a container or native sidecar of a workload that runs on whose command is a shell with a script (`sh -c`), in
/// which neither `exec` nor `trap` is a word. On in profile `strict`, or where a PolicySet lists it. An entrypoint of the
/// image is not known, and passed over.
///
/// ## Why
/// The shell is process 1 and gets SIGTERM, which it neither obeys nor passes on. The program runs on until the grace period
/// is over and is killed then: nothing is finished, and each rollout takes half a minute longer. Some shells replace
/// themselves by the last command of a script; which do, and when, differs with the image.
///
/// ## What to write
/// `exec` before the program, or no shell:
///
/// ```yaml
/// command: [sh, -c, "migrate && exec server --port=8080"]
/// ```
#[policy(
    on = LongRunning, severity = Warning, since = "0.1.0",
    profile = Strict,
    covers = ["shutdown-shell-pid1: not entrypoints of images"]
)]
pub fn signals_lost_in_shell(review: &Review, findings: &mut Findings) {
    for container in review.containers().iter().filter(|container| container.class().runs_on()) {
        let words = container.at("/command").items().chain(container.at("/args").items());
        let Some(words) = words.map(|word| word.as_str()).collect::<Option<Vec<_>>>() else { continue };
        let Some(script) = shell::script(&words) else { continue };
        let mut parts =
            script.text.split(|character: char| !(character.is_alphanumeric() || "-_./".contains(character)));
        if container.at("/command").has_content() && !parts.any(|part| matches!(part, "exec" | "trap")) {
            let message = format!("{} runs in a shell, which does not pass SIGTERM on", container.describe());
            let help = "write exec before the program, or the program itself as the command";
            let finding = findings.warning(&container.at("/command"), message, help);
            finding.about(&container.at("/args"));
        }
    }
}
