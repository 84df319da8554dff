use plimsoll_sdk::prelude::*;
use plimsoll_sdk::shell;

/// Programs that never receive the signal to stop.
///
/// ## What it finds
/// `warning`: the command of a container or native sidecar is a shell with a script (`sh -c`). The script contains
/// neither the word `exec` nor the word `trap`. The policy looks at long-running workloads. It is on in profile
/// `strict`, or if a PolicySet lists it. It skips an entrypoint of the image, which is unknown.
///
/// ## Why
/// The shell is process 1 and gets SIGTERM, but it neither obeys the signal nor forwards it. The program runs until the
/// grace period is over, and is then killed. It finishes nothing, and each rollout takes half a minute longer. Some
/// shells replace themselves by the last command of a script. Which shells do so, and when, depends on the image.
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
            let message =
                format!("{} runs in a shell: the shell does not forward SIGTERM to the program", container.describe());
            let help = "write exec before the program, or the program itself as the command";
            let finding = findings.warning(&container.at("/command"), message, help);
            finding.about(&container.at("/args"));
        }
    }
}
