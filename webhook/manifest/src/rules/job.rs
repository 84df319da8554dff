//! Jobs and CronJobs.

use super::check::{field, list, shown};
use super::{pod, selector, warnings, workload};
use crate::formats::{cron, names, zone};
use crate::{At, Faults, Rule};

/// Most indexes that a Job can have with fewer limits.
const MANY: i64 = 100_000;

/// Labels that the API server gives to the Pods of a Job: its name, and its uid.
const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];
const UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];

pub(super) fn job(object: &At<'_>, faults: &mut Faults) {
    warnings::name_of_host(object, faults);
    let spec = object.at("spec");
    self::spec(&spec, true, faults);
    own_selector(object, &spec, faults);
    let completions = spec.at("completions").int().unwrap_or(0);
    let name = object.at("metadata").at("name");
    if spec.at("completionMode").text() == "Indexed" && completions > 0 && !name.text().is_empty() {
        let host = format!("{}-{}", name.text(), completions - 1);
        if !names::is_dns_label(&host) {
            let message =
                format!("the last Pod of the Job would have the name `{}`, which is no DNS label", shown(&host));
            faults.error(Rule::InvalidName, &name, message, format!("use {}", names::DNS_LABEL.allowed));
        }
    }
}

pub(super) fn cron_job(object: &At<'_>, faults: &mut Faults) {
    warnings::name_of_host(object, faults);
    let name = field(&object.at("metadata"), "name");
    name.at_most(name.at.text().len(), 52, "characters", faults);
    let spec = object.at("spec");
    schedule(&spec, faults);
    time_zone(&spec, faults);
    for name in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        field(&spec, name).least(0, faults);
    }
    field(&spec, "concurrencyPolicy").one_of_or_empty(&["Allow", "Forbid", "Replace"], faults);
    let job = spec.path(&["jobTemplate", "spec"]);
    self::spec(&job, false, faults);
    field(&job, "selector").forbid(Rule::ExclusiveFields, "in a CronJob: the API server makes the selector", faults);
    if job.at("manualSelector").is_true() {
        field(&job, "manualSelector").forbid(Rule::ExclusiveFields, "in a CronJob", faults);
    }
}

fn schedule(spec: &At<'_>, faults: &mut Faults) {
    let schedule = field(spec, "schedule");
    let Some(text) = schedule.need("five fields such as `0 4 * * *`, or `@daily`", faults) else {
        return;
    };
    if text.contains("TZ") {
        let message = "`schedule` names a time zone, but the field `timeZone` is for that";
        faults.error(Rule::InvalidFormat, &schedule.at, message, "write the zone in `timeZone`");
    } else if let Some(why) = cron::fault(text) {
        let message = format!("`{}` is not a valid schedule: {why}", shown(text));
        faults.error(Rule::InvalidFormat, &schedule.at, message, "write five fields such as `0 4 * * *`");
    }
}

fn time_zone(spec: &At<'_>, faults: &mut Faults) {
    let at = spec.at("timeZone");
    if let Some(text) = at.str().filter(|text| !zone::is_known(text)) {
        let message = format!("`{}` is not a time zone of the IANA database", shown(text));
        faults.error(Rule::InvalidFormat, &at, message, "write a zone such as `Europe/Berlin` or `Etc/UTC`");
    }
}

/// The spec of a Job. In a CronJob nothing is filled in, and a Job's Pods have no selector yet.
fn spec(spec: &At<'_>, is_job: bool, faults: &mut Faults) {
    for name in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        field(spec, name).least(0, faults);
    }
    let manager = field(spec, "managedBy");
    if manager.at.is_present() {
        manager.need_form(&names::DOMAIN_PATH, Rule::InvalidName, faults);
        manager.at_most(manager.at.text().len(), 63, "characters", faults);
    }
    let mode = field(spec, "completionMode");
    mode.one_of(&["NonIndexed", "Indexed"], faults);
    let indexed = mode.at.text() == "Indexed";
    if indexed {
        self::indexed(spec, is_job, faults);
    } else {
        for name in ["backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"] {
            field(spec, name).forbid(Rule::DependentFields, "unless `completionMode` is `Indexed`", faults);
        }
    }
    if spec.at("maxFailedIndexes").is_present() && spec.at("backoffLimitPerIndex").is_absent() {
        field(spec, "backoffLimitPerIndex").missing("a number, because `maxFailedIndexes` is set", faults);
    }
    failure_policy(spec, faults);
    if indexed {
        success_policy(spec, faults);
    }
    let replacement = field(spec, "podReplacementPolicy");
    match spec.at("podFailurePolicy").is_present() {
        true => replacement.one_of(&["Failed"], faults),
        false => replacement.one_of(&["Failed", "TerminatingOrFailed"], faults),
    }
    restart(spec, faults);
    pod::template(&spec.at("template"), None, faults);
}

fn restart(spec: &At<'_>, faults: &mut Faults) {
    let policy = field(&spec.path(&["template", "spec"]), "restartPolicy");
    match policy.at.text() {
        "" => policy.missing("`OnFailure` or `Never`: the Pods of a Job end", faults),
        "Always" => policy.one_of(&["OnFailure", "Never"], faults),
        "OnFailure" if spec.at("podFailurePolicy").is_present() => policy.one_of(&["Never"], faults),
        _ => {}
    }
}

fn indexed(spec: &At<'_>, is_job: bool, faults: &mut Faults) {
    let (completions, parallelism) = (field(spec, "completions"), field(spec, "parallelism"));
    let failed = field(spec, "maxFailedIndexes");
    // A Job with neither number has one completion.
    if completions.at.is_absent() && !(is_job && parallelism.at.is_absent()) {
        completions.missing("a number, because `completionMode` is `Indexed`", faults);
    }
    parallelism.most(MANY, "with `completionMode: Indexed`", faults);
    let count = completions.at.int().unwrap_or(if parallelism.at.is_absent() { 1 } else { i64::MAX });
    failed.most(count.min(MANY), "with so many completions", faults);
    if completions.at.int().unwrap_or(0) > MANY && spec.at("backoffLimitPerIndex").is_present() {
        let why = "with more than 100000 completions";
        if failed.at.is_absent() {
            failed.missing("a number, because `completions` is more than 100000", faults);
        }
        parallelism.most(10_000, why, faults);
        failed.most(10_000, why, faults);
    }
    let large = completions.at.int().unwrap_or(0) > MANY && parallelism.at.int().unwrap_or(0) > 10_000;
    if large {
        let message = "with so many completions and Pods at once, indexes may get lost when many fail";
        faults.warning(Rule::ServerWarning, &parallelism.at, message, "lower `completions` or `parallelism`");
    }
}

fn failure_policy(spec: &At<'_>, faults: &mut Faults) {
    const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
    let rules = field(&spec.at("podFailurePolicy"), "rules");
    rules.at_most(rules.at.count(), 20, "rules", faults);
    for rule in rules.at.items() {
        let action = field(&rule, "action");
        if action.need_one_of(ACTIONS, faults) == "FailIndex" && spec.at("backoffLimitPerIndex").is_absent() {
            let message = "the action `FailIndex` needs `backoffLimitPerIndex`";
            faults.error(Rule::DependentFields, &action.at, message, "write `backoffLimitPerIndex`");
        }
        let codes = rule.at("onExitCodes");
        let conditions = field(&rule, "onPodConditions");
        let kinds = ["onExitCodes", "onPodConditions"];
        match (codes.is_present(), conditions.at.count() > 0) {
            (false, false) => super::check::need_one(&rule, &kinds, "a rule", faults),
            (true, true) => {
                let message = format!("a rule has only one of {}", list(&kinds));
                faults.error(Rule::ExclusiveFields, &conditions.at, message, "split the rule in two");
            }
            _ => {}
        }
        exit_codes(spec, &codes, faults);
        conditions.at_most(conditions.at.count(), 20, "conditions", faults);
        for condition in conditions.at.items() {
            field(&condition, "type").need_form(&names::QUALIFIED_NAME, Rule::InvalidName, faults);
            field(&condition, "status").one_of_or_empty(&["True", "False", "Unknown"], faults);
        }
    }
}

fn exit_codes(spec: &At<'_>, codes: &At<'_>, faults: &mut Faults) {
    if codes.is_absent() {
        return;
    }
    let operator = field(codes, "operator").need_one_of(&["In", "NotIn"], faults);
    let name = codes.at("containerName");
    if let Some(text) = name.str() {
        let pod = spec.path(&["template", "spec"]);
        let mut all = pod.at("containers").items().chain(pod.at("initContainers").items());
        if !all.any(|container| container.at("name").text() == text) {
            let message = format!("no container of the template is named `{}`", shown(text));
            faults.error(Rule::UnknownReference, &name, message, "write the name of a container of the template");
        }
    }
    let values = field(codes, "values");
    if values.at.count() == 0 {
        values.missing("at least one exit code", faults);
    }
    values.at_most(values.at.count(), 255, "values", faults);
    let mut last: Option<i64> = None;
    for value in values.at.items() {
        let code = value.int().unwrap_or(0);
        if operator == "In" && code == 0 {
            faults.error(Rule::InvalidValue, &value, "0 is no failure, and can't be a value of `In`", "remove 0");
        }
        if last.is_some_and(|last| last >= code) {
            let message = "the values must be sorted, and each only once";
            faults.error(
                Rule::DuplicateEntry,
                &value,
                message,
                "sort the values, and remove those that are there twice",
            );
        }
        last = Some(code);
    }
}

fn success_policy(spec: &At<'_>, faults: &mut Faults) {
    let policy = spec.at("successPolicy");
    if policy.is_absent() {
        return;
    }
    let rules = field(&policy, "rules");
    if rules.at.count() == 0 {
        rules.missing("a list of at least one rule", faults);
    }
    rules.at_most(rules.at.count(), 20, "rules", faults);
    let completions = spec.at("completions").int().unwrap_or(1);
    for rule in rules.at.items() {
        let (count, indexes) = (field(&rule, "succeededCount"), field(&rule, "succeededIndexes"));
        if count.at.is_absent() && indexes.at.is_absent() {
            super::check::need_one(&rule, &["succeededCount", "succeededIndexes"], "a rule", faults);
        }
        let mut most = completions.max(0);
        if let Some(text) = indexes.at.str() {
            indexes.at_most(text.len(), 64 * 1024, "bytes", faults);
            match index_count(text, completions) {
                Some(total) => most = most.min(total),
                None => {
                    let message =
                        format!("`{}` is not a list of indexes below {completions}, in rising order", shown(text));
                    faults.error(Rule::InvalidFormat, &indexes.at, message, "write indexes and ranges such as `0,2-4`");
                }
            }
        }
        count.range(0, most, faults);
    }
}

/// How many indexes a list such as `0,2-4` has, if it is well-formed.
fn index_count(text: &str, completions: i64) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let (mut total, mut last) = (0, None);
    for part in text.split(',') {
        let (start, end) = part.split_once('-').unwrap_or((part, part));
        let (start, end): (i64, i64) = (start.parse().ok()?, end.parse().ok()?);
        let range = part.contains('-');
        if start >= completions
            || end >= completions
            || (range && start >= end)
            || last.is_some_and(|last| last >= start)
        {
            return None;
        }
        total += end - start + 1;
        last = Some(end);
    }
    Some(total)
}

/// The selector of a Job, which the API server makes unless `manualSelector` is true.
fn own_selector(object: &At<'_>, spec: &At<'_>, faults: &mut Faults) {
    let chosen = field(spec, "selector");
    let template = spec.at("template");
    let labels = template.path(&["metadata", "labels"]);
    selector::label_selector(&chosen.at, faults);
    if spec.at("manualSelector").is_true() {
        if chosen.at.is_absent() {
            chosen.missing("labels of the Pods, because `manualSelector` is true", faults);
        } else if selector::is_sound(&chosen.at) && !selector::selects(&chosen.at, &labels) {
            workload::mismatch(&template, faults);
        }
        return;
    }
    let name = object.at("metadata").at("name").text();
    for label in UID_LABELS.iter().filter_map(|key| labels.entry(key)) {
        let message = "the label has the uid of the Job, which only the API server knows";
        faults.error(Rule::InvalidValue, &label, message, "remove the label");
    }
    for label in NAME_LABELS.iter().filter_map(|key| labels.entry(key)) {
        if !name.is_empty() && label.text() != name {
            let message = format!("the label must be the name of the Job, `{}`", shown(name));
            faults.error(Rule::DependentFields, &label, message, "remove the label");
        }
    }
    let foreign = |key: &str, value: &str| !(NAME_LABELS.contains(&key) && (name.is_empty() || value == name));
    for (key, value) in chosen.at.at("matchLabels").members() {
        if foreign(key, value.text()) {
            let message = "the API server makes the selector of a Job, unless `manualSelector` is true";
            faults.error(Rule::DependentFields, &value, message, "remove `selector`");
        }
    }
    for expression in chosen.at.at("matchExpressions").items() {
        let key = expression.at("key").text();
        let known = NAME_LABELS.contains(&key) || UID_LABELS.contains(&key);
        // Pods have the four labels and no other.
        let never = match expression.at("operator").text() {
            "In" => !NAME_LABELS.contains(&key),
            "Exists" => !known,
            "DoesNotExist" => known,
            _ => false,
        };
        if never {
            let message = "the API server makes the selector of a Job, unless `manualSelector` is true";
            faults.error(Rule::DependentFields, &expression, message, "remove `selector`");
        }
    }
}
