//! Commands of containers: programs, and scripts of shells, as far as they can be understood without running them.

/// The script of a shell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Script<'a> {
    /// The text after `-c`.
    pub text: &'a str,
    /// Whether the shell exits at the first command that fails (`-e`).
    pub stops_at_failure: bool,
}

/// The script of `sh -c`, with any other options of the shell.
#[must_use]
pub fn script<'a>(words: &[&'a str]) -> Option<Script<'a>> {
    let (shell, rest) = without_prefix(words).split_first()?;
    if !is_shell(shell) {
        return None;
    }
    let mut rest = rest.iter();
    let mut stops_at_failure = false;
    while let Some(option) = rest.next() {
        let is_short = option.starts_with('-') && !option.starts_with("--");
        stops_at_failure |= is_short && option.contains('e');
        match *option {
            long if long.starts_with("--") => {}
            _ if is_short && option.contains('c') => {
                let text = rest.find(|word| !is_option(word))?;
                return Some(Script { text, stops_at_failure });
            }
            // The name of an option: `-euo pipefail`.
            _ if is_option(option) && option.ends_with(['o', 'O']) => {
                stops_at_failure |= rest.next() == Some(&"errexit") && is_short;
            }
            _ if is_option(option) => {}
            _ => return None,
        }
    }
    None
}

/// Whether this word is the name of a shell.
#[must_use]
pub fn is_shell(word: &str) -> bool {
    ["sh", "bash", "ash", "dash", "zsh", "ksh"].contains(&program(word))
}

fn is_option(word: &str) -> bool {
    word.starts_with(['-', '+'])
}

/// The name of a program without its folder.
fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or_default()
}

/// The words without prefixes that only start another program: `env` with its variables, `busybox`, `exec` and
/// `command`.
fn without_prefix<'r, 'a>(mut words: &'r [&'a str]) -> &'r [&'a str] {
    while let [first, rest @ ..] = words
        && (matches!(program(first), "env" | "busybox" | "exec" | "command") || is_assignment(first))
        && !rest.is_empty()
    {
        words = rest;
    }
    words
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// How long a command sleeps for certain.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Slept {
    /// Seconds, rounded down; `i64::MAX` if the sleep never ends.
    pub seconds: i64,
    /// Whether the command does nothing else, and sleeps exactly this number of seconds.
    pub is_all: bool,
}

/// Minimum of seconds that a command sleeps: the sum of all sleeps of constant length that run in every case.
#[must_use]
pub fn slept(words: &[&str]) -> Slept {
    let milliseconds = match script(words) {
        Some(script) => in_script(script),
        None => sleep(words).map_or((0, false), |sleep| (sleep, true)),
    };
    let seconds = if milliseconds.0 == i64::MAX { i64::MAX } else { milliseconds.0 / 1000 };
    let is_whole = milliseconds.0 != i64::MAX && milliseconds.0 % 1000 == 0;
    Slept { seconds, is_all: milliseconds.1 && is_whole }
}

/// Whether a command always succeeds, because it only prints, waits, or does nothing.
#[must_use]
pub fn always_succeeds(words: &[&str]) -> bool {
    let Some(script) = script(words) else {
        return without_prefix(words).first().is_some_and(|first| SUCCEED.contains(&program(first)));
    };
    let (mut rest, mut is_any) = (script.text, false);
    while let Some(Command { words: command, end, rest: after, writes }) = next_command(rest) {
        rest = after;
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        if writes {
            return false;
        }
        let is_exit = matches!(words.as_slice(), ["exit"] | ["exit", "0"]);
        let name = without_prefix(&words).first().map(|word| program(word)).unwrap_or_default();
        if !(is_exit || words.is_empty() || SUCCEED.contains(&name)) || !matches!(end, End::Next | End::And) {
            return false;
        }
        is_any |= !words.is_empty();
    }
    is_any
}

/// Milliseconds of `sleep 1m 15s`: the sum of the arguments, as in GNU coreutils.
fn sleep(words: &[&str]) -> Option<i64> {
    let (first, times) = without_prefix(words).split_first()?;
    if program(first) != "sleep" || times.is_empty() {
        return None;
    }
    times.iter().try_fold(0_i64, |sum, time| Some(sum.saturating_add(milliseconds(time)?)))
}

fn milliseconds(time: &str) -> Option<i64> {
    if matches!(time.to_ascii_lowercase().as_str(), "inf" | "infinity") {
        return Some(i64::MAX);
    }
    let (number, unit) = match time.as_bytes().last()? {
        b's' => (&time[..time.len() - 1], 1000),
        b'm' => (&time[..time.len() - 1], 60_000),
        b'h' => (&time[..time.len() - 1], 3_600_000),
        b'd' => (&time[..time.len() - 1], 86_400_000),
        _ => (time, 1000_i64),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if number.len() == number.matches('.').count() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<i64>().unwrap_or(i64::MAX) };
    let thousandths: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some(whole.saturating_mul(unit).saturating_add(thousandths.saturating_mul(unit) / 1000))
}

/// Programs that always succeed, so that a command after `&&` runs too.
const SUCCEED: [&str; 6] = ["sleep", "echo", "printf", "true", ":", "date"];

/// Programs after which the container may stop before the script ends.
const END: [&str; 6] = ["kill", "pkill", "killall", "exit", "return", "exec"];

/// Words of the shell after which commands may not run, or may run more than once.
const BRANCHES: [&str; 11] = ["if", "while", "until", "for", "case", "select", "function", "{", "}", "!", "[["];

/// Milliseconds that a script sleeps for certain, and whether it does nothing else.
fn in_script(script: Script<'_>) -> (i64, bool) {
    let (mut sum, mut is_all, mut stops_at_failure) = (0_i64, true, script.stops_at_failure);
    // Whether the next command of a list runs: after `&&`, only if the commands before it succeeded.
    let mut runs = true;
    // The sum before the list that is being read.
    let mut before = 0;
    let mut rest = script.text;
    while let Some(Command { words: command, end, rest: after, writes }) = next_command(rest) {
        rest = after;
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let name = without_prefix(&words).first().map(|word| program(word)).unwrap_or_default();
        if words.first().is_some_and(|word| BRANCHES.contains(word)) || end == End::Unreadable {
            return (sum, false);
        }
        match sleep(&words) {
            Some(time) if runs && matches!(end, End::Next | End::And) => sum = sum.saturating_add(time),
            Some(_) => is_all = false,
            None => is_all &= words.is_empty(),
        }
        if end == End::Beside {
            // The whole list runs in the background, and the script continues at once.
            (sum, is_all) = (before, false);
        }
        let is_ending = words.first().is_some_and(|word| END.contains(&program(word)))
            || words.windows(2).any(|pair| matches!(pair, ["-s" | "-k", "quit" | "stop" | "graceful-stop"]));
        if is_ending {
            // After `exec sleep`, the script has slept and ends.
            return (sum, is_all && after.trim().is_empty());
        }
        if name == "set" {
            let is_short = |word: &&str| word.starts_with('-') && word.contains('e');
            stops_at_failure |= words.iter().skip(1).any(is_short) || words.ends_with(&["-o", "errexit"]);
        }
        let succeeds = !writes && (SUCCEED.contains(&name) || words.is_empty() || name == "set");
        runs = match end {
            End::And => runs && succeeds,
            End::Or => false,
            End::Pipe => runs,
            _ => true,
        };
        if matches!(end, End::Next | End::Beside) {
            before = sum;
        }
        if end == End::Next && stops_at_failure && !succeeds {
            return (sum, false);
        }
    }
    (sum, is_all)
}

/// The end of a command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// `;`, the end of a line, or the end of the script: the next command runs after this one.
    Next,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `&`: the next command runs beside this one, and beside the commands that `&&` and `||` join to it.
    Beside,
    /// `|`: the next command runs beside this one.
    Pipe,
    /// Syntax that this module does not read, such as a subshell.
    Unreadable,
}

/// The first command of a script.
struct Command<'a> {
    /// The words without redirections. A word that contains a variable or a command is kept as text, which equals no
    /// constant.
    words: Vec<String>,
    /// The end of the command.
    end: End,
    /// The script after the command.
    rest: &'a str,
    /// Whether a redirection reads or writes a file or a connection, so that the command may fail.
    writes: bool,
}

fn next_command(script: &str) -> Option<Command<'_>> {
    let mut characters = script.char_indices().peekable();
    characters.peek()?;
    let (mut words, mut word, mut is_word): (Vec<String>, String, bool) = (Vec::new(), String::new(), false);
    let mut depth = 0_usize;
    let (mut redirects, mut writes) = (false, false);
    let mut push = |words: &mut Vec<String>, word: &mut String, is_word: &mut bool, redirects: &mut bool| {
        if std::mem::take(is_word) {
            let text = std::mem::take(word);
            if !std::mem::take(redirects) {
                words.push(text);
            } else {
                // The other targets are streams that are already open.
                writes |= text != "/dev/null" && text != "-" && !text.bytes().all(|byte| byte.is_ascii_digit());
            }
        }
    };
    while let Some((at, character)) = characters.next() {
        let rest = |skip: usize| script.get(at + skip..).unwrap_or_default();
        if depth > 0 {
            // Within `$(…)`, only its end matters.
            depth = match character {
                '(' => depth + 1,
                ')' => depth - 1,
                _ => depth,
            };
            continue;
        }
        match character {
            '\'' => {
                is_word = true;
                word.extend(characters.by_ref().map(|(_, inner)| inner).take_while(|inner| *inner != '\''));
            }
            '"' => {
                is_word = true;
                while let Some((_, inner)) = characters.next().filter(|(_, inner)| *inner != '"') {
                    match inner {
                        '\\' => word.extend(characters.next().map(|(_, escaped)| escaped)),
                        '`' => return Some(Command { words, end: End::Unreadable, rest: "", writes: false }),
                        _ => word.push(inner),
                    }
                }
            }
            '\\' => {
                // A backslash before the end of a line continues the command on the next line.
                if let Some((_, escaped)) = characters.next().filter(|(_, escaped)| *escaped != '\n') {
                    is_word = true;
                    word.push(escaped);
                }
            }
            '#' if !is_word => {
                while characters.peek().is_some_and(|(_, inner)| *inner != '\n') {
                    characters.next();
                }
            }
            '$' if characters.peek().is_some_and(|(_, next)| *next == '(') => {
                characters.next();
                is_word = true;
                word.push_str("$()");
                depth = 1;
            }
            '`' | '(' | ')' => return Some(Command { words, end: End::Unreadable, rest: "", writes: false }),
            '<' if rest(0).starts_with("<<") => {
                return Some(Command { words, end: End::Unreadable, rest: "", writes: false });
            }
            '<' | '>' => {
                // A number before the redirection names a stream.
                if word.bytes().all(|byte| byte.is_ascii_digit()) {
                    word.clear();
                    is_word = false;
                }
                push(&mut words, &mut word, &mut is_word, &mut redirects);
                while characters.peek().is_some_and(|(_, next)| matches!(next, '>' | '&' | ' ')) {
                    characters.next();
                }
                redirects = true;
            }
            ';' | '\n' | '&' | '|' => {
                push(&mut words, &mut word, &mut is_word, &mut redirects);
                let (end, length) = match rest(0).as_bytes() {
                    [b'&', b'&', ..] => (End::And, 2),
                    [b'|', b'|', ..] => (End::Or, 2),
                    [b'&', ..] => (End::Beside, 1),
                    [b'|', ..] => (End::Pipe, 1),
                    _ => (End::Next, 1),
                };
                return Some(Command { words, end, rest: rest(length), writes });
            }
            _ if character.is_whitespace() => push(&mut words, &mut word, &mut is_word, &mut redirects),
            _ => {
                is_word = true;
                word.push(character);
            }
        }
    }
    push(&mut words, &mut word, &mut is_word, &mut redirects);
    let end = if depth > 0 { End::Unreadable } else { End::Next };
    Some(Command { words, end, rest: "", writes })
}

#[cfg(test)]
mod tests {
    use super::{Script, Slept, always_succeeds, script, slept};

    #[test]
    fn scripts_of_shells() {
        for (words, text, stops_at_failure) in [
            (&["sh", "-c", "a"][..], Some("a"), false),
            (&["/bin/bash", "-lc", "a", "b"], Some("a"), false),
            (&["bash", "-euo", "pipefail", "-c", "a"], Some("a"), true),
            (&["bash", "--norc", "-ec", "a"], Some("a"), true),
            (&["bash", "-o", "errexit", "-c", "a"], Some("a"), true),
            (&["/usr/bin/env", "A=b", "sh", "-c", "a"], Some("a"), false),
            (&["busybox", "sh", "-c", "a"], Some("a"), false),
            (&["sh", "a.sh"], None, false),
            (&["sleep", "-c", "a"], None, false),
            (&[], None, false),
        ] {
            let expected = text.map(|text| Script { text, stops_at_failure });
            assert_eq!(script(words), expected, "{words:?}");
        }
    }

    #[test]
    fn sleeps_without_a_shell() {
        for (words, seconds, is_all) in [
            (&["sleep", "75"][..], 75, true),
            (&["/bin/sleep", "1m", "15s"], 75, true),
            (&["sleep", "1.5"], 1, false),
            (&["sleep", ".5m"], 30, true),
            (&["sleep", "2h"], 7200, true),
            (&["busybox", "sleep", "5"], 5, true),
            (&["sleep", "infinity"], i64::MAX, false),
            (&["sleep", "$DELAY"], 0, false),
            (&["sleep"], 0, false),
            (&["sleep", "99999999999999999999d"], i64::MAX, false),
            (&["timeout", "5", "sleep", "75"], 0, false),
        ] {
            assert_eq!(slept(words), Slept { seconds, is_all }, "{words:?}");
        }
    }

    #[test]
    fn commands_that_always_succeed() {
        for (words, expected) in [
            (&["/bin/true"][..], true),
            (&["echo", "ready"], true),
            (&["sh", "-c", "exit 0"], true),
            (&["sh", "-c", "echo ok; exit 0"], true),
            (&["sh", "-c", ":"], true),
            (&["sh", "-c", "exit 1"], false),
            (&["sh", "-c", "test -f /tmp/ready"], false),
            (&["sh", "-c", "true && test -f /tmp/ready"], false),
            (&["sh", "-c", "curl localhost || true"], false),
            (&["sh", "-c", "echo ok 2>&1 >/dev/null"], true),
            (&["bash", "-c", ":> /dev/tcp/127.0.0.1/8080"], false),
            (&["sh", "-c", "echo ok > /data/health"], false),
            (&["sh", "-c", "true < /tmp/ready; exit 0"], false),
            (&["sh", "-c", ""], false),
            (&["false"], false),
            (&[], false),
        ] {
            assert_eq!(always_succeeds(words), expected, "{words:?}");
        }
    }

    #[test]
    fn sleeps_of_a_script() {
        for (text, seconds, is_all) in [
            ("sleep 75", 75, true),
            ("exec sleep 75", 75, true),
            ("  sleep 1m 15s ; ", 75, true),
            ("sleep 40; sleep 35", 75, true),
            ("sleep 75; nginx -s quit", 75, false),
            ("set -o errexit; /drain.sh; sleep 75", 0, false),
            ("echo draining > /state/phase && sleep 75", 0, false),
            ("sleep 75 && kill 1", 75, false),
            ("/drain.sh; sleep 75", 75, false),
            ("touch /tmp/down\nsleep 75\n", 75, false),
            ("echo bye && sleep 75", 75, false),
            ("# wait\nsleep 75 # for them", 75, true),
            ("sleep 75 >/dev/null 2>&1", 75, true),
            ("echo \"$(date; sleep 3)\"; sleep 75", 75, false),
            ("echo $(date; sleep 3); sleep 75", 75, false),
            ("curl -s 'http://x/?a=1;b' || true; sleep 75", 75, false),
            ("sleep \\\n 75", 75, true),
            ("sleep '75'", 75, true),
            // Commands that may not run, that run beside the rest, or that run after the program was told to stop.
            ("/drain.sh && sleep 75", 0, false),
            ("/drain.sh || sleep 75", 0, false),
            ("set -e; /drain.sh; sleep 75", 0, false),
            ("sleep 75 & wait", 0, false),
            ("echo on && sleep 75 & wait", 0, false),
            ("sleep 75 && /drain.sh & wait", 0, false),
            ("sleep 5; sleep 75 && echo on & sleep 10", 15, false),
            ("/drain.sh & sleep 75", 75, false),
            ("sleep 75 | cat", 0, false),
            ("sleep 75 && echo on | cat", 75, false),
            ("if true; then sleep 75; fi", 0, false),
            ("sleep 5; while true; do sleep 75; done", 5, false),
            ("(sleep 75)", 0, false),
            ("sleep $DELAY", 0, false),
            ("sleep ${DELAY:-75}", 0, false),
            ("kill 1; sleep 75", 0, false),
            ("nginx -s quit; sleep 75", 0, false),
            ("sleep 5; exit 0; sleep 75", 5, false),
            ("exec nginx; sleep 75", 0, false),
            ("echo sleep 75", 0, false),
            ("", 0, true),
            ("cat <<EOF\nsleep 75\nEOF", 0, false),
        ] {
            assert_eq!(slept(&["sh", "-c", text]), Slept { seconds, is_all }, "{text:?}");
        }
        assert_eq!(slept(&["sh", "-ec", "/drain.sh; sleep 75"]).seconds, 0);
        assert_eq!(slept(&["sh", "-c", "sleep 5; sleep infinity"]).seconds, i64::MAX);
    }
}
